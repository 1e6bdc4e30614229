//! `pointsman plugin build`: a component of what the author has.

use super::component::load_alone;
use super::{adapter, inspect};
use crate::cli::Usage;
use crate::cli::terminal::print;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Make a component of a folder with go.mod or Cargo.toml, or of a core module
#[derive(Args, Debug)]
#[command(after_help = "\
A Go program is built for wasip1 and wrapped; no further tool is needed. A Rust crate is built for wasm32-wasip2, which \
makes a component of it. A core module (C, Zig, …) is wrapped as it is: it exports the functions of its roles under the \
names of the canonical ABI, such as pointsman:plugin/partitioner@0.1.0#configure.

What WASI preview 1 a module imports is answered inside the component: without files, arguments and environment, and \
with a clock that stands still within a call. What is built is loaded, as by `plugin inspect`.

Examples:
  pointsman plugin build plugins/examples/go
  pointsman plugin build . -o by-state.wasm
  pointsman plugin build router.core.wasm -o router.wasm

Exit status: 0 it is built and can be used, 1 it is not, 2 there is nothing here that can be built")]
pub(super) struct Build {
    /// The folder of a plugin's sources, or a core WebAssembly module
    #[arg(value_name = "FOLDER | FILE.wasm", default_value = ".")]
    source: PathBuf,

    /// Where the component goes [default: NAME.wasm in the folder, or FILE.component.wasm beside the module]
    #[arg(short, long, value_name = "FILE.wasm")]
    output: Option<PathBuf>,
}

/// What there is to be built.
enum Source {
    Go(PathBuf),
    Rust(PathBuf),
    Module(PathBuf),
}

impl Build {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let source = Source::find(&self.source)?;
        let (bytes, default) = match &source {
            Source::Go(folder) => {
                let (module, name) = go(folder)?;
                (wrapped(&module)?, folder.join(format!("{name}.wasm")))
            }
            Source::Rust(folder) => {
                let built = cargo(folder)?;
                let bytes = fs::read(&built).with_context(|| format!("{} cannot be read", built.display()))?;
                (bytes, folder.join(built.file_name().unwrap_or_default()))
            }
            Source::Module(file) => {
                let module = fs::read(file).map_err(|error| unreadable(file, &error))?;
                (wrapped(&module).with_context(|| file.display().to_string())?, file.with_extension("component.wasm"))
            }
        };
        let output = self.output.as_ref().unwrap_or(&default);
        // A producer that looks for changes must not meet a part of it, or one that does not load.
        let beside = output.with_extension("wasm.new");
        fs::write(&beside, bytes).map_err(|error| Usage(format!("{} cannot be written: {error}", beside.display())))?;
        let loaded = load_alone(&beside, Vec::new());
        if loaded.is_err() {
            // It helps nobody.
            let _ = fs::remove_file(&beside);
        }
        let plugin = loaded.context("what was built does not load")?;
        fs::rename(&beside, output).with_context(|| format!("{} cannot be written", output.display()))?;
        print(&inspect::described(&plugin, output)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Source {
    fn find(path: &Path) -> Result<Source> {
        let there = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if !there.is_dir() {
            return Ok(Source::Module(path.to_owned()));
        }
        match (path.join("go.mod").is_file(), path.join("Cargo.toml").is_file()) {
            (true, false) => Ok(Source::Go(path.to_owned())),
            (false, true) => Ok(Source::Rust(path.to_owned())),
            (true, true) => Err(anyhow!(Usage(format!(
                "{} has a go.mod and a Cargo.toml: build the one that is meant by itself, and name its module",
                path.display()
            )))),
            (false, false) => Err(anyhow!(Usage(format!(
                "{} has no go.mod and no Cargo.toml. Of another language, name the core module that its compiler made: \
                 pointsman plugin build FILE.wasm",
                path.display()
            )))),
        }
    }
}

fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!(Usage(format!("{} cannot be read: {error}", path.display())))
}

/// Builds a Go program. Returns its core module, and the last part of its import path.
fn go(folder: &Path) -> Result<(Vec<u8>, String)> {
    let listed = tool(for_wasm(Command::new("go").args(["list", "-f", "{{.Name}} {{.ImportPath}}"])), folder, GO)?;
    let listed = String::from_utf8_lossy(&listed);
    let (package, path) = listed.trim().split_once(' ').unwrap_or_default();
    if package != "main" {
        bail!("{} is package {package}: a plugin is package main, with an empty func main", folder.display());
    }
    // The version of a module is no name.
    let is_version = |part: &&str| part.strip_prefix('v').is_some_and(|number| number.parse::<u32>().is_ok());
    let name = path.rsplit('/').find(|part| !is_version(part)).unwrap_or(path).to_owned();
    let module = Scratch::new();
    let mut build = Command::new("go");
    build
        .args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"])
        .arg(&module.0)
        .arg(".");
    tool(for_wasm(&mut build), folder, GO)?;
    let bytes = fs::read(&module.0).with_context(|| format!("{} cannot be read", module.0.display()))?;
    Ok((bytes, name))
}

fn for_wasm(go: &mut Command) -> &mut Command {
    go.env("GOOS", "wasip1").env("GOARCH", "wasm")
}

/// Builds a crate. Returns where its component is.
fn cargo(folder: &Path) -> Result<PathBuf> {
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--target", "wasm32-wasip2", "--message-format", "json-render-diagnostics"]);
    let messages = tool(&mut build, folder, CARGO).map_err(|error| match has_rust_target(folder) {
        true => error,
        false => error.context("Rust's target is missing. Install it: rustup target add wasm32-wasip2"),
    })?;
    let messages = String::from_utf8_lossy(&messages);
    let mut built = messages.lines().filter_map(component_of);
    let Some(first) = built.next() else {
        bail!(
            "{} makes no component: say `crate-type = [\"cdylib\", \"rlib\"]` below [lib] in Cargo.toml",
            folder.display()
        );
    };
    match built.next() {
        None => Ok(first),
        Some(second) => bail!(
            "{} makes {} and {}: name the folder of one crate",
            folder.display(),
            first.display(),
            second.display()
        ),
    }
}

/// The component that a message of cargo's tells of.
fn component_of(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_library = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "cdylib");
    let files = message["filenames"].as_array().filter(|_| is_library)?;
    files.iter().filter_map(|file| file.as_str()).find(|file| file.ends_with(".wasm")).map(PathBuf::from)
}

fn has_rust_target(folder: &Path) -> bool {
    let mut ask = Command::new("rustc");
    ask.args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).current_dir(folder);
    // Where it cannot be told, cargo has said what is wrong.
    ask.output().map_or(true, |asked| Path::new(String::from_utf8_lossy(&asked.stdout).trim()).is_dir())
}

/// Runs a toolchain, whose complaints the user sees. Returns what it wrote to stdout.
fn tool(command: &mut Command, folder: &Path, install: &str) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let ran = command.current_dir(folder).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let ran = ran.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!("{name} is missing. Install it: {install}"),
        _ => anyhow!("{name} cannot be run: {error}"),
    })?;
    if !ran.status.success() {
        bail!("{name} failed ({}) in {}", ran.status, folder.display());
    }
    Ok(ran.stdout)
}

/// A file for a tool's output, gone when it has been read.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        Scratch(std::env::temp_dir().join(format!("pointsman-build-{}.wasm", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes a component of a core module: the contract's types for the roles that it exports, and the adapter below it.
fn wrapped(module: &[u8]) -> Result<Vec<u8>> {
    if !module.starts_with(b"\0asm") {
        bail!(Usage("this is no WebAssembly".to_owned()));
    }
    if Parser::is_component(module) {
        bail!(Usage("this is a component already: `pointsman plugin inspect` shows whether it can be used".to_owned()));
    }
    let Contents { roles, other_version, has_types } = Contents::of(module).context("this is no valid module")?;
    if roles.is_empty() {
        let found = other_version.map_or_else(String::new, |export| format!(" It has {export}, of another version."));
        bail!(
            "the module exports no role: no function is called pointsman:plugin/ROLE@{VERSION}#NAME, where ROLE is \
             interceptor, serializer or partitioner.{found}"
        );
    }
    let mut resolve = Resolve::default();
    resolve.push_source("pointsman.wit", CONTRACT)?;
    let package = resolve.push_source("plugin.wit", &world(&roles))?;
    let mut module = module.to_vec();
    // A module of wit-bindgen's has them.
    if !has_types {
        let plugin = resolve.select_world(&[package], Some("plugin"))?;
        embed_component_metadata(&mut module, &resolve, plugin, StringEncoding::UTF8)?;
    }
    let mut adapter = adapter::module();
    let below = resolve.select_world(&[package], Some("below"))?;
    embed_component_metadata(&mut adapter, &resolve, below, StringEncoding::UTF8)?;
    let words = || format!("the module does not fit the contract ({})", roles.join(", "));
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .with_context(words)?
        .adapter(adapter::NAME, &adapter)?
        .encode()
        .with_context(words)
}

/// The worlds of what is built: a plugin of some roles, and the adapter that it stands on.
fn world(roles: &[&str]) -> String {
    let exports: String = roles.iter().map(|role| format!("export pointsman:plugin/{role}@{VERSION};\n")).collect();
    format!(
        "package pointsman:build;\nworld plugin {{\nimport {HOST};\n{exports}}}\nworld below {{ import {HOST}; }}\n"
    )
}

/// What a module is, by its sections.
#[derive(Default)]
struct Contents {
    roles: Vec<&'static str>,
    /// An export of the contract's, but not of this version.
    other_version: Option<String>,
    /// Whether it brings the types of a world.
    has_types: bool,
}

impl Contents {
    fn of(module: &[u8]) -> Result<Contents> {
        let mut contents = Contents::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ExportSection(exports) => {
                    for export in exports {
                        contents.export(export?.name);
                    }
                }
                Payload::CustomSection(section) => {
                    contents.has_types |= section.name().starts_with("component-type");
                }
                _ => {}
            }
        }
        Ok(contents)
    }

    fn export(&mut self, name: &str) {
        let Some((interface, _)) = name.strip_prefix("pointsman:plugin/").and_then(|rest| rest.split_once('#')) else {
            return;
        };
        let role = interface.split_once('@').filter(|(_, version)| *version == VERSION);
        match ROLES.iter().find(|known| role.is_some_and(|(role, _)| role == **known)) {
            Some(role) if !self.roles.contains(role) => self.roles.push(role),
            Some(_) => {}
            None => self.other_version = Some(name.to_owned()),
        }
    }
}

/// What is built against.
const CONTRACT: &str = include_str!("../../../wit/0.1.0/pointsman.wit");
const VERSION: &str = "0.1.0";
const ROLES: [&str; 3] = ["interceptor", "serializer", "partitioner"];
/// The functions that a plugin may call.
pub(super) const HOST: &str = "pointsman:plugin/host@0.1.0";

const GO: &str = "https://go.dev/dl (1.24 or later)";
const CARGO: &str = "https://rustup.rs, then: rustup target add wasm32-wasip2";
