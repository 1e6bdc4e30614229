//! `pointsman plugin inspect`: what a component is, before it runs.

use crate::cli::Usage;
use crate::cli::terminal::{print, thousands};
use anyhow::{Result, anyhow};
use clap::Args;
use pointsman::wasm::{Engine, EngineOptions, Limits, LoadError, Plugin, PluginOptions};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show a component's roles, imports, size and digest, and whether it fits this version
#[derive(Args, Debug)]
#[command(after_help = "Example: pointsman plugin inspect region-router.wasm\n\n\
                        Exit status: 0 it can be used, 1 it cannot, 2 the file cannot be read")]
pub(super) struct Inspect {
    /// The component
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
}

impl Inspect {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let plugin = load(&self.file).map_err(|error| match error.downcast_ref() {
            Some(LoadError::Read { .. }) => anyhow!(Usage(error.to_string())),
            _ => error,
        })?;
        print(&described(&plugin, &self.file)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Loads a component, with nothing of it configured.
pub(super) fn load(file: &Path) -> Result<Plugin> {
    let engine = Engine::new(EngineOptions::default())?;
    let options = PluginOptions {
        name: name(file),
        path: file.to_owned(),
        sha256: None,
        settings: Vec::new(),
        limits: Limits::default(),
        client_id: String::new(),
        // None is configured: what settings it needs is not known here.
        uses: Vec::new(),
    };
    Ok(Plugin::load(&engine, options)?)
}

/// What it is, and how a configuration names it.
pub(super) fn described(plugin: &Plugin, file: &Path) -> Result<String> {
    let name = name(file);
    let size = std::fs::metadata(file).map(|file| file.len()).unwrap_or_default();
    let roles = plugin.roles();

    let mut text = String::new();
    writeln!(text, "{}", file.display())?;
    writeln!(text, "  roles    {roles}")?;
    let contract = plugin.imports().iter().find_map(|import| import.strip_prefix(CONTRACT)?.split_once('@'));
    if let Some((_, version)) = contract {
        writeln!(text, "  contract pointsman:plugin@{version}")?;
    }
    if let Some(version) = plugin.version() {
        writeln!(text, "  version  {version}")?;
    }
    writeln!(text, "  size     {} bytes", thousands(size))?;
    writeln!(text, "  sha256   {}", plugin.digest())?;
    for (at, import) in plugin.imports().iter().enumerate() {
        writeln!(text, "  {:<8} {import}", if at == 0 { "imports" } else { "" })?;
    }
    writeln!(text, "\nIn a configuration:")?;
    writeln!(text, "  [producer]")?;
    let lines = [
        (roles.interceptor, format!("interceptor.classes = [\"wasm:{name}\"]")),
        (roles.serializer, format!("value.serializer = \"wasm:{name}\"")),
        (roles.partitioner, format!("partitioner.class = \"wasm:{name}\"")),
    ];
    for (_, line) in lines.iter().filter(|(there, _)| *there) {
        writeln!(text, "  {line}")?;
    }
    writeln!(text, "  [plugins.{name}]")?;
    writeln!(text, "  component = {:?}", file.display().to_string())?;
    Ok(text)
}

/// The name that its file suggests.
fn name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-")
}

/// What the names of the contract's interfaces begin with.
const CONTRACT: &str = "pointsman:plugin/";
