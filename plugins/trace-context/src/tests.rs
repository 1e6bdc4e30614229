use super::*;
use pointsman_plugin::testing::{self, InterceptorTest, Sent, TestAcknowledgement, TestRecord};
use std::collections::HashSet;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn plugin(existing: &str) -> InterceptorTest<TraceContext> {
    InterceptorTest::configure(&[("existing", existing)]).unwrap()
}

fn order() -> TestRecord {
    TestRecord::new("orders").header("first", "1")
}

fn with_parent() -> TestRecord {
    order().header(TRACEPARENT, PARENT).header(TRACESTATE, "vendor=1")
}

/// The trace id, the span id and the flags that a record goes on with.
fn trace_of(sent: &Sent) -> [String; 3] {
    let header = sent.record().header_value(TRACEPARENT).unwrap();
    assert!(TraceParent::parse(header).is_some());
    parts(str::from_utf8(header).unwrap())
}

fn parts(header: &str) -> [String; 3] {
    let [_, trace_id, span_id, flags] = header.split('-').collect::<Vec<_>>()[..] else { panic!("{header}") };
    [trace_id, span_id, flags].map(str::to_owned)
}

#[test]
fn a_record_without_context_starts_a_trace() {
    let mut plugin = InterceptorTest::<TraceContext>::configure(&[]).unwrap();
    let sent = plugin.send(&vec![order(); 100]).unwrap();
    let [trace_ids, span_ids] = [0, 1].map(|part| sent.iter().map(|sent| trace_of(sent)[part].clone()).collect());
    let [trace_ids, span_ids]: [HashSet<String>; 2] = [trace_ids, span_ids];
    assert_eq!((trace_ids.len(), span_ids.len()), (100, 100));
    for sent in &sent {
        assert_eq!(trace_of(sent)[2], "01");
        assert_eq!(sent.record().headers.len(), 2);
        assert_eq!(sent.record().headers[0].0, "first");
    }
}

#[test]
fn two_instances_make_different_ids() {
    let [one, other] = [0, 1].map(|_| plugin("child").send(&[order()]).unwrap());
    assert_ne!(trace_of(&one[0])[0], trace_of(&other[0])[0]);
}

#[test]
fn a_record_with_context_becomes_its_child() {
    let sent = plugin("child").send(&[order(), with_parent(), with_parent()]).unwrap();
    let [trace_id, span_id, flags] = parts(PARENT);
    let [child, sibling] = [trace_of(&sent[1]), trace_of(&sent[2])];
    assert_eq!([&child[0], &child[2]], [&trace_id, &flags]);
    assert_eq!([&sibling[0], &sibling[2]], [&trace_id, &flags]);
    assert_ne!(child[1], span_id);
    assert_ne!(child[1], sibling[1]);
    let names: Vec<_> = sent[1].record().headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["first", TRACESTATE, TRACEPARENT]);
    assert_ne!(trace_of(&sent[0])[0], trace_id);
}

#[test]
fn context_can_be_kept() {
    let sent = plugin("keep").send(&[with_parent(), order()]).unwrap();
    assert_eq!(*sent[0].record(), with_parent());
    assert_ne!(trace_of(&sent[1])[0], parts(PARENT)[0]);
}

#[test]
fn context_can_be_replaced() {
    let sent = plugin("replace").send(&[with_parent()]).unwrap();
    assert_ne!(trace_of(&sent[0])[0], parts(PARENT)[0]);
    let names: Vec<_> = sent[0].record().headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["first", TRACEPARENT]);
}

#[test]
fn context_that_is_not_valid_is_replaced_whatever_the_setting() {
    for existing in ["keep", "child", "replace"] {
        let record = order().header(TRACEPARENT, "00-not-valid").header(TRACESTATE, "vendor=1");
        let sent = plugin(existing).send(&[record]).unwrap();
        assert_eq!(sent[0].record().headers.len(), 2, "{existing}");
        trace_of(&sent[0]);
    }
}

#[test]
fn acknowledgements_are_counted_and_timed() {
    let mut plugin = plugin("child");
    testing::set_now(1_000_000_000);
    let tags: Vec<_> = plugin.send(&[order(), order(), order()]).unwrap().iter().map(Sent::tag).collect();
    assert_eq!(tags, [1_000_000_000; 3]);
    testing::set_now(1_002_500_000);
    plugin.acknowledge(&[
        TestAcknowledgement::written("orders", 0, 17, tags[0]),
        TestAcknowledgement::failed("orders", -104, tags[1]),
        TestAcknowledgement::failed("orders", Acknowledgement::DROPPED, tags[2]),
        // One that `on_send` did not see.
        TestAcknowledgement::written("orders", 0, 18, 0),
    ]);
    assert_eq!(testing::metric_values("records-written"), [2.0]);
    assert_eq!(testing::metric_values("records-failed"), [1.0]);
    assert_eq!(testing::metric_values("records-dropped"), [1.0]);
    assert_eq!(testing::metric_values("record-latency-ms"), [2.5, 2.5]);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let error = |settings: &[_]| InterceptorTest::<TraceContext>::configure(settings).err().unwrap();
    assert_eq!(error(&[("existing", "no")]), "existing = \"no\": must be \"keep\" or \"child\" or \"replace\"");
    assert_eq!(error(&[("exsting", "keep")]), "the setting `exsting` is not known here; is `existing` meant?");
}
