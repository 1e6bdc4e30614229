//! Builds the guest once per test process and loads it.

use crate::components::{build, target};
use pointsman::plugin::{Batch, Column, FailureKind, Partitioner, PluginFailure, TopicColumnRef, Topology};
use pointsman::wasm::{Engine, EngineOptions, Limits, LoadError, Plugin, PluginOptions, Use};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

/// The component that has every role and every vice.
pub(crate) fn guest() -> PathBuf {
    built().join("guest.wasm")
}

/// A component that is only a partitioner: everything to the last partition.
pub(crate) fn router() -> PathBuf {
    built().join("examples/router.wasm")
}

/// All roles, done plainly.
pub(crate) fn plain() -> Plugin {
    load(PluginOptions { path: built().join("examples/plain.wasm"), ..options(&[]) }).expect("it loads")
}

/// A plugin of this repository, such as `region_router`, with settings, and tried as what it is used for.
pub(crate) fn shipped(component: &str, uses: &[Use], settings: &[(&str, &str)]) -> Result<Plugin, LoadError> {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| build("plugins", &["--workspace"], "plugins"));
    let path = BUILT.join(format!("{component}.wasm"));
    load(PluginOptions { name: component.replace('_', "-"), path, uses: uses.to_vec(), ..options(settings) })
}

/// The folder of the test's own components, built for this process.
fn built() -> &'static Path {
    static BUILT: LazyLock<PathBuf> =
        LazyLock::new(|| build("tests/plugins/guests", &["--lib", "--examples"], "guests"));
    &BUILT
}

/// One engine for all tests, which keeps the compiled guest between runs.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
        Engine::new(EngineOptions { cache_dir: Some(target().join("guests/compiled")) }).expect("an engine")
    });
    &ENGINE
}

/// The guest's options: no pin, no uses, time enough for a slow machine.
pub(crate) fn options(settings: &[(&str, &str)]) -> PluginOptions {
    PluginOptions {
        name: "guest".into(),
        path: guest(),
        sha256: None,
        settings: settings.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect(),
        limits: Limits { timeout: Duration::from_secs(20), ..Limits::default() },
        client_id: "orders".into(),
        uses: vec![],
    }
}

/// The guest in one of its modes.
pub(crate) fn mode(mode: &str) -> Plugin {
    with(&[("mode", mode)], |_| {})
}

/// The guest with settings, and other options changed.
pub(crate) fn with(settings: &[(&str, &str)], change: impl FnOnce(&mut PluginOptions)) -> Plugin {
    let mut options = options(settings);
    change(&mut options);
    load(options).expect("the guest loads")
}

/// Loads into the tests' engine.
pub(crate) fn load(options: PluginOptions) -> Result<Plugin, LoadError> {
    Plugin::load(engine(), options)
}

/// Some records, owned.
pub(crate) struct Records {
    pub(crate) keys: Column,
    pub(crate) values: Column,
    indexes: Vec<u32>,
}

/// Records `key-0`, `key-1`, … of topics "orders" and "trips" in turns.
pub(crate) fn records(count: usize) -> Records {
    let (mut keys, mut values) = (Column::default(), Column::default());
    for i in 0..count {
        keys.push(Some(format!("key-{i}").as_bytes()));
        values.push(if i % 3 == 2 { None } else { Some(b"a value") });
    }
    Records { keys, values, indexes: (0..count as u32).map(|i| i % 2).collect() }
}

impl Records {
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            count: self.keys.len(),
            topics: Some(TopicColumnRef { names: &["orders", "trips"], indexes: &self.indexes }),
            keys: Some(self.keys.as_ref()),
            values: Some(self.values.as_ref()),
            ..Batch::default()
        }
    }
}

/// The guide's partitioner, in whichever language: CA's orders go to partition 0, the others to the group of the rest, and
/// the fourth is refused. Returns why.
pub(crate) fn places_by_state(partitioner: &mut dyn Partitioner) -> String {
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
    placed.refused[0].reason.clone()
}

/// Whether a call failed so, with words that hold these.
#[track_caller]
pub(crate) fn assert_fails<T: std::fmt::Debug>(answer: Result<T, PluginFailure>, kind: FailureKind, words: &str) {
    let failure = answer.expect_err("the call fails");
    assert_eq!(failure.kind, kind, "{failure}");
    assert!(failure.cause.contains(words), "{:?} should hold {words:?}", failure.cause);
}
