//! Builds the example in JavaScript as its README says, once per test process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A partitioner that sends a state's records to partition 0, and all others elsewhere. Built in a copy, which keeps what
/// npm installs between runs.
pub(crate) fn by_state() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("guests").join("root/plugins/examples/javascript");
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
