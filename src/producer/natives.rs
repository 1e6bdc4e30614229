//! Plugins of the program's own: the same roles as those in Wasm, without a sandbox.

use super::StartError;
use crate::config::Config;
use crate::plugin::{BreakerOptions, Chain, Checked, Interceptor, Partitioner, Policy, Serializer, Used};

/// Makes an instance for a lane.
type Make<R> = Box<dyn Fn() -> Box<R> + Send>;

/// What stands in `[producer]` beside what the configuration says, each with its name.
#[derive(Default)]
pub(super) struct Natives {
    pub(super) interceptors: Vec<(String, Make<dyn Interceptor>)>,
    pub(super) key_serializer: Option<(String, Make<dyn Serializer>)>,
    pub(super) value_serializer: Option<(String, Make<dyn Serializer>)>,
    pub(super) partitioner: Option<(String, Make<dyn Partitioner>)>,
}

impl Natives {
    pub(super) fn is_empty(&self) -> bool {
        let Natives { interceptors, key_serializer, value_serializer, partitioner } = self;
        interceptors.is_empty() && key_serializer.is_none() && value_serializer.is_none() && partitioner.is_none()
    }

    /// There is but one partitioner, and one serializer of each side.
    pub(super) fn check(&self, config: &Config) -> Result<(), StartError> {
        let places = [
            ("key.serializer", self.key_serializer.as_ref().map(|(name, _)| name)),
            ("value.serializer", self.value_serializer.as_ref().map(|(name, _)| name)),
            ("partitioner.class", self.partitioner.as_ref().map(|(name, _)| name)),
        ];
        for (key, plugin) in places {
            if let Some(plugin) = plugin.filter(|_| config.settings.contains_key(key)) {
                return Err(StartError::SetTwice { key, plugin: plugin.clone() });
            }
        }
        Ok(())
    }

    /// Adds instances to a chain, in the places where it is as in `[producer]`.
    pub(super) fn add_to(&self, chain: &mut Chain, inherits: &dyn Fn(&str) -> bool) {
        if inherits("interceptor.classes") {
            for (name, make) in &self.interceptors {
                chain.interceptors.push(used(name, Box::new(Checked::new(make()))));
            }
        }
        if let Some((name, make)) = self.key_serializer.as_ref().filter(|_| inherits("key.serializer")) {
            chain.key_serializer = Some(used(name, Box::new(Checked::new(make()))));
        }
        if let Some((name, make)) = self.value_serializer.as_ref().filter(|_| inherits("value.serializer")) {
            chain.value_serializer = Some(used(name, Box::new(Checked::new(make()))));
        }
        if let Some((name, make)) = self.partitioner.as_ref().filter(|_| inherits("partitioner.class")) {
            chain.partitioner = Some(used(name, Box::new(Checked::new(make()))));
        }
    }
}

fn used<R: ?Sized>(name: &str, role: Box<R>) -> Used<R> {
    Used::new(name, role, Policy::Fail, BreakerOptions::default())
}
