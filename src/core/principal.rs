use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Who brokers take us for. Clones are one: some logins say whose they are only when they are made.
#[derive(Clone, Debug)]
pub struct Principal(Arc<RwLock<Arc<str>>>);

impl Principal {
    /// What is known now.
    pub fn name(&self) -> Arc<str> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on, for all clones.
    pub fn rename(&self, name: &str) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if **known != *name {
            *known = name.into();
        }
    }
}

impl From<&str> for Principal {
    fn from(name: &str) -> Principal {
        Principal(Arc::new(RwLock::new(name.into())))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}
