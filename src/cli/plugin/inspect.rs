//! `pointsman plugin inspect`: what a component is, before it runs.

use super::component::{load_alone, name};
use crate::cli::terminal::{print, thousands};
use anyhow::Result;
use clap::Args;
use pointsman::wasm::Plugin;
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
        let plugin = load_alone(&self.file, Vec::new())?;
        print(&described(&plugin, &self.file)?)?;
        Ok(ExitCode::SUCCESS)
    }
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

/// What the names of the contract's interfaces begin with.
const CONTRACT: &str = "pointsman:plugin/";
