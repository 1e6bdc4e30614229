//! Watches the configuration's file and the components that it names (`plugin.reload`), and has the producer take over what
//! changes.
//!
//! What the system says of its folders is but a hint to look: files come to be what they are in several steps, are renamed,
//! or stand behind links that change (as those of a mounted ConfigMap do). What counts is what is read, once two looks in a
//! row have seen the same.

use super::natives::Natives;
use super::{Inner, StartError};
use crate::config::{Config, ConfigFile};
use crate::wasm::Plugin;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

const LOG: &str = "pointsman::plugin";
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The file to be watched, if there is one and it is wanted.
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
    config.file.clone().map(Some).ok_or("the configuration is from no file")
}

/// The thread that watches. Dropping it ends it.
pub(super) struct Watch {
    hints: Sender<Hint>,
    thread: Option<JoinHandle<()>>,
}

enum Hint {
    Look,
    End,
}

/// What one look has seen.
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

/// What is watched, and by whom.
struct Watched {
    file: ConfigFile,
    watcher: RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
}

impl Watch {
    /// Starts to watch for a producer.
    ///
    /// # Errors
    /// [`StartError::Watch`], or the system has no thread for us.
    pub(super) fn start(file: ConfigFile, producer: &Arc<Inner>) -> Result<Watch, StartError> {
        let (hints, hinted) = channel();
        let path = file.path.clone();
        let cannot =
            |path: &Path, error: notify::Error| StartError::Watch { path: path.to_owned(), cause: error.to_string() };
        let hint = hints.clone();
        // Whatever it says. A channel that nobody reads is one whose thread has ended.
        let watcher =
            notify::recommended_watcher(move |_| drop(hint.send(Hint::Look))).map_err(|error| cannot(&path, error))?;
        let mut watched = Watched { file, watcher, folders: BTreeSet::new() };
        // Before the first look: what changes after it is not missed.
        watched.watch(&folder_of(&path)).map_err(|error| cannot(&folder_of(&path), error))?;
        let seen = Seen::of(&watched.file);
        if let Some((folder, error)) = watched.watch_all(&seen).pop() {
            return Err(cannot(&folder, error));
        }
        let producer = Arc::downgrade(producer);
        let thread = std::thread::Builder::new()
            .name("pointsman-watch".to_owned())
            .spawn(move || watched.run(seen, &hinted, &producer))?;
        Ok(Watch { hints, thread: Some(thread) })
    }
}

impl Watched {
    fn watch(&mut self, folder: &Path) -> notify::Result<()> {
        if !self.folders.contains(folder) {
            self.watcher.watch(folder, RecursiveMode::NonRecursive)?;
            self.folders.insert(folder.to_owned());
        }
        Ok(())
    }

    /// Watches where the components are, too. Returns where that cannot be.
    fn watch_all(&mut self, seen: &Seen) -> Vec<(PathBuf, notify::Error)> {
        let mut failed = Vec::new();
        for folder in seen.digests.keys().map(|path| folder_of(path)).collect::<BTreeSet<_>>() {
            if let Err(error) = self.watch(&folder) {
                failed.push((folder, error));
            }
        }
        failed
    }

    fn run(mut self, mut last: Seen, hinted: &Receiver<Hint>, producer: &Weak<Inner>) {
        while matches!(hinted.recv(), Ok(Hint::Look)) {
            let mut seen = Seen::of(&self.file);
            loop {
                std::thread::sleep(PAUSE);
                // Hints that came meanwhile are answered by the next look.
                if has_ended(hinted) {
                    return;
                }
                let again = Seen::of(&self.file);
                if again == seen {
                    break;
                }
                seen = again;
            }
            if seen == last {
                continue;
            }
            for (folder, error) in self.watch_all(&seen) {
                tracing::warn!(target: LOG, "cannot watch {}: {error}", folder.display());
            }
            let Some(producer) = producer.upgrade() else { return };
            take_over(&producer, &seen);
            last = seen;
        }
    }
}

/// Takes the hints that there are. Whether the end is among them.
fn has_ended(hinted: &Receiver<Hint>) -> bool {
    loop {
        match hinted.try_recv() {
            Ok(Hint::Look) => {}
            Ok(Hint::End) | Err(TryRecvError::Disconnected) => return true,
            Err(TryRecvError::Empty) => return false,
        }
    }
}

fn take_over(producer: &Inner, seen: &Seen) {
    let config = match &seen.config {
        Ok(config) => config,
        Err(problems) => {
            producer.metrics.reloads.failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            tracing::error!(target: LOG, "the plugins stay as they are: {problems}");
            return;
        }
    };
    match producer.reload(config) {
        Ok(reloaded) => {
            if reloaded.changed {
                let names = if reloaded.plugins.is_empty() { "none".to_owned() } else { reloaded.plugins.join(", ") };
                tracing::info!(target: LOG, "other chains have been taken over; new or changed plugins: {names}");
            }
            if !reloaded.ignored.is_empty() {
                tracing::warn!(target: LOG, "changed, but needing a restart to count: {}", reloaded.ignored.join(", "));
            }
        }
        Err(error) => tracing::error!(target: LOG, "the plugins stay as they are: {error}"),
    }
}

/// Where the file is: what renames or links it anew is seen there only.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // One that has ended by itself hears nothing.
        let _ = self.hints.send(Hint::End);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // Its panic was told by the panic hook.
            let _ = thread.join();
        }
    }
}
