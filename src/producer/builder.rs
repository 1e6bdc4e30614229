//! A producer with plugins that the program itself brings.

use super::natives::Natives;
use super::{Producer, StartError};
use crate::config::Config;
use crate::plugin::{Interceptor, Partitioner, Serializer};

/// Starts a producer with native plugins beside those of the configuration: see [`Producer::builder`].
///
/// A native plugin implements the same traits as one in Wasm does, see [`crate::plugin`], and is called in the same
/// place: on the lane's thread, over batches of columns. It stands in `[producer]`: topics whose own table sets the same
/// key go without it. A record that it refuses, or fails on, fails, and so does one whose answer breaks a rule of the
/// contract. It is trusted otherwise: nobody bounds its time or memory, and when it panics its lane ends.
///
/// Each lane has an instance of its own, made by [`Clone`]. They share what their clones share.
#[must_use = "it does nothing until it is started"]
pub struct ProducerBuilder {
    config: Config,
    natives: Natives,
}

impl ProducerBuilder {
    pub(super) fn new(config: Config) -> ProducerBuilder {
        ProducerBuilder { config, natives: Natives::default() }
    }

    /// Calls this interceptor after those of `interceptor.classes`, and those that were added before. Errors, metrics and
    /// dead letters call it by the name.
    pub fn interceptor(mut self, name: &str, plugin: impl Interceptor + Clone + 'static) -> ProducerBuilder {
        self.natives.interceptors.push((name.to_owned(), Box::new(move || Box::new(plugin.clone()))));
        self
    }

    /// As `key.serializer`, which the configuration must leave out then.
    pub fn key_serializer<S: Serializer + Clone + 'static>(mut self, plugin: S) -> ProducerBuilder {
        self.natives.key_serializer = Some((name_of::<S>(), Box::new(move || Box::new(plugin.clone()))));
        self
    }

    /// As `value.serializer`, which the configuration must leave out then.
    pub fn value_serializer<S: Serializer + Clone + 'static>(mut self, plugin: S) -> ProducerBuilder {
        self.natives.value_serializer = Some((name_of::<S>(), Box::new(move || Box::new(plugin.clone()))));
        self
    }

    /// As `partitioner.class`, which the configuration must leave out then.
    pub fn partitioner<P: Partitioner + Clone + 'static>(mut self, plugin: P) -> ProducerBuilder {
        self.natives.partitioner = Some((name_of::<P>(), Box::new(move || Box::new(plugin.clone()))));
        self
    }

    /// See [`Producer::start`].
    ///
    /// # Errors
    /// As there, and [`StartError::SetTwice`].
    pub fn start(self) -> Result<Producer, StartError> {
        Producer::assemble(self.config, &self.natives)
    }
}

impl std::fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProducerBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The type's own name, without where it stands.
fn name_of<T>() -> String {
    let name = std::any::type_name::<T>();
    let whole = name.split('<').next().unwrap_or(name);
    whole.rsplit("::").next().unwrap_or(whole).to_owned()
}
