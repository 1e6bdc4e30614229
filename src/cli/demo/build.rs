//! The plugins, built from their sources.

use crate::cli::stopwatch::Stopwatch;
use crate::cli::terminal::{say, thousands};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The built plugins.
pub(super) struct Plugins {
    /// The folder that built things go to.
    pub(super) target: PathBuf,
    elapsed: Duration,
}

/// Builds them. What cargo has to say goes to stderr.
pub(super) fn plugins(given: Option<&Path>) -> Result<Plugins> {
    let sources = sources(given)?;
    install_target()?;
    let root = sources.parent().map(Path::to_path_buf).unwrap_or_default();
    let target = root.join("target");
    let started = Stopwatch::start();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(&cargo);
    build.args(["build", "--quiet", "--release", "--target", TARGET, "--manifest-path"]);
    build.arg(sources.join("Cargo.toml")).arg("--target-dir").arg(target.join(FOLDER));
    build.args(NAMES.map(|name| format!("--package={}", name.replace('_', "-"))));
    // Flags for this machine are none for a component.
    build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(&mut build).context("the plugins cannot be built")?;
    let plugins = Plugins { target, elapsed: started.elapsed() };
    for name in NAMES {
        let file = plugins.target.join(plugins.relative(name));
        ensure!(file.is_file(), "{} was not built from {}", file.display(), sources.display());
    }
    Ok(plugins)
}

impl Plugins {
    /// Where a component is, in the target folder.
    pub(super) fn relative(&self, name: &str) -> PathBuf {
        [FOLDER, TARGET, "release", &format!("{name}.wasm")].iter().collect()
    }

    /// The same, as seen from a folder in the target folder, as a TOML string has it.
    pub(super) fn relative_to_target(&self, name: &str) -> String {
        format!("../{FOLDER}/{TARGET}/release/{name}.wasm")
    }

    /// One line about them.
    pub(super) fn summary(&self) -> String {
        let size = |name: &str| {
            let bytes = std::fs::metadata(self.target.join(self.relative(name))).map_or(0, |file| file.len());
            format!("{} ({} KiB)", name.replace('_', "-"), thousands(bytes.div_ceil(1024)))
        };
        let names: Vec<String> = NAMES.iter().map(|name| size(name)).collect();
        format!("{}, built in {:.1} s", names.join(", "), self.elapsed.as_secs_f64())
    }
}

/// Where the sources are: as given, beside this program's own when cargo runs it, or here.
fn sources(given: Option<&Path>) -> Result<PathBuf> {
    let is_there = |folder: &Path| folder.join("Cargo.toml").is_file();
    if let Some(given) = given {
        ensure!(is_there(given), "--plugins {}: no Cargo.toml in it", given.display());
        return Ok(std::path::absolute(given)?);
    }
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(|folder| PathBuf::from(folder).join("plugins"));
    let here = std::env::current_dir()?.join("plugins");
    match own.into_iter().chain([here]).find(|folder| is_there(folder)) {
        Some(folder) => Ok(folder),
        None => bail!(
            "the plugins' sources are not here: run the demo in pointsman's own folder, or pass --plugins DIR with \
             the path of its plugins folder"
        ),
    }
}

fn install_target() -> Result<()> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let asked = asked.context("rustc cannot be run; the plugins need Rust, see https://rustup.rs")?;
    if asked.status.success() && Path::new(String::from_utf8_lossy(&asked.stdout).trim()).is_dir() {
        return Ok(());
    }
    say(format!("installing Rust's {TARGET} target: rustup target add {TARGET}"));
    run(Command::new("rustup").args(["target", "add", TARGET]))
        .with_context(|| format!("Rust's {TARGET} target is missing and cannot be installed"))
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{program} cannot be run"))?;
    ensure!(status.success(), "{program} failed ({status}); its words are above");
    Ok(())
}

const TARGET: &str = "wasm32-wasip2";
const FOLDER: &str = "plugins";
const NAMES: [&str; 3] = ["trace_context", "schema_frame", "region_router"];
