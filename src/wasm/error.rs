//! Why a plugin could not be loaded, in words for the person who configured it.

use std::io;
use std::path::PathBuf;

/// Why an engine or a plugin could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The machine.
    #[error("plugins cannot run here: {cause}")]
    Engine {
        /// In wasmtime's words.
        cause: String,
    },
    /// The file is missing or unreadable.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The component's file.
        path: PathBuf,
        /// From the system.
        source: io::Error,
    },
    /// The file is not the one that was pinned.
    #[error("{}: its sha256 is {found}, the config pins {pinned}", path.display())]
    Pin {
        /// The component's file.
        path: PathBuf,
        /// Of the file, in hex.
        found: String,
        /// From the config, in hex.
        pinned: String,
    },
    /// The file is no WebAssembly.
    #[error("{}: not a WebAssembly component: it begins with {begins}", path.display())]
    NotWasm {
        /// The component's file.
        path: PathBuf,
        /// Its first bytes.
        begins: String,
    },
    /// A WebAssembly module without the component around it.
    #[error(
        "{}: a core WebAssembly module, not a component: build it with `--target wasm32-wasip2` (Rust), or wrap it \
         with `pointsman plugin build`",
        path.display()
    )]
    CoreModule {
        /// The component's file.
        path: PathBuf,
    },
    /// A component that does not compile.
    #[error("{}: not a valid component: {cause}", path.display())]
    Invalid {
        /// The component's file.
        path: PathBuf,
        /// In wasmtime's words.
        cause: String,
    },
    /// It exports no role at all.
    #[error(
        "{}: exports none of interceptor, serializer, partitioner of pointsman:plugin@{CONTRACT} (it exports {exports})",
        path.display()
    )]
    NoRole {
        /// The component's file.
        path: PathBuf,
        /// What it exports.
        exports: String,
    },
    /// It was built against a contract that this host does not speak.
    #[error("{}: built for {found}; this version of pointsman speaks pointsman:plugin@{CONTRACT}", path.display())]
    Version {
        /// The component's file.
        path: PathBuf,
        /// The interface and version found.
        found: String,
    },
    /// It asks for something that a plugin does not get.
    #[error("{}: imports {import}, which a plugin does not get: {why}", path.display())]
    Import {
        /// The component's file.
        path: PathBuf,
        /// The import, as the component names it.
        import: String,
        /// The reason, and what to do.
        why: String,
    },
    /// A role has the right name and the wrong functions.
    #[error("{}: its {role} does not fit pointsman:plugin@{CONTRACT}: {cause}", path.display())]
    Shape {
        /// The component's file.
        path: PathBuf,
        /// The role.
        role: &'static str,
        /// Which function, and how.
        cause: String,
    },
    /// The config uses it for a role that it does not have.
    #[error("{}: has no {role}, only: {has}", path.display())]
    RoleMissing {
        /// The component's file.
        path: PathBuf,
        /// The role asked for.
        role: &'static str,
        /// Those it has.
        has: String,
    },
    /// It does not start, or its `configure` refused the settings.
    // Whoever shows it says which plugin it is about.
    #[error("{}: as {role}: {cause}", path.display())]
    Start {
        /// The component's file.
        path: PathBuf,
        /// The plugin's name in the config.
        name: String,
        /// The role that was tried.
        role: &'static str,
        /// The trap, the limit, or the words of `configure`.
        cause: String,
    },
}

/// The contract's version that the host is built with.
pub(super) const CONTRACT: &str = "0.1.0";
