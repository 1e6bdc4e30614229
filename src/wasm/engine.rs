//! The engine: what all plugins of a process share.

use super::error::LoadError;
use super::state::State;
use super::ticker::Ticker;
use super::{bindings, wasi};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Cache, CacheConfig, Config, OptLevel};

/// How to make an [`Engine`].
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Where compiled components are kept between runs; `None`: nowhere. The folder is made when it is missing, for
    /// this user alone. It holds machine code that is run as it is found, so one that others may write to is not
    /// used: the engine goes on without it, and the log says why.
    pub cache_dir: Option<PathBuf>,
}

/// What all plugins of a process share: the compiler, the host's functions, and the clock of the deadlines. A clone
/// is the same engine.
///
/// Calls into plugins must come from threads with at least 2 MiB of stack.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    engine: wasmtime::Engine,
    linker: Linker<State>,
    ticker: Arc<Ticker>,
}

impl Engine {
    /// Makes an engine, and starts its one thread, which sleeps while no call runs.
    ///
    /// # Errors
    /// [`LoadError::Engine`] where the machine is not one that wasmtime compiles for, or has no thread left.
    pub fn new(options: EngineOptions) -> Result<Engine, LoadError> {
        let fault = |cause: String| LoadError::Engine { cause };
        let mut config = config();
        config.cache(options.cache_dir.as_deref().and_then(cache));
        let engine = wasmtime::Engine::new(&config).map_err(|cause| fault(format!("{cause:#}")))?;
        let linker = linker(&engine).map_err(|cause| fault(format!("{cause:#}")))?;
        let ticker =
            Ticker::start(engine.weak()).map_err(|cause| fault(format!("no thread for the deadlines: {cause}")))?;
        Ok(Engine(Arc::new(Inner { engine, linker, ticker })))
    }

    pub(super) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.0.engine
    }

    pub(super) fn linker(&self) -> &Linker<State> {
        &self.0.linker
    }

    pub(super) fn ticker(&self) -> &Ticker {
        &self.0.ticker
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ticker.stop();
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Its bookkeeping would be paid on every call, and no hook is async.
        .concurrency_support(false)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        // Only other people's unwinders read it; Windows insists.
        .native_unwind_info(cfg!(windows))
        .max_wasm_stack(WASM_STACK_BYTES);
    config
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    bindings::Plugin::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

fn cache(dir: &Path) -> Option<Cache> {
    let opened = own_dir(dir).and_then(|dir| {
        let mut config = CacheConfig::new();
        config.with_directory(dir);
        Cache::new(config).map_err(|cause| format!("{cause:#}"))
    });
    match opened {
        Ok(cache) => Some(cache),
        Err(cause) => {
            tracing::warn!("compiled plugins are not kept in {}: {cause}", dir.display());
            None
        }
    }
}

/// The absolute path of a folder that only this user can write to.
#[cfg(unix)]
fn own_dir(dir: &Path) -> Result<PathBuf, String> {
    use std::os::unix::fs::{DirBuilderExt, MetadataExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|cause| cause.to_string())?;
    let meta = std::fs::metadata(dir).map_err(|cause| cause.to_string())?;
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user".into());
    }
    if meta.mode() & 0o022 != 0 {
        return Err(format!("others may write to it (mode {:o}, should be 700)", meta.mode() & 0o777));
    }
    dir.canonicalize().map_err(|cause| cause.to_string())
}

#[cfg(not(unix))]
fn own_dir(dir: &Path) -> Result<PathBuf, String> {
    std::fs::create_dir_all(dir).and_then(|()| dir.canonicalize()).map_err(|cause| cause.to_string())
}

/// Of the calling thread's stack.
const WASM_STACK_BYTES: usize = 1 << 20;
