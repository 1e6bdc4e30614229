//! Batches and flushes that several lanes have to do with.

use crate::core::{Completion, Done, Outcome, Run, Runs};
use crate::lane::DeliveryThread;
use crate::lane::acknowledge::Token;
use crate::lane::together::Together;
use std::sync::{Arc, Mutex};

/// A batch of partition 0 with a record of each of these lanes, the first of which has a callback.
fn done(name: &'static str, lanes: &[usize], called: &Arc<Mutex<Vec<&'static str>>>) -> Done {
    let completion = Completion::new("orders".into(), 0, || true);
    let called = Arc::clone(called);
    completion.call(0, Box::new(move |_, _, _| called.lock().unwrap().push(name)));
    let outcome = Outcome::Written { base_offset: Some(0), log_append_time: None };
    let tokens = lanes.iter().map(|&lane| Token::new(lane, 7, 3).to_bits()).collect();
    Done {
        completion,
        runs: Runs::One(Run { first: 0, count: lanes.len().max(1) as u32, outcome }),
        tokens,
        held: None,
    }
}

#[test]
fn a_batch_waits_for_all_its_lanes_and_for_those_before_it() {
    let (together, thread) = (Together::of(3), DeliveryThread::default());
    let called = Arc::default();
    let (first, lanes) = together.begin(done("first", &[2, 0, 0, 2], &called));
    assert_eq!(lanes, [2, 0]);
    let (second, lanes) = together.begin(done("second", &[1], &called));
    assert_eq!(lanes, [1]);
    // Of a chain that wants to hear of nothing.
    let (third, lanes) = together.begin(Done { tokens: vec![Token::NONE], ..done("third", &[], &called) });
    assert!(lanes.is_empty());
    together.told(third, &thread);
    together.told(Arc::clone(&second), &thread);
    together.told(second, &thread);
    together.told(Arc::clone(&first), &thread);
    together.told(Arc::clone(&first), &thread);
    assert!(called.lock().unwrap().is_empty(), "the driver still tells the lanes of the first");
    together.told(first, &thread);
    assert_eq!(*called.lock().unwrap(), ["first", "second", "third"]);
}

#[test]
fn a_flush_is_over_when_every_lane_has_passed_its_end() {
    let together = Together::of(2);
    assert!(together.flush(|| 4, Box::new(|| ())).is_none());
    assert!(together.flushed(4).is_none());
    assert!(together.flushed(4).is_some());
    assert!(together.flush(|| 5, Box::new(|| ())).is_none());
    assert!(together.bereaved().is_empty(), "the other lane may still have something to tell");
    assert!(together.flush(|| 6, Box::new(|| ())).is_none());
    assert_eq!(together.bereaved().len(), 2);
    assert!(together.flush(|| panic!("there is nobody to do it"), Box::new(|| ())).is_some());
}

#[test]
fn tokens_tell_lane_and_record() {
    for (lane, chunk, slot) in [(0, 0, 0), (1023, (1 << 40) - 1, 1023), (5, 1, 1023)] {
        let token = Token::new(lane, chunk, slot);
        assert_ne!(token.to_bits(), Token::NONE);
        let token = Token::from_bits(token.to_bits()).unwrap();
        assert_eq!((token.lane(), token), (lane, Token::new(lane, chunk, slot)));
    }
    assert_eq!(Token::from_bits(Token::NONE), None);
}
