//! Looks at the configuration's file and the components that it names (`plugin.reload`), and has the producer take over what
//! changes.
//!
//! It asks for the files' times and sizes, once a second, and does not wait for the system to tell it of changes: what
//! stands behind a link (a mounted ConfigMap's, a release's), in a folder that is moved or does not yet exist, or on
//! another machine is not told of, and what is told of includes its own looks. A file that has changed is read until two
//! looks in a row have seen the same, as most come to be what they are in several steps.

use super::StartError;
use super::natives::Natives;
use super::reload::Reloader;
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
        return Err("the program brings plugins of its own, whose instances cannot be made anew");
    }
    let Some(ConfigFile { path, overrides }) = config.file.clone() else {
        return Err("the configuration is from no file");
    };
    // The process may change its folder.
    let path = std::path::absolute(&path).unwrap_or(path);
    Ok(Some(ConfigFile { path, overrides }))
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
    let mut last: Option<(Seen, Stamps)> = None;
    let waits = |time| matches!(ended.recv_timeout(time), Err(RecvTimeoutError::Timeout));
    while waits(INTERVAL) {
        if last.as_ref().is_some_and(|(_, stamps)| stamps.iter().all(|(path, stamp)| Stamp::of(path) == *stamp)) {
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
        if last.as_ref().is_none_or(|(before, _)| *before != seen) {
            take_over(reloader, &seen);
        }
        last = Some((seen, stamps));
    }
}

/// What a reading has seen.
#[derive(PartialEq)]
struct Seen {
    config: Result<Config, String>,
    /// Of the components' files, by path; `None` where one cannot be read.
    digests: BTreeMap<PathBuf, Option<[u8; 32]>>,
}

impl Seen {
    fn of(file: &ConfigFile) -> Seen {
        let config = file.read().map_err(|error| error.to_string());
        let components = config.iter().flat_map(|config| config.plugins.values());
        let digest = |path: &PathBuf| (path.clone(), Plugin::digest_of(path).ok());
        let digests = components.map(|plugin| digest(&plugin.component)).collect();
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

fn take_over(reloader: &Reloader, seen: &Seen) {
    let config = match &seen.config {
        Ok(config) => config,
        Err(problems) => {
            reloader.failed();
            tracing::error!(target: LOG, "the plugins stay as they are: {problems}");
            return;
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
        }
        Err(error) => tracing::error!(target: LOG, "the plugins stay as they are: {error}"),
    }
}
