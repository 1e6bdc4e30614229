//! From the configuration to the chains of plugins: what is loaded, which topics go through which chain, in how many
//! lanes.

use super::StartError;
use super::natives::Natives;
use crate::config::{
    ChainConfig, Config, InterceptorClass, OnError, PartitionerClass, PluginConfig, PluginUse, SerializerClass,
    TopicPattern,
};
use crate::plugin::{
    BreakerOptions, BuiltinSerializer, Chain, Consistency, DeadLetter, Interceptor, MayGoTo, Meter, Partitioner,
    PluginFactory, PluginFailure, Policy, Routes, Serializer, Side, Used,
};
use crate::wasm;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// The chains of a producer.
pub(crate) struct Chains {
    /// The one of all topics that have none of their own first.
    pub(crate) each: Vec<LaneChains>,
    pub(crate) routes: Arc<Routes>,
    /// What is worth telling.
    pub(super) notices: Vec<String>,
}

/// A chain as often as it has lanes, each time with instances of its own.
pub(crate) struct LaneChains {
    /// As errors name it.
    pub(super) table: String,
    pub(crate) lanes: Vec<Chain>,
    pub(crate) round_robin: bool,
    pub(crate) may_go_to: MayGoTo,
}

/// A chain as it is configured.
struct Described<'a> {
    /// As errors name it.
    table: String,
    config: &'a ChainConfig,
    /// Whether a key is as in `[producer]`.
    inherits: &'a dyn Fn(&str) -> bool,
}

impl Chains {
    /// Those that a producer of this configuration would run, each for one lane.
    ///
    /// # Errors
    /// A plugin is not fit for use.
    pub(crate) fn of(config: &Config) -> Result<Chains, StartError> {
        let mut config = config.clone();
        config.producer.lanes = 1;
        let client_id = super::client_id_of(&config.producer);
        let loaded = load_plugins(&config, &client_id, &BTreeMap::new())?;
        Chains::new(&config, &loaded, &Natives::default(), &Meter::default(), &[])
    }

    /// Makes instances of all that the configuration names, and of what the program adds to `[producer]`. Their calls are
    /// counted by `meter`. They are for lanes that run, if there are: so many for each chain.
    ///
    /// # Errors
    /// A plugin does not start, or is named twice for what there is one of.
    pub(super) fn new(
        config: &Config,
        loaded: &BTreeMap<String, wasm::Plugin>,
        natives: &Natives,
        meter: &Meter,
        running: &[usize],
    ) -> Result<Chains, StartError> {
        natives.check(config)?;
        let maker = Maker { config, loaded, natives, meter };
        let (mut each, mut notices, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        let mut routes = Routes::default();
        let common = config.producer.chain();
        let described = Described { table: "[producer]".to_owned(), config: &common, inherits: &|_| true };
        let mut lanes = maker.lanes(&described, 0, &mut notices)?;
        let mut first = running.first().copied().unwrap_or(lanes.len());
        each.push(lanes);
        tables.push(described.table);
        for (topic, chain) in config.topics.iter().zip(1..) {
            let described = Described {
                table: format!("[topics.\"{}\"]", topic.pattern),
                config: &topic.chain,
                inherits: &|key| !topic.settings.contains_key(key),
            };
            lanes = maker.lanes(&described, first, &mut notices)?;
            first += running.get(chain).copied().unwrap_or(lanes.len());
            each.push(lanes);
            tables.push(described.table);
            match &topic.pattern {
                TopicPattern::Exact(name) => routes.name(name, chain),
                TopicPattern::Prefix(beginning) => routes.beginning(beginning, chain),
            }
        }
        let routes = Arc::new(routes);
        let tables: Arc<[String]> = tables.into();
        let configs = std::iter::once(&common).chain(config.topics.iter().map(|topic| &topic.chain));
        let each = each.into_iter().zip(configs).enumerate().map(|(at, (lanes, config))| LaneChains {
            table: tables[at].clone(),
            round_robin: config.partitioner_class == PartitionerClass::RoundRobin,
            may_go_to: may_go_to(at, &lanes, &routes, &tables),
            lanes,
        });
        Ok(Chains { each: each.collect(), routes: Arc::clone(&routes), notices })
    }
}

/// An interceptor moves records within its chain only: in the other one they would overtake, or be overtaken.
fn may_go_to(chain: usize, lanes: &[Chain], routes: &Arc<Routes>, tables: &Arc<[String]>) -> MayGoTo {
    if routes.is_empty() || !lanes.iter().any(Chain::changes_topics) {
        return None;
    }
    let (routes, tables) = (Arc::clone(routes), Arc::clone(tables));
    Some(Arc::new(move |topic| {
        let other = routes.chain_of(topic);
        if other == chain {
            return Ok(());
        }
        let (from, to) = (&tables[chain], &tables[other]);
        Err(format!(
            "an interceptor of {from} sent the record here, where the chain is that of {to}; it may send records only to topics of its own chain"
        ))
    }))
}

struct Maker<'a> {
    config: &'a Config,
    loaded: &'a BTreeMap<String, wasm::Plugin>,
    natives: &'a Natives,
    meter: &'a Meter,
}

impl Maker<'_> {
    /// A chain for each of its lanes, of which `first` is the number of the first.
    fn lanes(
        &self,
        described: &Described<'_>,
        first: usize,
        notices: &mut Vec<String>,
    ) -> Result<Vec<Chain>, StartError> {
        let mut lanes = vec![self.chain(described, first)?];
        let wanted = self.config.producer.lanes;
        if lanes[0].is_empty() {
            // Senders append the records themselves.
            return Ok(lanes);
        }
        let partitioner = lanes[0].partitioner.as_ref();
        if let Some(free) = partitioner.filter(|used| used.role.wants().consistency == Consistency::Free)
            && wanted > 1
        {
            let (table, plugin) = (&described.table, &free.plugin);
            notices.push(format!(
                "lanes = {wanted}: the chain of {table} keeps to one lane, as its partitioner {plugin} is to see every record (consistency free)"
            ));
            return Ok(lanes);
        }
        for lane in first + 1..first + wanted {
            lanes.push(self.chain(described, lane)?);
        }
        Ok(lanes)
    }

    fn chain(&self, described: &Described<'_>, lane: usize) -> Result<Chain, StartError> {
        let Described { config, inherits, .. } = described;
        let lane = lane as u32;
        let mut chain = Chain::default();
        chain.meter = self.meter.clone();
        for InterceptorClass::Wasm(name) in &config.interceptor_classes {
            let (config, plugin) = self.used(name);
            chain.interceptors.push(with_policy::<dyn Interceptor>(config, plugin, plugin.interceptor(lane))?);
        }
        let serializer = |class: &SerializerClass, side| match class {
            SerializerClass::Wasm(name) => {
                let (config, plugin) = self.used(name);
                with_policy::<dyn Serializer>(config, plugin, plugin.serializer(lane, side)).map(Some)
            }
            builtin => Ok(builtin_serializer(builtin)),
        };
        chain.key_serializer = serializer(&config.key_serializer, Side::Key)?;
        chain.value_serializer = serializer(&config.value_serializer, Side::Value)?;
        if let PartitionerClass::Wasm(name) = &config.partitioner_class {
            let (config, plugin) = self.used(name);
            chain.partitioner = Some(with_policy::<dyn Partitioner>(config, plugin, plugin.partitioner(lane))?);
        }
        self.natives.add_to(&mut chain, inherits);
        Ok(chain)
    }

    fn used(&self, name: &str) -> (&PluginConfig, &wasm::Plugin) {
        let (Some(config), Some(plugin)) = (self.config.plugins.get(name), self.loaded.get(name)) else {
            unreachable!("every plugin in use was loaded")
        };
        (config, plugin)
    }
}

/// One engine for all producers of the process: what it compiled is shared.
fn engine() -> Result<wasm::Engine, wasm::LoadError> {
    static ENGINE: OnceLock<wasm::Engine> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine.clone());
    }
    let engine = wasm::Engine::new(wasm::EngineOptions { cache_dir: cache_dir() })?;
    Ok(ENGINE.get_or_init(|| engine).clone())
}

/// Where compiled components are kept: `$XDG_CACHE_HOME/pointsman`, or `.cache/pointsman` in the home folder.
fn cache_dir() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("pointsman"))
}

/// What every plugin that a configuration's chains use is loaded with, by name: its table, and each way in which it is used.
pub fn plugin_options(config: &Config, client_id: &str) -> Vec<wasm::PluginOptions> {
    let common = config.producer.chain();
    let mut uses: BTreeMap<&str, Vec<wasm::Use>> = BTreeMap::new();
    for chain in std::iter::once(&common).chain(config.topics.iter().map(|topic| &topic.chain)) {
        for (used, name) in chain.plugins_in_use() {
            let used = match used {
                PluginUse::Interceptor => wasm::Use::Interceptor,
                PluginUse::KeySerializer => wasm::Use::Serializer(Side::Key),
                PluginUse::ValueSerializer => wasm::Use::Serializer(Side::Value),
                PluginUse::Partitioner => wasm::Use::Partitioner,
            };
            let uses = uses.entry(name).or_default();
            if !uses.contains(&used) {
                uses.push(used);
            }
        }
    }
    // The config has checked that every plugin that is used is there.
    let there = uses.into_iter().filter_map(|(name, uses)| Some((name, uses, config.plugins.get(name)?)));
    let options = there.map(|(name, uses, plugin)| wasm::PluginOptions {
        name: name.to_owned(),
        path: plugin.component.clone(),
        sha256: plugin.sha256,
        settings: plugin.settings.clone(),
        limits: wasm::Limits { timeout: plugin.timeout, memory_max: plugin.memory_max, ..wasm::Limits::default() },
        client_id: client_id.to_owned(),
        uses,
    });
    options.collect()
}

/// Loads every plugin that a chain uses, and starts it once for each way in which it is used; but for those that are `known`,
/// by name.
///
/// # Errors
/// A component is not fit for use, or does not start.
pub(super) fn load_plugins(
    config: &Config,
    client_id: &str,
    known: &BTreeMap<String, wasm::Plugin>,
) -> Result<BTreeMap<String, wasm::Plugin>, StartError> {
    let mut loaded = BTreeMap::new();
    for options in plugin_options(config, client_id) {
        let name = options.name.clone();
        let component = match known.get(&name) {
            Some(known) => known.try_uses(&options.uses).map(|()| known.clone()),
            None => engine().and_then(|engine| wasm::Plugin::load(&engine, options)),
        };
        let component = component.map_err(|source| StartError::Plugin { name: name.clone(), source })?;
        loaded.insert(name, component);
    }
    Ok(loaded)
}

/// A plugin in one of its roles, with what the config says of its failures.
fn with_policy<R: ?Sized>(
    config: &PluginConfig,
    plugin: &wasm::Plugin,
    role: Result<Box<R>, PluginFailure>,
) -> Result<Used<R>, StartError> {
    let role = role.map_err(|failure| StartError::PluginStart { name: config.name.clone(), failure })?;
    let policy = match &config.on_error {
        OnError::Fail => Policy::Fail,
        OnError::Pass => Policy::Pass,
        OnError::Drop => Policy::Drop,
        OnError::Fallback => Policy::Fallback,
        OnError::DeadLetter(letter) => Policy::DeadLetter(Arc::new(DeadLetter {
            topic: letter.topic.as_str().into(),
            include_key: letter.include_key,
            include_value: letter.include_value,
            version: plugin.version().map(Into::into),
            digest: Some(plugin.digest().into()),
        })),
    };
    let breaker = BreakerOptions { incidents: config.breaker_failures, cooldown: config.breaker_cooldown };
    Ok(Used::new(config.name.as_str(), role, policy, breaker))
}

/// `None` leaves the bytes as they are.
fn builtin_serializer(class: &SerializerClass) -> Option<Used<dyn Serializer>> {
    let serializer = match class {
        SerializerClass::Bytes | SerializerClass::Wasm(_) => return None,
        SerializerClass::String => BuiltinSerializer::String,
        SerializerClass::Integer => BuiltinSerializer::Integer,
        SerializerClass::Long => BuiltinSerializer::Long,
        SerializerClass::Short => BuiltinSerializer::Short,
        SerializerClass::Float => BuiltinSerializer::Float,
        SerializerClass::Double => BuiltinSerializer::Double,
        SerializerClass::Uuid => BuiltinSerializer::Uuid,
        SerializerClass::Void => BuiltinSerializer::Void,
        SerializerClass::Json => BuiltinSerializer::Json,
    };
    let plugin = format!("{} (built in)", serializer.name());
    Some(Used::new(plugin, Box::new(serializer) as Box<dyn Serializer>, Policy::Fail, BreakerOptions::default()))
}
