//! What connections are secured with, ready for use.

use super::sasl::SaslClient;
use super::tls::TlsClient;
use crate::core::Principal;
use crate::security::Security;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// [`Security`] with its files read. Clones share them, and what is read anew.
#[derive(Clone, Default)]
pub struct Secured {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    protocol: &'static str,
    tls: Option<TlsClient>,
    sasl: Option<SaslClient>,
}

/// Why connections cannot be secured as configured.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {what}")]
pub struct SecurityError {
    /// The key.
    pub key: &'static str,
    /// What is wrong with what it names. No secret is in it.
    pub what: String,
}

impl SecurityError {
    pub(super) fn new(key: &'static str, what: impl Into<String>) -> SecurityError {
        SecurityError { key, what: what.into() }
    }
}

impl Secured {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// One of them, or what is in it, is of no use.
    pub fn load(settings: &Security) -> Result<Secured, SecurityError> {
        if *settings == Security::default() {
            return Ok(Secured::default());
        }
        let tls = settings.tls.as_ref().map(TlsClient::load).transpose()?;
        let sasl = settings.sasl.as_ref().map(SaslClient::load).transpose()?;
        Ok(Secured { inner: Some(Arc::new(Inner { protocol: settings.protocol(), tls, sasl })) })
    }

    /// As in `security.protocol`.
    pub(super) fn protocol(&self) -> &'static str {
        self.inner.as_ref().map_or("PLAINTEXT", |inner| inner.protocol)
    }

    /// Whether a connection is anything but bytes to whoever is there.
    pub(super) fn is_secured(&self) -> bool {
        self.inner.is_some()
    }

    pub(super) fn tls(&self) -> Option<&TlsClient> {
        self.inner.as_ref()?.tls.as_ref()
    }

    pub(super) fn sasl(&self) -> Option<&SaslClient> {
        self.inner.as_ref()?.sasl.as_ref()
    }

    /// How long the end of a runtime waits for its threads: one may be with a name server that does not answer, and nobody
    /// is to wait for that. But a process that exits while a thread is inside the Kerberos library is aborted by it.
    pub(super) fn patience_at_end(&self) -> Duration {
        if self.sasl().is_some_and(SaslClient::is_kerberos) { Duration::from_secs(1) } else { Duration::ZERO }
    }

    /// Who brokers take us for, as far as is known here: they may map names to others. Kerberos tells with the first
    /// login.
    pub fn principal(&self) -> Principal {
        match (self.sasl(), self.tls()) {
            (Some(sasl), _) => sasl.principal(),
            (None, tls) => {
                let name = tls.and_then(TlsClient::principal);
                Principal::from(format!("User:{}", name.as_deref().unwrap_or("ANONYMOUS")).as_str())
            }
        }
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("protocol", &self.protocol()).finish_non_exhaustive()
    }
}
