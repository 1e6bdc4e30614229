use super::*;
use pointsman_plugin::testing::{self, InterceptorTest, Sent, TestAcknowledgement, TestRecord};

fn plugin(settings: &[(&str, &str)]) -> InterceptorTest<AuditCount> {
    InterceptorTest::configure(settings).unwrap()
}

fn of(name: &str, topic: &str, partition: &str) -> Option<f64> {
    testing::metric_value(name, &[("topic", topic), ("partition", partition)])
}

#[test]
fn every_record_is_counted_when_it_is_sent_and_when_its_fate_is_known() {
    let mut plugin = plugin(&[]);
    let records = [
        TestRecord::new("orders"),
        TestRecord::new("trips"),
        TestRecord::new("orders").partition(3),
        TestRecord::new("orders"),
    ];
    let sent = plugin.send(&records).unwrap();
    assert!(sent.iter().zip(&records).all(|(sent, record)| sent.record() == record && sent.tag() == 0));
    assert!(!sent.contains(&Sent::Dropped));
    assert_eq!(of("records-sent", "orders", "none"), Some(2.0));
    assert_eq!(of("records-sent", "orders", "3"), Some(1.0));
    assert_eq!(of("records-sent", "trips", "none"), Some(1.0));

    let in_doubt = TestAcknowledgement { fate: Fate::Unknown, ..TestAcknowledgement::failed("orders", -104, 0) };
    plugin.acknowledge(&[
        TestAcknowledgement::written("orders", 0, 17, 0),
        TestAcknowledgement::written("orders", 3, 8, 0),
        TestAcknowledgement::written("orders", 0, 18, 0),
        TestAcknowledgement::failed("orders", -102, 0),
        TestAcknowledgement { partition: Some(0), ..in_doubt },
        TestAcknowledgement::failed("trips", Acknowledgement::DROPPED, 0),
    ]);
    assert_eq!(of("records-acked", "orders", "0"), Some(2.0));
    assert_eq!(of("records-acked", "orders", "3"), Some(1.0));
    assert_eq!(of("records-failed", "orders", "none"), Some(1.0));
    assert_eq!(of("records-failed", "orders", "0"), Some(1.0));
    assert_eq!(of("records-in-doubt", "orders", "0"), Some(1.0));
    assert_eq!(of("records-in-doubt", "orders", "none"), None);
    assert_eq!(of("records-dropped", "trips", "none"), Some(1.0));
    assert_eq!(of("records-failed", "trips", "none"), None);
}

#[test]
fn partitions_need_not_be_told_apart() {
    let mut plugin = plugin(&[("by", "topic")]);
    plugin.send(&[TestRecord::new("orders").partition(1), TestRecord::new("orders")]).unwrap();
    plugin.acknowledge(&[TestAcknowledgement::written("orders", 1, 0, 0)]);
    assert_eq!(testing::metric_value("records-sent", &[("topic", "orders")]), Some(2.0));
    assert_eq!(testing::metric_value("records-acked", &[("topic", "orders")]), Some(1.0));
}

#[test]
fn nothing_is_lost_past_the_bound() {
    let mut plugin = plugin(&[("max-series", "8")]);
    let records: Vec<_> = (0..10).flat_map(|at| vec![TestRecord::new(&format!("t{at}")); 2]).collect();
    for _ in 0..3 {
        plugin.send(&records).unwrap();
    }
    for topic in ["t0", "t1", "t2"] {
        assert_eq!(of("records-sent", topic, "none"), Some(6.0), "{topic}");
    }
    assert_eq!(of("records-sent", "t3", "none"), None);
    assert_eq!(of("records-sent", "other", "other"), Some(42.0));
    assert_eq!(testing::metric_values("records-sent").iter().sum::<f64>(), 60.0);
}

#[test]
fn no_partition_number_takes_much_memory() {
    let mut plugin = plugin(&[]);
    plugin.send(&[TestRecord::new("t").partition(i32::MAX as u32), TestRecord::new("t").partition(4095)]).unwrap();
    assert_eq!(of("records-sent", "other", "other"), Some(1.0));
    assert_eq!(of("records-sent", "t", "4095"), Some(1.0));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let error = |settings: &[_]| InterceptorTest::<AuditCount>::configure(settings).err().unwrap();
    assert_eq!(error(&[("by", "key")]), "by = \"key\": must be \"partition\" or \"topic\"");
    let bound = "must be 5 to 256, as many as the producer keeps of one plugin";
    assert_eq!(error(&[("max-series", "4")]), format!("max-series = \"4\": {bound}"));
    assert_eq!(error(&[("max-series", "257")]), format!("max-series = \"257\": {bound}"));
    assert_eq!(error(&[("max-series", "many")]), "max-series = \"many\": invalid digit found in string");
    assert_eq!(error(&[("max_series", "9")]), "the setting `max_series` is not known here; is `max-series` meant?");
}
