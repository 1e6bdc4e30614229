//! The example in JavaScript, built as its README says.

use crate::guests::{load, options, target};
use pointsman::plugin::{Batch, Column, PluginFactory, TopicColumnRef, Topology};
use pointsman::wasm::{LoadError, Plugin, PluginOptions, Use};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// Built in a copy, which keeps what npm installs between runs.
fn component() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = target().join("root/plugins/examples/javascript");
        fs::create_dir_all(&folder).expect("a folder below target");
        for file in ["package.json", "package-lock.json", "by-state.js"] {
            fs::copy(root.join("plugins/examples/javascript").join(file), folder.join(file)).expect("it is copied");
        }
        let contract = folder.join("../../../wit/0.1.0");
        fs::create_dir_all(&contract).expect("a folder below target");
        fs::copy(root.join("wit/0.1.0/pointsman.wit"), contract.join("pointsman.wit")).expect("it is copied");
        npm(&["install", "--no-audit", "--no-fund", "--prefer-offline"], &folder);
        npm(&["run", "build"], &folder);
        folder.join("by-state.wasm")
    });
    &BUILT
}

fn npm(arguments: &[&str], folder: &Path) {
    let run = Command::new("npm").args(arguments).current_dir(folder).output();
    let run = run.unwrap_or_else(|error| panic!("npm: {error}. Install it: apt-get install -y nodejs npm"));
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "npm {}: {out}{err}", arguments.join(" "));
}

fn plugin(settings: &[(&str, &str)]) -> Result<Plugin, LoadError> {
    let uses = vec![Use::Partitioner];
    load(PluginOptions { name: "by-state".into(), path: component().to_owned(), uses, ..options(settings) })
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
