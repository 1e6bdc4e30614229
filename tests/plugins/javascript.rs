//! The example in JavaScript.

use crate::guests::{load, options};
use crate::npm::by_state;
use pointsman::plugin::{Batch, Column, PluginFactory, TopicColumnRef, Topology};
use pointsman::wasm::{LoadError, Plugin, PluginOptions, Use};

fn plugin(settings: &[(&str, &str)]) -> Result<Plugin, LoadError> {
    let uses = vec![Use::Partitioner];
    load(PluginOptions { name: "by-state".into(), path: by_state().to_owned(), uses, ..options(settings) })
}

#[test]
fn a_partitioner_in_javascript_places_records_and_refuses_bad_ones() {
    let mut partitioner = plugin(&[("state", "CA")]).unwrap().partitioner(0).unwrap();
    let topology = Topology { topic: "orders".into(), partitions: 4, ..Topology::default() };
    assert_eq!(partitioner.on_topology(&topology).unwrap(), [vec![1, 2, 3]]);
    let mut values = Column::default();
    for value in [Some(r#"{"state":"CA","name":"Zoë"}"#), Some(r#"{"state":"NV"}"#), None, Some("{")] {
        values.push(value.map(str::as_bytes));
    }
    let topics = TopicColumnRef { names: &["orders"], indexes: &[] };
    let batch = Batch { count: 4, topics: Some(topics), values: Some(values.as_ref()), ..Batch::default() };
    let placed = partitioner.partition(&batch).unwrap();
    assert_eq!(placed.targets[..3], [0, -2, -2]);
    assert_eq!((placed.refused.len(), placed.refused[0].index), (1, 3));
    assert_eq!(placed.refused[0].reason, "the value is not JSON");
}

#[test]
fn what_javascript_throws_is_told() {
    let error = |settings: &[_]| plugin(settings).expect_err("the settings are refused").to_string();
    assert!(error(&[]).ends_with("the setting `state` is missing"), "{}", error(&[]));
    let unknown = error(&[("stat", "CA")]);
    assert!(unknown.ends_with("the setting `stat` is not known here; known is state"), "{unknown}");
}
