//! The example in JavaScript.

use crate::guests::{load, options, places_by_state};
use crate::npm::by_state;
use pointsman::plugin::PluginFactory;
use pointsman::wasm::{LoadError, Plugin, PluginOptions, Use};

fn plugin(settings: &[(&str, &str)]) -> Result<Plugin, LoadError> {
    let uses = vec![Use::Partitioner];
    load(PluginOptions { name: "by-state".into(), path: by_state().to_owned(), uses, ..options(settings) })
}

#[test]
fn a_partitioner_in_javascript_places_records_and_refuses_bad_ones() {
    let mut partitioner = plugin(&[("state", "CA")]).unwrap().partitioner(0).unwrap();
    assert_eq!(places_by_state(&mut *partitioner), "the value is not JSON");
}

#[test]
fn what_javascript_throws_is_told() {
    let error = |settings: &[_]| plugin(settings).expect_err("the settings are refused").to_string();
    assert!(error(&[]).ends_with("the setting `state` is missing"), "{}", error(&[]));
    let unknown = error(&[("stat", "CA")]);
    assert!(unknown.ends_with("the setting `stat` is not known here; known is state"), "{unknown}");
}
