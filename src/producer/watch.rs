//! Looks at the configuration's file and the components that it names (`plugin.reload`), and has the producer take over what
//! changes.
//!
//! It asks for the files' times and sizes, once a second, and does not wait for the system to tell it of changes: what
//! stands behind a link (a mounted ConfigMap's, a release's), in a folder that is moved or does not yet exist, or on
//! another machine is not told of, and what is told of includes its own looks. A file that has changed is read until two
//! looks in a row have seen the same, as most come to be what they are in several steps.

use super::StartError;
use super::natives::Natives;
use super::reload::{HAS_NATIVES, ReloadError, Reloader};
use crate::config::{Config, ConfigFile};
use crate::wasm::Plugin;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, SystemTime};

const LOG: &str = "pointsman::plugin";
/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two readings of what has changed.
const PAUSE: Duration = Duration::from_millis(100);

/// The file to be watched, if that is wanted.
///
/// # Errors
/// It is wanted, and why it cannot be.
pub(super) fn file_of(config: &Config, natives: &Natives) -> Result<Option<ConfigFile>, &'static str> {
    if !config.producer.plugin_reload {
        return Ok(None);
    }
    if !natives.is_empty() {
        return Err(HAS_NATIVES);
    }
    let Some(ConfigFile { path, overrides }) = config.file.clone() else {
        return Err("the configuration is from no file");
    };
    // The process may change its folder.
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    let overrides = overrides.into_iter().map(|(key, value)| {
        let is_path = key.starts_with("plugins.") && key.ends_with(".component");
        let value = if is_path { absolute(value.into()).to_string_lossy().into_owned() } else { value };
        (key, value)
    });
    Ok(Some(ConfigFile { path: absolute(path), overrides: overrides.collect() }))
}

/// The thread that watches. Dropping it ends it, and does not wait for that: it may be compiling.
pub(super) struct Watch {
    /// Nothing is ever sent.
    _ends: Sender<()>,
}

impl Watch {
    /// Starts to watch.
    ///
    /// # Errors
    /// The system has no thread for us.
    pub(super) fn start(file: ConfigFile, reloader: Arc<Reloader>) -> Result<Watch, StartError> {
        let (ends, ended) = channel();
        let name = "pointsman-watch".to_owned();
        std::thread::Builder::new().name(name).spawn(move || run(&file, &reloader, &ended))?;
        Ok(Watch { _ends: ends })
    }
}

type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

fn run(file: &ConfigFile, reloader: &Reloader, ended: &Receiver<()>) {
    // The first time, whatever it sees: what runs was read a while ago.
    let mut last: Option<Look> = None;
    let waits = |time| matches!(ended.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    while waits(INTERVAL) {
        if last.as_ref().is_some_and(|last| last.seen.is_whole() && last.is_current()) {
            continue;
        }
        let mut seen = Seen::of(file);
        let stamps = loop {
            if !waits(PAUSE) {
                return;
            }
            // From before it is read: what changes after that is another change.
            let stamps = stamps(file, &seen);
            let again = Seen::of(file);
            if again == seen {
                break stamps;
            }
            seen = again;
        };
        let is_news = |last: &Look| last.seen != seen || !last.taken && last.stamps != stamps;
        let taken = match &last {
            Some(last) if !is_news(last) => last.taken,
            _ => take_over(reloader, &seen),
        };
        last = Some(Look { seen, stamps, taken });
    }
}

/// What a look has come to.
struct Look {
    seen: Seen,
    stamps: Stamps,
    /// Whether it runs. What failed is tried again when somebody has touched it.
    taken: bool,
}

impl Look {
    /// Whether the files are still the same.
    fn is_current(&self) -> bool {
        self.stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)
    }
}

/// What a reading has seen.
#[derive(PartialEq)]
struct Seen {
    config: Result<Config, String>,
    /// Of the files of the components in use, by path; `None` where one cannot be read.
    digests: BTreeMap<PathBuf, Option<[u8; 32]>>,
}

impl Seen {
    /// Whether all of it could be read. What could not may be there in a moment.
    fn is_whole(&self) -> bool {
        self.config.is_ok() && self.digests.values().all(Option::is_some)
    }

    fn of(file: &ConfigFile) -> Seen {
        let config = file.read().map_err(|error| error.to_string());
        let mut digests = BTreeMap::new();
        if let Ok(config) = &config {
            for (_, name) in config.plugins_in_use() {
                let component = &config.plugins[&name].component;
                digests.entry(component.clone()).or_insert_with(|| Plugin::digest_of(component).ok());
            }
        }
        Seen { config, digests }
    }
}

/// What the system says of a file, wherever links lead to: another file, or another content, has another one.
#[derive(PartialEq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    /// Device, number and time of the last change of anything.
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl Stamp {
    /// `None` of a file that is not there.
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
            },
        })
    }
}

/// Of the configuration's file and of the components that it names.
fn stamps(file: &ConfigFile, seen: &Seen) -> Stamps {
    std::iter::once(&file.path).chain(seen.digests.keys()).map(|path| (path.clone(), Stamp::of(path))).collect()
}

/// Whether what was seen runs now.
fn take_over(reloader: &Reloader, seen: &Seen) -> bool {
    let config = match &seen.config {
        Ok(config) => config,
        Err(problems) => {
            reloader.failed();
            tracing::error!(target: LOG, "the plugins stay as they are: {problems}");
            return false;
        }
    };
    match reloader.reload(config) {
        Ok(reloaded) => {
            if reloaded.changed {
                let names = if reloaded.plugins.is_empty() { "none".to_owned() } else { reloaded.plugins.join(", ") };
                tracing::info!(target: LOG, "other chains have been taken over; new or changed plugins: {names}");
                for notice in &reloaded.notices {
                    tracing::warn!(target: "pointsman::config", "{notice}");
                }
            }
            if !reloaded.ignored.is_empty() {
                tracing::warn!(target: LOG, "changed, but needing a restart to count: {}", reloaded.ignored.join(", "));
            }
            true
        }
        // It has told why elsewhere.
        Err(ReloadError::Closed) => false,
        Err(error) => {
            tracing::error!(target: LOG, "the plugins stay as they are: {error}");
            false
        }
    }
}
