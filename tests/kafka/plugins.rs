//! The shipped plugins and the misbehaving guest, built once per test process.

#[path = "../plugins/components.rs"]
mod components;

use components::build;
use std::path::PathBuf;
use std::sync::LazyLock;

/// A shipped plugin's component, such as `region_router`.
pub(crate) fn component(name: &str) -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| build("plugins", &["--workspace"], "plugins"));
    BUILT.join(format!("{name}.wasm"))
}

/// The guest of the plugin tests, which behaves as its `mode` setting says.
pub(crate) fn guest() -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| build("tests/plugins/guests", &["--lib"], "guests"));
    BUILT.join("guest.wasm")
}
