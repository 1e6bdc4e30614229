//! Builds the example in Python as its README says.

use crate::components::target;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// An interceptor that brings keys to one form of Unicode and counts acknowledgements. Built in a copy, which keeps between
/// runs what pip installs, and the component: it takes ten seconds, and has other bytes each time.
pub(crate) fn normal_keys() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let copied = target().join("guests/python");
        let folder = copied.join("plugins/examples/python");
        let [requirements, source, contract] = [
            "plugins/examples/python/requirements.txt",
            "plugins/examples/python/normal_keys.py",
            "wit/0.1.0/pointsman.wit",
        ]
        .map(|file| {
            let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("it is read");
            let copy = copied.join(file);
            fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder below target");
            fs::write(copy, &text).expect("it is copied");
            text
        });
        make(&folder.join("venv.made-of"), &requirements, || {
            run("python3", "-m venv --clear venv", &folder);
            run("venv/bin/pip", "install --quiet --disable-pip-version-check -r requirements.txt", &folder);
        });
        make(&folder.join("normal-keys.made-of"), &[requirements, source, contract].concat(), || {
            let build =
                "-d ../../../wit/0.1.0 -w interceptor-plugin componentize normal_keys --stub-wasi -o normal-keys.wasm";
            run("venv/bin/componentize-py", build, &folder);
        });
        folder.join("normal-keys.wasm")
    });
    &BUILT
}

/// Unless it was made of the same before. What is half made has no such note.
fn make(note: &Path, made_of: &str, make: impl FnOnce()) {
    if fs::read_to_string(note).is_ok_and(|noted| noted == made_of) {
        return;
    }
    let _ = fs::remove_file(note);
    make();
    fs::write(note, made_of).expect("a file below target");
}

fn run(command: &str, arguments: &str, folder: &Path) {
    let install = "If Python or its venv is missing: apt-get install -y python3 python3-venv";
    // Where a relative path starts with a changed folder is left to the system.
    let program = if command.contains('/') { folder.join(command) } else { command.into() };
    let run = Command::new(program).args(arguments.split(' ')).current_dir(folder).output();
    let run = run.unwrap_or_else(|error| panic!("{command}: {error}. {install}"));
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{command} {arguments}: {out}{err}\n{install}");
}
