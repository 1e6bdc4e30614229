//! Other plugins in the place of those that run, without a restart.
//!
//! What changed is compiled, checked, configured and started beside what runs, and every lane takes it between two chunks.
//! A plugin whose table and component are as before stays, with all that its instances know. Where anything of it fails,
//! everything stays as it was.

use super::chains::{Chains, LaneChains, load_plugins};
use super::natives::Natives;
use super::{Producer, StartError};
use crate::config::{ChainConfig, Config, PluginConfig, Setting, TopicPattern};
use crate::lane::Lanes;
use crate::metrics::Sources;
use crate::net;
use crate::wasm;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};

/// What was taken over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// Whether there was anything to take over.
    pub changed: bool,
    /// Plugins that are new, or other than before, by their names in the configuration.
    pub plugins: Vec<String>,
    /// Keys that are other than at the start and have nothing to do with plugins: they need a restart to count. What is
    /// secret, or from a provider, is not compared.
    pub ignored: Vec<&'static str>,
    /// What is worth knowing of the configuration: see [`Producer::notices`].
    pub notices: Vec<String>,
}

/// Why the plugins are those that they were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// A plugin is not fit for use.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The producer is not made for what is asked for.
    #[error("{0}: it takes a restart")]
    Restart(String),
    /// A lane has ended: the producer is closed, or a plugin of the program's own panicked. Lanes that have not, if any, go
    /// on with what they were to take over.
    #[error("the producer is closed, or a lane of it has ended")]
    Closed,
    /// The call cannot be made from where it was made.
    #[error("{0}")]
    Misuse(&'static str),
}

/// Why nothing can be taken over.
pub(super) const HAS_NATIVES: &str = "the program brings plugins of its own, whose instances cannot be made anew";

/// What takes over plugins. It has nothing to do with the end of the producer.
pub(super) struct Reloader {
    running: Running,
    lanes: Arc<Lanes>,
    metrics: Arc<Sources>,
}

/// What runs, to be compared with what is to come.
pub(super) struct Running {
    /// What was set at the start.
    first: BTreeMap<&'static str, Setting>,
    /// By the configuration whose plugins run.
    plugged: Mutex<Plugged>,
    /// By chain.
    made_for: Vec<MadeFor>,
    /// The program brings plugins of its own, whose instances there is no other of.
    has_natives: bool,
}

/// What a configuration says of plugins.
struct Plugged {
    plugins: BTreeMap<String, PluginConfig>,
    common: ChainConfig,
    topics: Vec<(TopicPattern, ChainConfig)>,
}

impl Plugged {
    fn of(config: &Config) -> Plugged {
        let mut plugins = config.plugins.clone();
        for plugin in plugins.values_mut() {
            // It stays where it is if the process changes its folder.
            if let Ok(path) = std::path::absolute(&plugin.component) {
                plugin.component = path;
            }
        }
        let topics = config.topics.iter().map(|topic| (topic.pattern.clone(), topic.chain.clone())).collect();
        Plugged { plugins, common: config.producer.chain(), topics }
    }

    /// Whether a plugin that runs is as it was, its component included.
    fn has_same(&self, before: &Plugged, name: &str, plugin: &wasm::Plugin) -> bool {
        let (Some(before), Some(now)) = (before.plugins.get(name), self.plugins.get(name)) else { return false };
        before == now && wasm::Plugin::digest_of(&now.component).is_ok_and(|digest| digest == plugin.sha256())
    }

    fn patterns(&self) -> impl Iterator<Item = &TopicPattern> {
        self.topics.iter().map(|(pattern, _)| pattern)
    }
}

/// What the lanes of a chain are made for.
struct MadeFor {
    table: String,
    lanes: usize,
    /// Else senders append the records themselves.
    anything: bool,
    acknowledgements: bool,
    changes_topics: bool,
    round_robin: bool,
}

impl MadeFor {
    fn of(chain: &LaneChains) -> MadeFor {
        let lane = &chain.lanes[0];
        MadeFor {
            table: chain.table.clone(),
            lanes: chain.lanes.len(),
            anything: !lane.is_empty(),
            acknowledgements: lane.wants_acknowledgements(),
            changes_topics: lane.changes_topics(),
            round_robin: chain.round_robin,
        }
    }

    /// Whether they can do with another chain.
    ///
    /// # Errors
    /// What they are not made for.
    fn check(&self, next: &MadeFor) -> Result<(), String> {
        let table = &self.table;
        if next.anything && !self.anything {
            return Err(format!("the chain of {table} has plugins or serializers, and had none"));
        }
        // The chain of no plugin needs no lane.
        if next.anything && self.lanes != next.lanes {
            return Err(format!("the chain of {table} runs in {} lanes instead of {}", next.lanes, self.lanes));
        }
        if next.acknowledgements && !self.acknowledgements {
            return Err(format!(
                "an interceptor of {table} wants to hear of outcomes, and none did (nor was plugin.reload set)"
            ));
        }
        if next.changes_topics && !self.changes_topics {
            return Err(format!("an interceptor of {table} may change topics, and none did"));
        }
        if self.round_robin != next.round_robin {
            return Err(format!("partitioner.class of {table} changes to or from round-robin"));
        }
        Ok(())
    }
}

impl Running {
    pub(super) fn new(config: &Config, chains: &Chains, natives: &Natives) -> Running {
        let mut made_for: Vec<MadeFor> = chains.each.iter().map(MadeFor::of).collect();
        let may_reload = config.producer.plugin_reload && natives.is_empty();
        for chain in &mut made_for {
            chain.acknowledgements |= chain.anything && may_reload;
        }
        Running {
            first: config.settings.clone(),
            plugged: Mutex::new(Plugged::of(config)),
            made_for,
            has_natives: !natives.is_empty(),
        }
    }

    /// Whether a chain's lanes pass outcomes by its plugins, whatever these want: others may come that do.
    pub(super) fn acknowledges(&self, chain: usize) -> bool {
        self.made_for[chain].acknowledgements
    }
}

impl Producer {
    /// Takes over the plugins of another configuration, while records are under way: those accepted after this call go
    /// through the new chains, and every record through one chain only. What is as before, by its table in the configuration
    /// and its component's digest, goes on with the instances that it has (others are started beside them, and closed
    /// again). Outcomes that are under way are told to the new interceptors; each gets the tags that one of its name has left.
    ///
    /// Of the configuration only the plugins count, and which chains they make; other keys need a restart. So do chains
    /// that the producer's lanes are not made for: of other topics, in other numbers of lanes, with plugins where there was
    /// none, to or from `round-robin`, or with an interceptor that changes topics where none did; and, if the producer was
    /// not started with `plugin.reload`, with one that wants to hear of outcomes where none did. What a changed plugin counts
    /// begins at zero.
    ///
    /// Blocks the thread: it compiles, which may take seconds, and each lane finishes its chunk. With `plugin.reload` the
    /// producer does it by itself when a file changes.
    ///
    /// # Errors
    /// A plugin is not fit for use, or it takes a restart: everything is as before. [`ReloadError::Closed`];
    /// [`ReloadError::Misuse`] inside a tokio task, in a callback, and where the program brings plugins of its own.
    pub fn reload_plugins(&self, config: &Config) -> Result<Reloaded, ReloadError> {
        if !net::may_block() {
            return Err(ReloadError::Misuse("a tokio task would block its thread by this call: use spawn_blocking"));
        }
        if self.inner.ending.is_own_thread() {
            return Err(ReloadError::Misuse("a callback would wait for a lane that may wait for it"));
        }
        self.inner.reloader.reload(config)
    }
}

impl Reloader {
    pub(super) fn new(running: Running, lanes: Arc<Lanes>, metrics: Arc<Sources>) -> Reloader {
        Reloader { running, lanes, metrics }
    }

    /// See [`Producer::reload_plugins`].
    pub(super) fn reload(&self, config: &Config) -> Result<Reloaded, ReloadError> {
        // One after the other.
        let mut running = self.running.plugged.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.reload_from(&mut running, config);
        match &outcome {
            Ok(reloaded) if reloaded.changed => {
                self.metrics.reloads.done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(_) | Err(ReloadError::Closed) => {}
            Err(_) => self.failed(),
        }
        outcome
    }

    /// What was to be taken over was not.
    pub(super) fn failed(&self) {
        self.metrics.reloads.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn reload_from(&self, running: &mut Plugged, config: &Config) -> Result<Reloaded, ReloadError> {
        if self.running.has_natives {
            return Err(ReloadError::Misuse(HAS_NATIVES));
        }
        let made_for = &self.running.made_for;
        let in_use = self.metrics.plugins();
        let plugged = Plugged::of(config);
        let stays = in_use.iter().filter(|(name, plugin)| plugged.has_same(running, name, plugin));
        let stays: BTreeSet<String> = stays.map(|(name, _)| name.clone()).collect();
        let is_all = config.plugins_in_use().iter().all(|(_, name)| stays.contains(name))
            && (&plugged.common, &plugged.topics) == (&running.common, &running.topics);
        let mut reloaded = Reloaded {
            changed: !is_all,
            ignored: ignored(&self.running.first, config),
            notices: config.notices.clone(),
            ..Reloaded::default()
        };
        if is_all {
            return Ok(reloaded);
        }
        if !plugged.patterns().eq(running.patterns()) {
            return Err(ReloadError::Restart("the tables [topics.…] are for other topics".to_owned()));
        }
        let known: BTreeMap<String, wasm::Plugin> =
            in_use.into_iter().filter(|(name, _)| stays.contains(name)).collect();
        let loaded = load_plugins(config, &self.metrics.client_id, &known)?;
        let lanes: Vec<usize> = made_for.iter().map(|chain| chain.lanes).collect();
        let next = Chains::new(config, &loaded, &Natives::default(), &self.metrics.meter, &lanes)?;
        for (made_for, chain) in made_for.iter().zip(&next.each) {
            made_for.check(&MadeFor::of(chain)).map_err(ReloadError::Restart)?;
        }
        reloaded.notices.extend(next.notices);
        reloaded.plugins = loaded.keys().filter(|name| !stays.contains(*name)).cloned().collect();
        let (taken, all) = self.swap(next.each, stays);
        if taken > 0 {
            self.metrics.set_plugins(loaded);
            *running = plugged;
        }
        if taken == all { Ok(reloaded) } else { Err(ReloadError::Closed) }
    }

    /// Hands each lane its chain, and waits until they have theirs: how many of how many.
    fn swap(&self, next: Vec<LaneChains>, stays: BTreeSet<String>) -> (usize, usize) {
        let stays = Arc::new(stays);
        let (taken, all) = channel();
        let mut count = 0;
        for (at, (chain, made_for)) in next.into_iter().zip(&self.running.made_for).enumerate() {
            if !made_for.anything {
                continue;
            }
            // One of no plugin is made once.
            let lanes = chain.lanes.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
            let lanes: Vec<_> = lanes.take(made_for.lanes).map(Option::unwrap_or_default).collect();
            count += lanes.len();
            self.lanes.swap(at, lanes, &stays, || {
                let taken = taken.clone();
                Box::new(move || {
                    let _ = taken.send(());
                })
            });
        }
        drop(taken);
        // A lane that ends drops what it did not come to.
        (all.iter().count(), count)
    }
}

/// Keys that are other than at the start, and have no say in chains.
fn ignored(first: &BTreeMap<&'static str, Setting>, config: &Config) -> Vec<&'static str> {
    const OF_CHAINS: [&str; 4] = ["interceptor.classes", "key.serializer", "value.serializer", "partitioner.class"];
    let keys: BTreeSet<&'static str> = first.keys().chain(config.settings.keys()).copied().collect();
    let value =
        |settings: &BTreeMap<&'static str, Setting>, key| settings.get(key).map(|setting| setting.value.clone());
    let differs = |key: &&'static str| value(first, *key) != value(&config.settings, *key);
    keys.into_iter().filter(|key| !OF_CHAINS.contains(key) && differs(key)).collect()
}
