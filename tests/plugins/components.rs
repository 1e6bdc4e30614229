//! Builds the components of the tests, and finds them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `what` of a workspace of this repository for Wasm into a folder below the target folder, and says where the components
/// are. It takes no time when they are there.
pub(crate) fn build(source: &str, what: &[&str], into: &str) -> PathBuf {
    let target = target().join(into);
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--release", "--target", "wasm32-wasip2"])
        .args(what)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(source))
        .env("CARGO_TARGET_DIR", &target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .expect("cargo runs");
    assert!(
        built.status.success(),
        "{source} does not build. If its target is missing: rustup target add wasm32-wasip2\n\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    target.join("wasm32-wasip2/release")
}

/// The target folder that this program was built into.
pub(crate) fn target() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    own.ancestors().nth(3).expect("target/PROFILE/deps/this").to_owned()
}
