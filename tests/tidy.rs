//! Rules about the source that no compiler checks: who may know whom, and what stands nowhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of the crate each module may import. `error` and `record` are the vocabulary of all.
/// THINK before you add a line: what would it make impossible to replace?
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("error", &["plugin", "protocol"]),
    ("record", &[]),
    // What is told of a record is read from its batch.
    ("record_metadata", &["core"]),
    ("security", &[]),
    ("sabotage", &[]),
    ("lock", &[]),
    ("transaction", &["error", "protocol"]),
    ("core", &["error", "protocol", "sabotage", "transaction"]),
    ("plugin", &["error", "sabotage"]),
    ("wasm", &["plugin"]),
    ("lane", &["core", "error", "lock", "plugin", "protocol", "record", "record_metadata", "sabotage"]),
    ("net", &["core", "error", "lock", "protocol", "security", "transaction"]),
    // It reads everybody's counters, and nobody but the producer knows it.
    ("metrics", &["core", "lane", "net", "plugin", "wasm"]),
    ("config", &["record", "security"]),
    (
        "producer",
        &[
            "config",
            "core",
            "error",
            "lane",
            "lock",
            "metrics",
            "net",
            "plugin",
            "record",
            "record_metadata",
            "sabotage",
            "transaction",
            "wasm",
        ],
    ),
    // A chain as the producer's, without the producer.
    ("explain", &["config", "core", "error", "net", "plugin", "producer", "record"]),
];

/// Crates that one module alone may name.
/// (The demo's broker needs a runtime of its own, and only the demo's.)
const OWNED_CRATES: &[(&str, &str)] = &[
    ("tokio", "net"),
    ("wasmtime", "wasm"),
    ("socket2", "net"),
    ("krafka", "cli"),
    ("tiny_http", "metrics"),
    ("flate2", "protocol"),
    ("lz4", "protocol"),
    ("snap", "protocol"),
    ("zstd", "protocol"),
    ("rustls", "net"),
    ("tokio_rustls", "net"),
    ("ring", "net"),
    ("libgssapi", "net"),
    ("regex_lite", "config"),
];

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (file, text) in sources("src") {
        let Some(module) = module_of(&file) else { continue };
        if matches!(module.as_str(), "lib" | "main" | "cli") {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: say in tests/tidy.rs what `{module}` may import", file.display()));
            continue;
        };
        for imported in crate_paths(&text) {
            if imported != module && !allowed.contains(&imported.as_str()) && is_module(&imported) {
                wrong.push(format!("{}: `{module}` may not know `{imported}`", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_heavy_crate_has_one_owner() {
    let mut wrong = Vec::new();
    for (file, text) in sources("src") {
        let Some(module) = module_of(&file) else { continue };
        if file.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        for (name, owner) in OWNED_CRATES {
            let demo = file.starts_with("src/cli/demo") && *name == "tokio";
            if module != *owner && !demo && code_of(&text).any(|line| names_crate(line, name)) {
                wrong.push(format!("{}: only `{owner}` may name {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_is_deterministic() {
    let banned = ["HashMap", "HashSet", "Instant::now", "SystemTime", "thread::spawn", "rand::", "getrandom"];
    let mut wrong = Vec::new();
    for (file, text) in sources("src/core") {
        for (number, line) in code_of(&text).enumerate() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {word}", file.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Time is an argument. Besides the one clock, a deadline of a call into a guest and of a thread's own sleep read it,
/// the meter of a plugin's calls, and what the command says of itself.
#[test]
fn few_read_the_clock() {
    let may = ["src/net/clock.rs", "src/lane/delivery.rs", "src/plugin/meter.rs", "src/wasm/", "src/cli/"];
    let mut wrong = Vec::new();
    for (file, text) in sources("src") {
        let name = file.to_string_lossy();
        let reads = code_of(&text).any(|line| line.contains("Instant::now") || line.contains("SystemTime::now"));
        if reads && !name.contains("/tests") && !may.iter().any(|may| name.starts_with(may)) {
            wrong.push(name.into_owned());
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} read the clock");
}

#[test]
fn nothing_unfinished_and_no_machine_stands_in_the_tree() {
    let banned = [
        "to".to_owned() + "do!(",
        "unimple".to_owned() + "mented!(",
        "FIX".to_owned() + "ME",
        "/ro".to_owned() + "ot/",
    ];
    let mut wrong = Vec::new();
    for folder in ["src", "plugins", "tests", "wit"] {
        for (file, text) in sources(folder) {
            for (number, line) in text.lines().enumerate() {
                for word in banned.iter().filter(|word| line.contains(word.as_str())) {
                    wrong.push(format!("{}:{}: {word}", file.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each promise of SECURITY.md names tests, or files that are full of them, and those are there.
#[test]
fn the_tests_that_security_names_are_there() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let table = text.split("| promise | test |").nth(1).expect("the table of promises");
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 10, "{} promises", rows.len());
    let code: Vec<(PathBuf, String)> = ["src", "tests"].into_iter().flat_map(sources).collect();
    let mut wrong = Vec::new();
    for row in rows {
        let tests = row.trim_end_matches([' ', '|']).rsplit_once(" | ").expect("two columns").1;
        // What is told of a file holds for the names behind it, up to the next file or path.
        let mut place = None;
        let named: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            wrong.push(format!("no test: {row}"));
        }
        for name in named {
            if name.contains('/') {
                place = Some(name);
                if !root().join(name).is_file() {
                    wrong.push(format!("{name} is no file"));
                }
                continue;
            }
            let (function, module) = match name.rsplit_once("::") {
                Some((module, function)) => (function, Some(module.trim_end_matches("::tests").replace("::", "/"))),
                None => (name, None),
            };
            let is_in = |file: &Path| match (&module, place) {
                // The tests of `net::sasl::token` stand in src/net/sasl/token.rs or in src/net/tests/token.rs.
                (Some(module), _) => {
                    let (first, last) = (module.split('/').next(), module.split('/').next_back());
                    file.starts_with("src") && first.into_iter().chain(last).all(|part| names_part(file, part))
                }
                (None, Some(place)) => file == Path::new(place),
                (None, None) => false,
            };
            let definition = format!("fn {function}(");
            if !code.iter().any(|(file, text)| is_in(file) && text.contains(&definition)) {
                wrong.push(format!(
                    "{name} is no test{}",
                    place.map_or_else(String::new, |place| format!(" of {place}"))
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn names_part(file: &Path, part: &str) -> bool {
    file.components().any(|found| found.as_os_str().to_str().is_some_and(|found| found.trim_end_matches(".rs") == part))
}

#[test]
fn the_top_level_stays_small() {
    let expected: BTreeSet<&str> = [
        ".ci",
        ".git",
        ".gitignore",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "plugins",
        "rustfmt.toml",
        "src",
        "target",
        "tests",
        "wit",
    ]
    .into();
    let found = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let more: Vec<String> = found.filter(|name| !expected.contains(name.as_str())).collect();
    assert!(more.is_empty(), "{more:?}: does it belong there?");
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below a folder of the repository, build output aside, with its path from the root.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !matches!(name, "target" | "node_modules" | "venv") {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                let wanted = folder_is_source(folder.as_path(), name);
                if wanted {
                    found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
                }
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds no source");
    found.sort();
    found
}

fn folder_is_source(_folder: &Path, name: &str) -> bool {
    ["rs", "wit", "toml", "py", "sh", "java", "go", "md"].iter().any(|ending| name.ends_with(&format!(".{ending}")))
        || !name.contains('.')
}

/// The crate's module that a file of `src` belongs to.
fn module_of(file: &Path) -> Option<String> {
    let first = file.strip_prefix("src").ok()?.components().next()?;
    Some(first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned())
}

fn is_module(name: &str) -> bool {
    root().join("src").join(name).is_dir() || root().join("src").join(format!("{name}.rs")).is_file()
}

/// Lines of code, comments aside, up to the file's own tests.
fn code_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
}

fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for line in code_of(text) {
        for (at, _) in line.match_indices("crate::") {
            let name = line[at + 7..].split(|letter: char| !letter.is_alphanumeric() && letter != '_').next();
            paths.extend(name.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    paths
}

fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        line[at + name.len()..].starts_with("::")
            && before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_')
    })
}
