//! A lane whose thread ends before its time.

use super::*;
use crate::lane::AckItem;
use crate::plugin::{Edit, Fields, TopicColumn};
use std::sync::mpsc;

/// An interceptor that takes the lane's thread with it, after so many calls.
struct Panics {
    wants: InterceptorWants,
    after: u32,
    /// Sends every record there.
    elsewhere: Option<&'static str>,
}

impl Interceptor for Panics {
    fn wants(&self) -> &InterceptorWants {
        &self.wants
    }

    fn on_send(&mut self, _: &Batch<'_>) -> Result<Edits, PluginFailure> {
        self.after = self.after.checked_sub(1).expect("on purpose");
        let topics = self.elsewhere.map(|topic| Edit {
            indexes: Vec::new(),
            content: TopicColumn { names: vec![topic.to_owned()], indexes: Vec::new() },
        });
        Ok(Edits { topics, ..Edits::default() })
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        Ok(())
    }

    fn close(&mut self) {}
}

/// Starts the lane's thread, which works off so many chunks.
fn run(lane: &Arc<Shared>, chunks: u32) -> std::thread::JoinHandle<()> {
    run_to(lane, chunks, None)
}

fn run_to(lane: &Arc<Shared>, chunks: u32, elsewhere: Option<&'static str>) -> std::thread::JoinHandle<()> {
    let changes = Fields { topic: true, ..Fields::default() };
    let wants = InterceptorWants { on_send: Some(Reads::default()), changes, ..InterceptorWants::default() };
    let role = Box::new(Panics { wants, after: chunks, elsewhere }) as Box<dyn Interceptor>;
    let mut chain = Chain::default();
    chain.interceptors.push(Used::new("panics", role, Policy::Fail, BreakerOptions::default()));
    start(Arc::clone(lane), chain, Duration::from_secs(120)).expect("a thread")
}

#[test]
fn a_lane_that_panics_leaves_nobody_waiting() {
    let lane = lane(1 << 20);
    let Submitted::Accepted(first) = lane.submit(&order("1"), None, true) else { panic!("there is room") };
    let thread = run(&lane, 0);
    assert!(matches!(first.wait(), Err(ProduceError::Fatal { .. })));
    assert!(thread.join().is_err());
    assert!(matches!(refusal(lane.submit(&order("2"), None, true)), ProduceError::Closed { .. }));
    let flushed = Arc::new(Mutex::new(false));
    let done = Arc::clone(&flushed);
    lane.flush(Box::new(move || *done.lock().unwrap() = true));
    assert!(*flushed.lock().unwrap());
}

#[test]
fn the_end_of_a_lane_that_panicked_comes_after_what_it_had_appended() {
    let lane = lane(1 << 20);
    let Submitted::Accepted(first) = lane.submit(&order("1"), None, true) else { panic!("there is room") };
    let thread = run(&lane, 1);
    while lane.core.lock().unwrap().is_idle() {
        std::thread::yield_now();
    }
    // A flush that the thread knows of, one in its queue, and one that comes when it is gone.
    let (over, flushed) = mpsc::channel();
    let flush = |name: &'static str| {
        let over = over.clone();
        Box::new(move || over.send(name).unwrap())
    };
    lane.flush(flush("known"));
    let Submitted::Accepted(second) = lane.submit(&order("2"), None, true) else { panic!("there is room") };
    lane.flush_closed(flush("queued"));
    assert!(matches!(second.wait(), Err(ProduceError::Fatal { .. })));
    assert!(thread.join().is_err());
    lane.flush_closed(flush("late"));
    assert!(flushed.try_recv().is_err(), "a record is under way");
    assert!(first.try_result().is_none());

    // The driver goes on.
    let mut core = lane.core.lock().unwrap();
    assert_eq!(core.abandon(), 1);
    let actions: Vec<Action> = std::iter::from_fn(|| core.poll_action()).collect();
    drop(core);
    for action in actions {
        match action {
            Action::Done(done) => lane.acknowledge(AckItem::Done(Arc::new(done))),
            Action::Flushed(flush) => lane.acknowledge(AckItem::Flushed(flush)),
            _ => {}
        }
    }
    assert!(matches!(first.try_result(), Some(Err(ProduceError::Closed { .. }))));
    assert_eq!(flushed.try_iter().collect::<Vec<_>>(), ["known", "queued", "late"]);
    // And when there is no driver any more, nothing is waited for.
    lane.acknowledge(AckItem::DriverDied("why".into()));
    lane.flush_closed(flush("dead"));
    assert_eq!(flushed.try_iter().collect::<Vec<_>>(), ["dead"]);
}

#[test]
fn a_flush_that_waits_for_what_is_aside_outlives_the_lane() {
    let lane = lane(1 << 20);
    let Submitted::Accepted(first) = lane.submit(&order("1"), None, true) else { panic!("there is room") };
    let (over, flushed) = mpsc::channel();
    lane.flush(Box::new(move || over.send(()).unwrap()));
    let Submitted::Accepted(second) = lane.submit(&order("2"), None, true) else { panic!("there is room") };
    let thread = run_to(&lane, 1, Some("elsewhere"));
    assert!(thread.join().is_err());
    assert!(matches!(first.wait(), Err(ProduceError::Fatal { .. })), "it was aside");
    assert!(matches!(second.wait(), Err(ProduceError::Fatal { .. })));
    let mut core = lane.core.lock().unwrap();
    let actions: Vec<Action> = std::iter::from_fn(|| core.poll_action()).collect();
    drop(core);
    for action in actions {
        if let Action::Flushed(flush) = action {
            lane.acknowledge(AckItem::Flushed(flush));
        }
    }
    assert_eq!(flushed.recv(), Ok(()));
}

#[test]
fn callbacks_of_records_that_a_panic_lost_are_called() {
    let lane = lane(1 << 20);
    let (told, tells) = mpsc::channel();
    for _ in 0..3 {
        let told = told.clone();
        let callback = Box::new(move |result| told.send(result).unwrap());
        let Submitted::Accepted(_) = lane.submit(&order("1"), Some(callback), true) else { panic!("there is room") };
    }
    drop(told);
    assert!(run(&lane, 0).join().is_err());
    let told: Vec<_> = tells.iter().collect();
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|result| matches!(result, Err(ProduceError::Fatal { .. }))), "{told:?}");
}
