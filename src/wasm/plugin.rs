//! Loading a component, and making instances of it.

use super::bindings::exports::pointsman::plugin as exports;
use super::engine::Engine;
use super::error::{CONTRACT, LoadError};
use super::imports;
use super::interceptor::{InterceptorRole, WasmInterceptor};
use super::metrics::{MetricSample, Registry};
use super::output::LogGate;
use super::partitioner::{PartitionerRole, WasmPartitioner};
use super::seat::{Counts, Role, Seat, instantiate};
use super::sections;
use super::serializer::{SerializerRole, WasmSerializer};
use super::state::{Identity, State};
use crate::plugin::{FailureKind, Interceptor, Partitioner, PluginFactory, PluginFailure, Serializer, Side};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use wasmtime::component::{Component, InstancePre};

/// What to load, and how to run it.
#[derive(Clone, Debug)]
pub struct PluginOptions {
    /// The plugin's name in the config.
    pub name: String,
    /// The component's file.
    pub path: PathBuf,
    /// The file's digest, where the config pins it.
    pub sha256: Option<[u8; 32]>,
    /// The plugin's own table of the config, flattened.
    pub settings: Vec<(String, String)>,
    /// What it may use.
    pub limits: Limits,
    /// For plugins that ask.
    pub client_id: String,
    /// What the config uses it for: each is started once to see whether it does, `configure` included.
    pub uses: Vec<Use>,
}

/// What one instance of a plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For one call: `timeout.ms`. Meant as the guest's own time; see the configuration's documentation.
    pub timeout: Duration,
    /// For instantiation and `configure` together, which slow languages need.
    pub start_timeout: Duration,
    /// For all memories and tables of an instance, in bytes: `memory.max`.
    pub memory_max: u64,
}

/// A use that a config makes of a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// In `interceptor.classes`.
    Interceptor,
    /// `key.serializer` or `value.serializer`.
    Serializer(Side),
    /// `partitioner.class`.
    Partitioner,
}

/// The roles that a component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// It is an interceptor.
    pub interceptor: bool,
    /// It is a serializer.
    pub serializer: bool,
    /// It is a partitioner.
    pub partitioner: bool,
}

/// A component, compiled and checked: instances are made of it, one for each use and lane. A clone is the same
/// plugin.
#[derive(Clone)]
pub struct Plugin(Arc<Shared>);

/// What a plugin did and kept so far, over all its instances.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginMetrics {
    /// The plugin's own series, in the order in which it made them.
    pub series: Vec<MetricSample>,
    /// Points and series that were past a bound or made no sense.
    pub points_dropped: u64,
    /// Lines of its log that were past a bound.
    pub log_lines_dropped: u64,
    /// Instances that were started with success.
    pub instances_started: u64,
    /// Instances that were thrown away after a failed call.
    pub instances_discarded: u64,
    /// Instances that were replaced because their memory had grown.
    pub instances_recycled: u64,
}

/// What a plugin's instances share.
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) pre: InstancePre<State>,
    pub(super) roles: RoleIndices,
    pub(super) identity: Arc<Identity>,
    pub(super) settings: Vec<(String, String)>,
    pub(super) limits: Limits,
    pub(super) counts: Counts,
    path: PathBuf,
    sha256: [u8; 32],
    version: Option<String>,
    imports: Vec<String>,
}

/// Where the roles' functions are; `None`: it has no such role.
pub(super) struct RoleIndices {
    pub(super) interceptor: Option<exports::interceptor::GuestIndices>,
    pub(super) serializer: Option<exports::serializer::GuestIndices>,
    pub(super) partitioner: Option<exports::partitioner::GuestIndices>,
}

impl Plugin {
    /// Reads, compiles and checks a component, and starts each of its uses once.
    ///
    /// # Errors
    /// Whatever keeps it from running, named: see [`LoadError`].
    pub fn load(engine: &Engine, options: PluginOptions) -> Result<Plugin, LoadError> {
        let PluginOptions { name, path, sha256: pinned, settings, limits, client_id, uses } = options;
        let bytes = std::fs::read(&path).map_err(|source| LoadError::Read { path: path.clone(), source })?;
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        if let Some(pinned) = pinned.filter(|pinned| *pinned != sha256) {
            return Err(LoadError::Pin { path, found: hex(&sha256), pinned: hex(&pinned) });
        }
        let component = compile(engine, &bytes, &path)?;
        let exported = exported_roles(engine.wasmtime(), &component, &path)?;
        let mut linker = engine.linker().clone();
        imports::link(engine.wasmtime(), &component, &mut linker, &path)?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|cause| LoadError::Invalid { path: path.clone(), cause: format!("{cause:#}") })?;
        let roles = RoleIndices::of(&pre, exported).map_err(|(role, cause)| LoadError::Shape {
            path: path.clone(),
            role,
            cause: format!("{cause:#}"),
        })?;
        let identity =
            Identity { plugin_name: name.clone(), client_id, log: LogGate::new(name), metrics: Registry::default() };
        let plugin = Plugin(Arc::new(Shared {
            engine: engine.clone(),
            roles,
            pre,
            identity: Arc::new(identity),
            settings,
            limits,
            counts: Counts::default(),
            path,
            sha256,
            version: sections::version(&bytes),
            imports: imports::names(engine.wasmtime(), &component),
        }));
        plugin.check_shapes()?;
        plugin.try_uses(&uses)?;
        Ok(plugin)
    }

    /// Starts each of the uses once, to see whether it does.
    ///
    /// # Errors
    /// It has no such role, or does not start.
    pub fn try_uses(&self, uses: &[Use]) -> Result<(), LoadError> {
        uses.iter().try_for_each(|&used| self.try_use(used))
    }

    /// The digest of a component's file as it is now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn digest_of(path: &Path) -> std::io::Result<[u8; 32]> {
        Ok(Sha256::digest(std::fs::read(path)?).into())
    }

    /// The plugin's name in the config.
    pub fn name(&self) -> &str {
        &self.0.identity.plugin_name
    }

    /// The roles that it exports.
    pub fn roles(&self) -> Roles {
        let roles = &self.0.roles;
        Roles {
            interceptor: roles.interceptor.is_some(),
            serializer: roles.serializer.is_some(),
            partitioner: roles.partitioner.is_some(),
        }
    }

    /// The digest of the file that was compiled.
    pub fn sha256(&self) -> [u8; 32] {
        self.0.sha256
    }

    /// That digest, in hex.
    pub fn digest(&self) -> String {
        hex(&self.0.sha256)
    }

    /// The version that the component says it has: what its `version` section holds, as `wasm-tools metadata add
    /// --version` writes it.
    pub fn version(&self) -> Option<&str> {
        self.0.version.as_deref()
    }

    /// Everything it imports, by name and version.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// What it did and kept so far.
    pub fn metrics(&self) -> PluginMetrics {
        let Shared { identity, counts, .. } = &*self.0;
        let (series, points_dropped) = identity.metrics.snapshot();
        PluginMetrics {
            series,
            points_dropped,
            log_lines_dropped: identity.log.dropped(),
            instances_started: counts.started.load(Relaxed),
            instances_discarded: counts.discarded.load(Relaxed),
            instances_recycled: counts.recycled.load(Relaxed),
        }
    }

    /// Names match by version, the functions' types only when they are loaded.
    fn check_shapes(&self) -> Result<(), LoadError> {
        let roles = self.roles();
        if roles.interceptor {
            self.check_shape(&InterceptorRole)?;
        }
        if roles.serializer {
            self.check_shape(&SerializerRole { side: Side::Value })?;
        }
        if roles.partitioner {
            self.check_shape(&PartitionerRole)?;
        }
        Ok(())
    }

    fn check_shape<R: Role>(&self, role: &R) -> Result<(), LoadError> {
        let shared = &self.0;
        let fault = |failure: PluginFailure| LoadError::Start {
            path: shared.path.clone(),
            name: self.name().to_owned(),
            role: R::NAME,
            cause: failure.cause,
        };
        let (mut store, instance) = instantiate(shared, 0).map_err(fault)?;
        role.load(&shared.roles, &mut store, &instance).map(drop).map_err(|cause| LoadError::Shape {
            path: shared.path.clone(),
            role: R::NAME,
            cause: format!("{cause:#}"),
        })
    }

    fn try_use(&self, used: Use) -> Result<(), LoadError> {
        let roles = self.roles();
        let (role, there) = match used {
            Use::Interceptor => (InterceptorRole::NAME, roles.interceptor),
            Use::Serializer(_) => (SerializerRole::NAME, roles.serializer),
            Use::Partitioner => (PartitionerRole::NAME, roles.partitioner),
        };
        if !there {
            return Err(LoadError::RoleMissing { path: self.0.path.clone(), role, has: roles.to_string() });
        }
        let tried = match used {
            Use::Interceptor => self.interceptor(0).map(|mut instance| instance.close()),
            Use::Serializer(side) => self.serializer(0, side).map(|mut instance| instance.close()),
            Use::Partitioner => self.partitioner(0).map(|mut instance| instance.close()),
        };
        tried.map_err(|failure| LoadError::Start {
            path: self.0.path.clone(),
            name: self.name().to_owned(),
            role,
            cause: failure.cause,
        })
    }

    fn seat<R: Role>(&self, role: R, lane: u32) -> Result<Seat<R>, PluginFailure> {
        if !role.is_among(&self.0.roles) {
            let cause = format!("{} has no {}, only: {}", self.name(), R::NAME, self.roles());
            return Err(PluginFailure::new(FailureKind::Configure, cause));
        }
        Seat::new(Arc::clone(&self.0), role, lane)
    }
}

impl PluginFactory for Plugin {
    fn name(&self) -> &str {
        Plugin::name(self)
    }

    fn interceptor(&self, lane: u32) -> Result<Box<dyn Interceptor>, PluginFailure> {
        Ok(Box::new(WasmInterceptor::new(self.seat(InterceptorRole, lane)?)))
    }

    fn serializer(&self, lane: u32, side: Side) -> Result<Box<dyn Serializer>, PluginFailure> {
        Ok(Box::new(WasmSerializer::new(self.seat(SerializerRole { side }, lane)?)))
    }

    fn partitioner(&self, lane: u32) -> Result<Box<dyn Partitioner>, PluginFailure> {
        Ok(Box::new(WasmPartitioner::new(self.seat(PartitionerRole, lane)?)))
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("name", &self.name()).field("path", &self.0.path).finish_non_exhaustive()
    }
}

impl std::fmt::Display for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            (self.interceptor, InterceptorRole::NAME),
            (self.serializer, SerializerRole::NAME),
            (self.partitioner, PartitionerRole::NAME),
        ];
        let names: Vec<&str> = all.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect();
        f.write_str(&names.join(", "))
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { timeout: Duration::from_millis(50), start_timeout: Duration::from_secs(10), memory_max: 64 << 20 }
    }
}

impl RoleIndices {
    /// # Errors
    /// The role that has not all of its functions.
    fn of(pre: &InstancePre<State>, exported: Roles) -> Result<RoleIndices, (&'static str, wasmtime::Error)> {
        fn found<I>(
            exported: bool,
            role: &'static str,
            find: impl FnOnce() -> wasmtime::Result<I>,
        ) -> Result<Option<I>, (&'static str, wasmtime::Error)> {
            exported.then(find).transpose().map_err(|cause| (role, cause))
        }
        use exports::{interceptor, partitioner, serializer};
        Ok(RoleIndices {
            interceptor: found(exported.interceptor, InterceptorRole::NAME, || interceptor::GuestIndices::new(pre))?,
            serializer: found(exported.serializer, SerializerRole::NAME, || serializer::GuestIndices::new(pre))?,
            partitioner: found(exported.partitioner, PartitionerRole::NAME, || partitioner::GuestIndices::new(pre))?,
        })
    }
}

fn compile(engine: &Engine, bytes: &[u8], path: &Path) -> Result<Component, LoadError> {
    let path = path.to_owned();
    match bytes {
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::CoreModule { path }),
        [b'\0', b'a', b's', b'm', ..] => Component::from_binary(engine.wasmtime(), bytes)
            .map_err(|cause| LoadError::Invalid { path, cause: format!("{cause:#}") }),
        _ => {
            let begins = match bytes {
                [] => "nothing: the file is empty".to_owned(),
                _ => format!("\"{}\"", bytes[..bytes.len().min(8)].escape_ascii()),
            };
            Err(LoadError::NotWasm { path, begins })
        }
    }
}

fn exported_roles(engine: &wasmtime::Engine, component: &Component, path: &Path) -> Result<Roles, LoadError> {
    let ty = component.component_type();
    let names: Vec<&str> = ty.exports(engine).map(|(name, _)| name).collect();
    let mut roles = Roles { interceptor: false, serializer: false, partitioner: false };
    for name in &names {
        let Some((interface, version)) = name.split_once('@') else { continue };
        let Some(role) = interface.strip_prefix("pointsman:plugin/") else { continue };
        if !imports::compatible(version, CONTRACT) {
            return Err(LoadError::Version { path: path.to_owned(), found: (*name).to_owned() });
        }
        roles.interceptor |= role == InterceptorRole::NAME;
        roles.serializer |= role == SerializerRole::NAME;
        roles.partitioner |= role == PartitionerRole::NAME;
    }
    if roles.interceptor || roles.serializer || roles.partitioner {
        return Ok(roles);
    }
    let exports = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Err(LoadError::NoRole { path: path.to_owned(), exports })
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
