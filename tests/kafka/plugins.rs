//! The shipped plugins and the misbehaving guest, built once per test process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A shipped plugin's component, such as `region_router`.
pub(crate) fn component(name: &str) -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| build("plugins", &["--workspace"]));
    BUILT.join(format!("{name}.wasm"))
}

/// The guest of the plugin tests, which behaves as its `mode` setting says.
pub(crate) fn guest() -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| build("tests/plugins/guests", &["--lib"]));
    BUILT.join("guest.wasm")
}

fn build(folder: &str, what: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("target").join(if folder == "plugins" { "plugins" } else { "guests" });
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip2"])
        .args(what)
        .current_dir(root.join(folder))
        .env("CARGO_TARGET_DIR", &target)
        .output()
        .expect("cargo runs");
    assert!(
        built.status.success(),
        "{folder} does not build. If its target is missing: rustup target add wasm32-wasip2\n\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    target.join("wasm32-wasip2/release")
}
