//! What the plugins hear, and when.

use super::*;
use crate::plugin::Refusal;
use std::sync::mpsc::{self, Receiver};
use std::task::Context;

/// Refuses every record, and hears of its end before the callback that would tell it so, and before the delivery.
struct First {
    wants: InterceptorWants,
    /// Told by the callback.
    called: Receiver<()>,
    heard: mpsc::Sender<bool>,
}

impl Interceptor for First {
    fn wants(&self) -> &InterceptorWants {
        &self.wants
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        let refused = (0..batch.count as u32).map(|index| Refusal { index, reason: "no".into() });
        Ok(Edits { refused: refused.collect(), ..Edits::default() })
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        // Long enough for the delivery thread to call whom it was given.
        let called = self.called.recv_timeout(Duration::from_millis(100)).is_ok();
        self.heard.send(!called).unwrap();
        Ok(())
    }

    fn close(&mut self) {}
}

#[test]
fn interceptors_hear_of_a_failure_before_its_callback() {
    let lane = lane_with(1 << 20, Arc::new(Standing), |config| config.acknowledgements = true);
    let (call, called) = mpsc::channel();
    let (heard, hears) = mpsc::channel();
    let callback = Box::new(move |result: Result<_, ProduceError>| {
        assert!(result.is_err());
        let _ = call.send(());
    });
    let Submitted::Accepted(mut delivery) = lane.submit(&order("1"), Some(callback), true) else {
        panic!("there is room")
    };
    let wants =
        InterceptorWants { on_send: Some(Reads::default()), acknowledgements: true, ..InterceptorWants::default() };
    let role = Box::new(First { wants, called, heard }) as Box<dyn Interceptor>;
    let mut chain = Chain::default();
    chain.interceptors.push(Used::new("first", role, Policy::Fail, BreakerOptions::default()));
    let thread = start(Arc::clone(&lane), chain, Duration::from_secs(120)).expect("a thread");
    assert!(hears.recv().unwrap(), "the callback came first");
    lane.stop();
    thread.join().unwrap();
    let outcome = std::pin::Pin::new(&mut delivery).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(outcome, Poll::Ready(Err(ProduceError::Plugin { .. }))), "{outcome:?}");
}
