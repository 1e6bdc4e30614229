use super::*;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// An outcome that a test decides on, when it does.
struct Decided(Mutex<Receiver<()>>);

impl Delivery for Decided {
    fn try_result(&self) -> Option<Result<RecordMetadata, ProduceError>> {
        self.0.lock().unwrap().try_recv().ok().map(|()| Ok(metadata()))
    }

    fn wait_for(self, patience: Duration) -> Result<Result<RecordMetadata, ProduceError>, Self> {
        let decided = self.0.lock().unwrap().recv_timeout(patience);
        if decided.is_ok() { Ok(Ok(metadata())) } else { Err(self) }
    }
}

fn metadata() -> RecordMetadata {
    RecordMetadata {
        topic: "t".into(),
        partition: 0,
        offset: None,
        timestamp: 0,
        serialized_key_size: None,
        serialized_value_size: None,
    }
}

struct Running {
    window: Arc<Window<Entry<Decided>>>,
    counts: Arc<Counts>,
    thread: JoinHandle<()>,
    decide: Vec<Sender<()>>,
}

/// So many records of which nothing is known.
fn running(records: u64, report: Option<Vec<u8>>) -> Running {
    let window = Arc::new(Window::new(10));
    let counts = Arc::new(Counts::default());
    let decide = (1..=records).map(|line| {
        let (decide, decided) = channel();
        window.push(Entry { source: 0, line, outcome: Outcome::Sent(Decided(Mutex::new(decided))) });
        decide
    });
    let decide = decide.collect();
    let thread = {
        let (window, counts) = (Arc::clone(&window), Arc::clone(&counts));
        let results = Results::new(vec!["input".to_owned()], report, None);
        thread::spawn(move || results.run(&window, &counts, |error| panic!("{error}")))
    };
    Running { window, counts, thread, decide }
}

impl Running {
    fn until_delivered(&self, count: u64) {
        while self.counts.delivered.load(Relaxed) != count {
            thread::yield_now();
        }
    }

    fn end(self) -> u64 {
        self.window.close();
        self.thread.join().unwrap();
        self.counts.delivered.load(Relaxed)
    }
}

#[test]
fn a_record_without_an_outcome_holds_up_no_other() {
    let running = running(4, None);
    for at in [1, 3] {
        running.decide[at].send(()).unwrap();
    }
    running.until_delivered(2);
    while running.window.open() != 2 {
        thread::yield_now();
    }
    running.decide[2].send(()).unwrap();
    running.until_delivered(3);
    running.decide[0].send(()).unwrap();
    assert_eq!(running.end(), 4);
}

#[test]
fn an_abort_knows_what_is_delivered_behind_one_that_is_not() {
    for report in [None, Some(Vec::new())] {
        let Running { window, counts, thread, decide } = running(4, report);
        for at in [1, 3] {
            decide[at].send(()).unwrap();
        }
        window.abort();
        thread.join().unwrap();
        assert_eq!((counts.delivered.load(Relaxed), window.open()), (2, 2));
    }
}

#[test]
fn an_abort_ends_waiting_for_what_may_never_come() {
    let Running { window, counts, thread, .. } = running(0, None);
    window.abort();
    thread.join().unwrap();
    assert_eq!(counts.delivered.load(Relaxed), 0);
}
