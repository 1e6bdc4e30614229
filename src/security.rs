//! How connections are secured, as settings: what [`crate::config`] reads and [`crate::net`] carries out.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// A password, token or key. Its `Debug` does not show it, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a secret over.
    pub fn new(secret: impl Into<String>) -> Secret {
        Secret(Zeroizing::new(secret.into()))
    }

    /// The secret itself. Whoever copies it wipes the copy.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// `security.protocol` and what belongs to it. The default is `PLAINTEXT`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Security {
    /// TLS, if the protocol has it.
    pub tls: Option<Tls>,
    /// The login, if the protocol has one.
    pub sasl: Option<Sasl>,
}

impl Security {
    /// The protocol's name, as in `security.protocol`.
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, &self.sasl) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }
}

/// The `ssl.*` keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// `ssl.truststore.*`: whose certificates are believed.
    pub trust: Trust,
    /// `ssl.keystore.*`: who we are, where brokers ask.
    pub identity: Option<Identity>,
    /// `ssl.endpoint.identification.algorithm` is `https`: a certificate must be for the broker's name.
    pub check_host_name: bool,
    /// `ssl.protocol` and `ssl.enabled.protocols`: TLS 1.2 may be spoken.
    pub tls12: bool,
    /// TLS 1.3 may be spoken.
    pub tls13: bool,
    /// `ssl.cipher.suites`, by their IANA names; empty allows all.
    pub cipher_suites: Vec<String>,
}

impl Default for Tls {
    fn default() -> Tls {
        Tls {
            trust: Trust::System,
            identity: None,
            check_host_name: true,
            tls12: true,
            tls13: true,
            cipher_suites: Vec::new(),
        }
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of the operating system.
    System,
    /// `ssl.truststore.certificates`: PEM text.
    Pem(String),
    /// `ssl.truststore.location`.
    File(StoreFile),
}

/// Who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `ssl.keystore.certificate.chain` and `ssl.keystore.key`: PEM text.
    Pem {
        /// Our certificate, then those that lead from it to an authority.
        /// It is public, but whoever puts the key into the same text is not to find it in a log.
        chain: Secret,
        /// The private key.
        key: Secret,
        /// `ssl.key.password`.
        password: Option<Secret>,
    },
    /// `ssl.keystore.location`.
    File {
        /// The file.
        store: StoreFile,
        /// `ssl.key.password`.
        password: Option<Secret>,
    },
}

/// A file with certificates, and perhaps a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub format: StoreFormat,
    /// Its own password.
    pub password: Option<Secret>,
}

/// `ssl.truststore.type`, `ssl.keystore.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFormat {
    /// `PEM`
    Pem,
    /// `PKCS12`
    Pkcs12,
    /// `JKS`, the default: what the file's first bytes say, as in Java, where this type reads PKCS12 as well.
    Detect,
}

/// The `sasl.*` keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Sasl {
    /// `PLAIN`: name and password as they are. Safe under TLS only.
    Plain(Login),
    /// `SCRAM-SHA-256` or `SCRAM-SHA-512`: a proof of the password.
    Scram {
        /// Which hash.
        hash: ScramHash,
        /// Name and password.
        login: Login,
        /// They are those of a delegation token (KIP-48).
        is_token: bool,
    },
    /// `OAUTHBEARER`: a token.
    OAuthBearer(Box<OAuthBearer>),
    /// `GSSAPI`: Kerberos. Spoken with the cargo feature `gssapi` only.
    Gssapi(Kerberos),
}

impl Sasl {
    /// The mechanism's name, as in `sasl.mechanism`.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Sasl::Plain(_) => "PLAIN",
            Sasl::Scram { hash: ScramHash::Sha256, .. } => "SCRAM-SHA-256",
            Sasl::Scram { hash: ScramHash::Sha512, .. } => "SCRAM-SHA-512",
            Sasl::OAuthBearer(_) => "OAUTHBEARER",
            Sasl::Gssapi(_) => "GSSAPI",
        }
    }
}

/// A name and its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub username: String,
    /// The proof.
    pub password: Secret,
}

/// Whom Kerberos is asked for. Where its tickets and keys are, the environment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kerberos {
    /// `sasl.kerberos.service.name`: the first part of the brokers' principals, before their hosts.
    pub service: String,
    /// Who we are, if it is not to be the one that the ticket cache or the keytab names first.
    pub principal: Option<String>,
    /// Whether keys are to come from a client keytab, even if only krb5.conf says which.
    pub keytab: bool,
}

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScramHash {
    /// SHA-256
    Sha256,
    /// SHA-512
    Sha512,
}

/// `OAUTHBEARER` (KIP-255, KIP-768).
#[derive(Clone, Debug, PartialEq)]
pub struct OAuthBearer {
    /// Where tokens come from.
    pub source: TokenSource,
    /// SASL extensions (KIP-342), sent with each token.
    pub extensions: Vec<(String, String)>,
    /// `sasl.oauthbearer.sub.claim.name`: which claim of a token says whose it is.
    pub subject_claim: String,
    /// `sasl.login.refresh.window.factor`: after this share of its life a token is replaced.
    pub refresh_factor: f64,
    /// `sasl.login.refresh.window.jitter`: up to this share later.
    pub refresh_jitter: f64,
    /// `sasl.login.refresh.min.period.seconds`
    pub refresh_period_min: Duration,
    /// `sasl.login.refresh.buffer.seconds`: at the latest so long before its end.
    pub refresh_buffer: Duration,
}

/// Where tokens come from.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenSource {
    /// `sasl.oauthbearer.token`, a key of our own: this one.
    Fixed(Secret),
    /// `sasl.oauthbearer.token.endpoint.url=file:…`: the file's content, read anew for each login.
    File(PathBuf),
    /// `sasl.oauthbearer.token.endpoint.url=https:…`: a token endpoint (RFC 6749, 4.4).
    ClientCredentials(ClientCredentials),
    /// Made here and signed by nobody (RFC 7515, appendix A.5), for brokers under development.
    Unsecured {
        /// Claims, as the text of a JSON object without its closing brace's `iat` and `exp`.
        claims: Vec<(String, serde_json::Value)>,
        /// How long each is valid.
        lifetime: Duration,
    },
}

/// Asks a token endpoint in the client's own name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The endpoint.
    pub url: Url,
    /// `sasl.oauthbearer.client.credentials.client.id`
    pub client_id: String,
    /// `sasl.oauthbearer.client.credentials.client.secret`
    pub client_secret: Secret,
    /// `sasl.oauthbearer.scope`
    pub scope: Option<String>,
    /// `sasl.oauthbearer.header.urlencode`: whether id and secret are form-encoded in the header, as RFC 6749 has it and
    /// many servers do not.
    pub urlencode: bool,
    /// Whose certificates are believed there: `ssl.truststore.*` among the options of `sasl.jaas.config`.
    pub trust: Trust,
    /// `sasl.login.connect.timeout.ms`
    pub connect_timeout: Duration,
    /// `sasl.login.read.timeout.ms`
    pub read_timeout: Duration,
}

/// The address of a token endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether it is `https`.
    pub tls: bool,
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query, with the first slash.
    pub path: String,
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Url {
    /// Without the query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{host}:{}{path}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_shows_a_secret() {
        let login = Login { username: "alice".to_owned(), password: Secret::new("hush-hush-debug") };
        let sasl = Sasl::Scram { hash: ScramHash::Sha256, login, is_token: false };
        let security = Security { tls: Some(Tls::default()), sasl: Some(sasl) };
        let shown = format!("{security:?} {security:#?}");
        assert!(shown.contains("alice") && !shown.contains("hush-hush"), "{shown}");
        assert_eq!(security.protocol(), "SASL_SSL");
    }

    #[test]
    fn an_address_is_shown_without_its_query() {
        let url = Url { tls: true, host: "::1".into(), port: 8443, path: "/token?key=hush-hush-query".into() };
        assert_eq!(url.to_string(), "https://[::1]:8443/token");
        assert_eq!(format!("{url:?}"), "https://[::1]:8443/token");
    }
}
