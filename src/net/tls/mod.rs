//! TLS by rustls, with ring.
//!
//! The stores are read when the producer starts, so that what is wrong with them is an error there, and again before a
//! connection if a file has changed since: a certificate that is replaced in time is never missed. A replacement that
//! cannot be used is told in the log, and the last good one serves on.

mod pem;
mod stores;
mod verify;
mod words;

pub(super) use words::trouble_of;

use super::security::SecurityError;
use super::trouble::Trouble;
use crate::security::{Identity, Tls, Trust};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, SupportedProtocolVersion, version};
use std::io::ErrorKind as K;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use verify::Verifier;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use zeroize::Zeroize;

/// Makes TLS connections. Shared by all of a producer.
pub(super) struct TlsClient {
    settings: Tls,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ClientConfig>,
    principal: Option<String>,
    /// The files as they were when they were last looked at, whether they were good or not.
    seen: Vec<Stamp>,
}

/// By which a change of a file is noticed.
type Stamp = Option<(SystemTime, u64)>;

impl TlsClient {
    pub(super) fn load(settings: &Tls) -> Result<TlsClient, SecurityError> {
        let seen = stamps(settings);
        let (config, principal) = client_config(settings)?;
        let loaded = Loaded { config: Arc::new(config), principal, seen };
        Ok(TlsClient { settings: settings.clone(), loaded: Mutex::new(loaded) })
    }

    /// The subject of our certificate.
    pub(super) fn principal(&self) -> Option<String> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).principal.clone()
    }

    /// The handshake, as a client of `host`.
    pub(super) async fn connect(&self, stream: TcpStream, host: &str) -> Result<TlsStream<TcpStream>, Trouble> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Trouble::Failed(format!("{host:?} is no name that a certificate could be for")))?;
        self.reload().await;
        let config = Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner).config);
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(|error| match trouble_of(&error) {
            Some(trouble) => trouble,
            // Which of them it is depends on what the other side had read when it closed.
            None if matches!(error.kind(), K::UnexpectedEof | K::ConnectionReset | K::BrokenPipe) => Trouble::Failed(
                "the port closed the connection in the TLS handshake: does it speak TLS, as security.protocol says?"
                    .to_owned(),
            ),
            None => Trouble::Failed(super::connect::io_words(&error)),
        })
    }

    async fn reload(&self) {
        let now = stamps(&self.settings);
        {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if loaded.seen == now {
                return;
            }
            // Whatever comes of it: the same files are not read twice.
            loaded.seen = now;
        }
        let settings = self.settings.clone();
        // Opening an encrypted store takes its time by intention.
        match tokio::task::spawn_blocking(move || client_config(&settings)).await {
            Ok(Ok((config, principal))) => {
                tracing::info!(target: LOG, "the certificates have changed and are read anew");
                let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
                loaded.config = Arc::new(config);
                loaded.principal = principal;
            }
            Ok(Err(error)) => {
                tracing::warn!(target: LOG, "changed certificates cannot be used, the last good ones stay: {error}");
            }
            Err(_) => {}
        }
    }
}

const LOG: &str = "pointsman::net";

fn stamps(settings: &Tls) -> Vec<Stamp> {
    let trusted = match &settings.trust {
        Trust::File(file) => Some(&file.path),
        Trust::System | Trust::Pem(_) => None,
    };
    let own = match &settings.identity {
        Some(Identity::File { store, .. }) => Some(&store.path),
        _ => None,
    };
    let files: Vec<&PathBuf> = trusted.into_iter().chain(own).collect();
    files.into_iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Stamp {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn client_config(settings: &Tls) -> Result<(ClientConfig, Option<String>), SecurityError> {
    let provider = Arc::new(provider(settings)?);
    let mut versions: Vec<&SupportedProtocolVersion> = Vec::new();
    if settings.tls13 {
        versions.push(&version::TLS13);
    }
    if settings.tls12 {
        versions.push(&version::TLS12);
    }
    let trusted = stores::trusted(&settings.trust)?;
    let mut roots = RootCertStore::empty();
    for certificate in &trusted {
        // Among the system's are always some that nobody can read.
        if let Err(error) = roots.add(certificate.clone())
            && settings.trust != Trust::System
        {
            return Err(SecurityError::new(TRUST, format!("a certificate cannot be read: {error}")));
        }
    }
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Verifier { roots, trusted, check_host_name: settings.check_host_name, algorithms };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| SecurityError::new("ssl.cipher.suites", error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let (mut config, principal) = match &settings.identity {
        None => (builder.with_no_client_auth(), None),
        Some(identity) => {
            let (chain, mut key) = stores::identity(identity)?;
            let principal = chain.first().and_then(|certificate| subject(certificate));
            let useless = |error: rustls::Error| {
                SecurityError::new("ssl.keystore.location", format!("the key is of no use: {error}"))
            };
            let signing = ring::sign::any_supported_type(&key);
            key.zeroize();
            let own = CertifiedKey::new(chain, signing.map_err(useless)?);
            match own.keys_match() {
                // Of some keys it cannot be told.
                Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
                Err(error) => return Err(useless(error)),
            }
            (builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))), principal)
        }
    };
    // Who resumes a session is not asked for a certificate, so that a replaced one would not be seen; connections are
    // few and long.
    config.resumption = Resumption::disabled();
    Ok((config, principal))
}

const TRUST: &str = "ssl.truststore.location";

fn subject(certificate: &[u8]) -> Option<String> {
    Certificate::from_der(certificate).ok().map(|certificate| certificate.tbs_certificate.subject.to_string())
}

fn provider(settings: &Tls) -> Result<CryptoProvider, SecurityError> {
    let mut provider = ring::default_provider();
    if settings.cipher_suites.is_empty() {
        return Ok(provider);
    }
    // rustls names the suites of TLS 1.3 its own way.
    let names = provider.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_"));
    let names: Vec<String> = names.collect();
    if let Some(unknown) = settings.cipher_suites.iter().find(|name| !names.contains(name)) {
        let what = format!("{unknown:?} is not spoken here; these are: {}", names.join(", "));
        return Err(SecurityError::new("ssl.cipher.suites", what));
    }
    let mut names = names.iter();
    provider.cipher_suites.retain(|_| names.next().is_some_and(|name| settings.cipher_suites.contains(name)));
    Ok(provider)
}

#[cfg(test)]
#[path = "../tests/tls.rs"]
mod tests;
