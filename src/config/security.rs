//! `security.protocol`, `ssl.*` and `sasl.*` as types.

use super::error::{Problem, ProblemKind};
use super::jaas::{self, Jaas};
use super::kerberos;
use super::producer::Values;
use super::value::quote;
use crate::security::{
    ClientCredentials, Identity, Kerberos, Login, OAuthBearer, Sasl, ScramHash, Secret, Security, StoreFile,
    StoreFormat, Tls, TokenSource, Trust, Url,
};
use std::path::PathBuf;
use std::time::Duration;

/// Builds the settings; what is wrong goes to `problems`.
pub(super) fn from_values(values: &Values, problems: &mut Vec<Problem>) -> Security {
    let protocol = values.text("security.protocol").to_ascii_uppercase();
    let mut reader = Reader { values, problems };
    let tls = protocol.ends_with("SSL").then(|| reader.tls());
    let sasl = if protocol.starts_with("SASL_") { reader.sasl() } else { None };
    Security { tls, sasl }
}

struct Reader<'a> {
    values: &'a Values,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn refuse(&mut self, key: &'static str, what: impl Into<String>, help: impl Into<String>) {
        self.problem(ProblemKind::InvalidValue, key, what, help);
    }

    fn problem(&mut self, kind: ProblemKind, key: &'static str, what: impl Into<String>, help: impl Into<String>) {
        // What is missing is missed by security.protocol, which is set: else nothing here would be read.
        let place = self.values.place(key).or_else(|| self.values.place("security.protocol"));
        if let Some(place) = place {
            self.problems.push(Problem::new(kind, place, Some(key), what).help(help));
        }
    }

    fn text(&self, key: &'static str) -> Option<String> {
        Some(self.values.text(key)).filter(|text| !text.is_empty())
    }

    fn secret(&self, key: &'static str) -> Option<Secret> {
        self.text(key).map(Secret::new)
    }

    fn seconds(&self, key: &'static str) -> Duration {
        Duration::from_secs(u64::try_from(self.values.int(key)).unwrap_or(0))
    }

    fn tls(&mut self) -> Tls {
        let check_host_name = match self.values.text("ssl.endpoint.identification.algorithm").as_str() {
            "" => false,
            name if name.eq_ignore_ascii_case("https") => true,
            other => {
                let what = format!("{} is no way to check a name", quote(other));
                self.refuse("ssl.endpoint.identification.algorithm", what, "it takes https, or nothing: no check");
                true
            }
        };
        if self.text("ssl.engine.factory.class").is_some() {
            let what = "a Java class cannot be loaded here";
            self.problem(ProblemKind::NotSupportedYet, "ssl.engine.factory.class", what, "leave it out");
        }
        let (tls12, tls13) = self.tls_versions();
        Tls {
            trust: self.trust(),
            identity: self.identity(),
            check_host_name,
            tls12,
            tls13,
            cipher_suites: self.values.list("ssl.cipher.suites"),
        }
    }

    fn tls_versions(&mut self) -> (bool, bool) {
        let (mut tls12, mut tls13) = (false, false);
        for version in self.values.list("ssl.enabled.protocols") {
            match version.as_str() {
                "TLSv1.2" => tls12 = true,
                "TLSv1.3" => tls13 = true,
                other => {
                    let what = format!("{} is not spoken here", quote(other));
                    self.refuse("ssl.enabled.protocols", what, "it takes TLSv1.2 and TLSv1.3");
                }
            }
        }
        match self.values.text("ssl.protocol").as_str() {
            "TLSv1.3" | "TLS" => {}
            "TLSv1.2" => tls13 = false,
            other => {
                let what = format!("{} is not spoken here", quote(other));
                self.refuse("ssl.protocol", what, "it takes TLSv1.2 or TLSv1.3");
                return (true, true);
            }
        }
        if !tls12 && !tls13 {
            let help = "allow TLSv1.2 or TLSv1.3 in both ssl.protocol and ssl.enabled.protocols";
            self.problem(ProblemKind::Conflict, "ssl.enabled.protocols", "no TLS version is left", help);
        }
        (tls12, tls13)
    }

    fn trust(&mut self) -> Trust {
        let pem = self.text("ssl.truststore.certificates");
        let store = self.store("ssl.truststore.location", "ssl.truststore.type", "ssl.truststore.password");
        match (pem, store) {
            (Some(_), Some(_)) => {
                let what = "set beside ssl.truststore.location";
                self.problem(ProblemKind::Conflict, "ssl.truststore.certificates", what, "leave one of them out");
                Trust::System
            }
            (Some(pem), None) => Trust::Pem(pem),
            (None, Some(file)) => Trust::File(file),
            (None, None) => Trust::System,
        }
    }

    fn identity(&mut self) -> Option<Identity> {
        let password = self.secret("ssl.key.password");
        let chain = self.secret("ssl.keystore.certificate.chain");
        let key = self.secret("ssl.keystore.key");
        let store = self.store("ssl.keystore.location", "ssl.keystore.type", "ssl.keystore.password");
        match (chain, key, store) {
            (None, None, None) => None,
            (None, None, Some(store)) => Some(Identity::File { store, password }),
            (Some(chain), Some(key), None) => Some(Identity::Pem { chain, key, password }),
            (Some(_), None, None) => {
                let help = "set the private key of the certificate in ssl.keystore.key";
                self.problem(ProblemKind::Missing, "ssl.keystore.key", "missing", help);
                None
            }
            (None, Some(_), None) => {
                let help = "set the certificate of the private key in ssl.keystore.certificate.chain";
                self.problem(ProblemKind::Missing, "ssl.keystore.certificate.chain", "missing", help);
                None
            }
            (_, _, Some(_)) => {
                let what = "set beside ssl.keystore.key or ssl.keystore.certificate.chain";
                let help = "a key and its certificate come from a file or from the configuration";
                self.problem(ProblemKind::Conflict, "ssl.keystore.location", what, help);
                None
            }
        }
    }

    fn store(&mut self, location: &'static str, kind: &'static str, password: &'static str) -> Option<StoreFile> {
        let format = match self.values.text(kind).to_ascii_uppercase().as_str() {
            "PEM" => StoreFormat::Pem,
            "PKCS12" => StoreFormat::Pkcs12,
            "JKS" => StoreFormat::Detect,
            other => {
                let what = format!("{} is no format known here", quote(other));
                self.refuse(kind, what, "it takes PEM, PKCS12, or JKS, which looks at the file itself");
                StoreFormat::Detect
            }
        };
        let path = PathBuf::from(self.text(location)?);
        Some(StoreFile { path, format, password: self.secret(password) })
    }

    fn sasl(&mut self) -> Option<Sasl> {
        for key in ["sasl.client.callback.handler.class", "sasl.login.callback.handler.class", "sasl.login.class"] {
            let known = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
            let earlier = "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler";
            if self.text(key).is_some_and(|class| class != known && class != earlier) {
                let what = "a Java class cannot be loaded here";
                self.problem(ProblemKind::NotSupportedYet, key, what, "leave it out");
            }
        }
        let mechanism = self.values.text("sasl.mechanism");
        let jaas = match self.secret("sasl.jaas.config").map(|text| jaas::parse(text.expose())) {
            Some(Ok(jaas)) => Some(jaas),
            Some(Err(what)) => {
                self.refuse("sasl.jaas.config", what, JAAS_EXAMPLE);
                return None;
            }
            None => None,
        };
        match mechanism.as_str() {
            "PLAIN" => self.login(jaas.as_ref(), "PlainLoginModule").map(Sasl::Plain),
            "SCRAM-SHA-256" => self.scram(ScramHash::Sha256, jaas.as_ref()),
            "SCRAM-SHA-512" => self.scram(ScramHash::Sha512, jaas.as_ref()),
            "OAUTHBEARER" => self.oauthbearer(jaas.as_ref()).map(|oauth| Sasl::OAuthBearer(Box::new(oauth))),
            "GSSAPI" if cfg!(feature = "gssapi") => self.kerberos(jaas.as_ref()).map(Sasl::Gssapi),
            "GSSAPI" => {
                let (what, help) = not_in_this_build(self.values.place("sasl.mechanism").is_some());
                self.problem(ProblemKind::NotSupportedYet, "sasl.mechanism", what, help);
                None
            }
            other => {
                let what = format!("{} is no mechanism known here", quote(other));
                self.refuse(
                    "sasl.mechanism",
                    what,
                    "it takes PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI",
                );
                None
            }
        }
    }

    fn kerberos(&mut self, jaas: Option<&Jaas>) -> Option<Kerberos> {
        if jaas.is_some() {
            self.module(jaas, KERBEROS_MODULE)?;
        }
        let service = self.text("sasl.kerberos.service.name");
        match kerberos::read(jaas, service.as_deref(), |name| std::env::var(name).ok()) {
            Ok(kerberos) => Some(kerberos),
            Err(wrong) => {
                let kind = if wrong.is_missing { ProblemKind::Missing } else { ProblemKind::InvalidValue };
                self.problem(kind, wrong.key, wrong.what, wrong.help);
                None
            }
        }
    }

    fn scram(&mut self, hash: ScramHash, jaas: Option<&Jaas>) -> Option<Sasl> {
        let login = self.login(jaas, "ScramLoginModule")?;
        let is_token = jaas.and_then(|jaas| jaas.option("tokenauth")).is_some_and(|value| value == "true");
        Some(Sasl::Scram { hash, login, is_token })
    }

    fn login(&mut self, jaas: Option<&Jaas>, module: &str) -> Option<Login> {
        let jaas = self.module(jaas, module)?;
        let (Some(username), Some(password)) = (jaas.option("username"), jaas.option("password")) else {
            self.refuse("sasl.jaas.config", "username or password is missing in it", JAAS_EXAMPLE);
            return None;
        };
        Some(Login { username: username.to_owned(), password: Secret::new(password) })
    }

    fn module<'j>(&mut self, jaas: Option<&'j Jaas>, module: &str) -> Option<&'j Jaas> {
        let Some(jaas) = jaas else {
            self.problem(ProblemKind::Missing, "sasl.jaas.config", "missing", JAAS_EXAMPLE);
            return None;
        };
        if jaas.module() != module {
            let mechanism = self.values.text("sasl.mechanism");
            let what = format!("{mechanism} needs the login module {module}, and another one is named");
            let example = if module == KERBEROS_MODULE { KERBEROS_EXAMPLE } else { JAAS_EXAMPLE };
            self.problem(ProblemKind::Conflict, "sasl.jaas.config", what, example);
            return None;
        }
        Some(jaas)
    }

    fn oauthbearer(&mut self, jaas: Option<&Jaas>) -> Option<OAuthBearer> {
        if jaas.is_some() {
            self.module(jaas, "OAuthBearerLoginModule")?;
        }
        let option = |name| jaas.and_then(|jaas| jaas.option(name)).filter(|value| !value.is_empty());
        let extensions: Vec<(String, String)> = jaas
            .into_iter()
            .flat_map(Jaas::options)
            .filter_map(|(name, value)| Some((name.strip_prefix("extension_")?.to_owned(), value.to_owned())))
            .collect();
        if let Some(name) = extensions.iter().find(|(name, value)| !is_extension(name, value)).map(|(name, _)| name) {
            let what = format!("extension_{} is no SASL extension", name.chars().take(40).collect::<String>());
            self.refuse("sasl.jaas.config", what, "a name has letters, a value printable ASCII, and auth is taken");
            return None;
        }
        Some(OAuthBearer {
            source: self.token_source(jaas, option("scope"))?,
            extensions,
            subject_claim: self.values.text("sasl.oauthbearer.sub.claim.name"),
            refresh_factor: self.values.double("sasl.login.refresh.window.factor"),
            refresh_jitter: self.values.double("sasl.login.refresh.window.jitter"),
            refresh_period_min: self.seconds("sasl.login.refresh.min.period.seconds"),
            refresh_buffer: self.seconds("sasl.login.refresh.buffer.seconds"),
        })
    }

    fn token_source(&mut self, jaas: Option<&Jaas>, jaas_scope: Option<&str>) -> Option<TokenSource> {
        let fixed = self.secret("sasl.oauthbearer.token");
        let Some(endpoint) = self.text("sasl.oauthbearer.token.endpoint.url") else {
            if let Some(token) = fixed {
                return Some(TokenSource::Fixed(token));
            }
            if let Some(unsecured) = jaas.and_then(unsecured) {
                return Some(unsecured);
            }
            let help = "name where tokens come from: an https: URL, a file: URL, or a token in sasl.oauthbearer.token";
            self.problem(ProblemKind::Missing, "sasl.oauthbearer.token.endpoint.url", "missing", help);
            return None;
        };
        if fixed.is_some() {
            let what = "set beside sasl.oauthbearer.token.endpoint.url";
            self.problem(ProblemKind::Conflict, "sasl.oauthbearer.token", what, "leave one of them out");
            return None;
        }
        if let Some(path) = endpoint.strip_prefix("file:") {
            // file:/p and file:///p are the same.
            let path = path.strip_prefix("//").unwrap_or(path);
            return Some(TokenSource::File(PathBuf::from(path)));
        }
        let url = match url(&endpoint) {
            Ok(url) => url,
            Err(help) => {
                self.refuse("sasl.oauthbearer.token.endpoint.url", "no URL of a token endpoint", help);
                return None;
            }
        };
        let option = |name| jaas.and_then(|jaas| jaas.option(name)).filter(|value| !value.is_empty());
        let client_id = self.text("sasl.oauthbearer.client.credentials.client.id");
        let client_secret = self.secret("sasl.oauthbearer.client.credentials.client.secret");
        let (Some(client_id), Some(client_secret)) = (
            client_id.or_else(|| option("clientId").map(str::to_owned)),
            client_secret.or_else(|| option("clientSecret").map(Secret::new)),
        ) else {
            let help = "a token endpoint is asked with it and sasl.oauthbearer.client.credentials.client.secret";
            let key = "sasl.oauthbearer.client.credentials.client.id";
            self.problem(ProblemKind::Missing, key, "missing, or its secret is", help);
            return None;
        };
        // Java has no limits by default, and hangs with the endpoint.
        let timeout = |key: &'static str| {
            let set = self.values.place(key).map(|_| self.values.millis(key)).filter(|limit| !limit.is_zero());
            set.unwrap_or(ENDPOINT_TIMEOUT)
        };
        Some(TokenSource::ClientCredentials(ClientCredentials {
            url,
            client_id,
            client_secret,
            scope: self.text("sasl.oauthbearer.scope").or_else(|| jaas_scope.map(str::to_owned)),
            trust: jaas.map_or(Trust::System, endpoint_trust),
            urlencode: self.values.truth("sasl.oauthbearer.header.urlencode"),
            connect_timeout: timeout("sasl.login.connect.timeout.ms"),
            read_timeout: timeout("sasl.login.read.timeout.ms"),
        }))
    }
}

/// As in Java, the endpoint's authority is not taken from the producer's own keys.
fn endpoint_trust(jaas: &Jaas) -> Trust {
    if let Some(pem) = jaas.option("ssl.truststore.certificates") {
        return Trust::Pem(pem.to_owned());
    }
    let Some(path) = jaas.option("ssl.truststore.location") else { return Trust::System };
    let format = match jaas.option("ssl.truststore.type").map(str::to_ascii_uppercase).as_deref() {
        Some("PEM") => StoreFormat::Pem,
        Some("PKCS12") => StoreFormat::Pkcs12,
        _ => StoreFormat::Detect,
    };
    let password = jaas.option("ssl.truststore.password").map(Secret::new);
    Trust::File(StoreFile { path: PathBuf::from(path), format, password })
}

/// `unsecuredLogin…` options, as OAuthBearerUnsecuredLoginCallbackHandler reads them.
fn unsecured(jaas: &Jaas) -> Option<TokenSource> {
    let mut claims = Vec::new();
    let mut lifetime = Duration::from_secs(3600);
    for (name, value) in jaas.options() {
        let Some(name) = name.strip_prefix("unsecuredLogin") else { continue };
        if let Some(claim) = name.strip_prefix("StringClaim_") {
            claims.push((claim.to_owned(), serde_json::Value::from(value)));
        } else if let Some(claim) = name.strip_prefix("NumberClaim_") {
            claims.push((claim.to_owned(), serde_json::Value::from(value.parse::<f64>().unwrap_or(0.0))));
        } else if let Some(claim) = name.strip_prefix("ListClaim_") {
            // The first letter is what separates the items.
            let mut letters = value.chars();
            let items: Vec<&str> = match letters.next() {
                Some(separator) => letters.as_str().split(separator).collect(),
                None => Vec::new(),
            };
            claims.push((claim.to_owned(), serde_json::Value::from(items)));
        } else if name == "LifetimeSeconds" {
            lifetime = Duration::from_secs(value.parse().unwrap_or(3600));
        }
    }
    claims.iter().any(|(claim, _)| claim == "sub").then_some(TokenSource::Unsecured { claims, lifetime })
}

/// RFC 7628, 3.1.
fn is_extension(name: &str, value: &str) -> bool {
    let printable = |byte: u8| (0x20..=0x7e).contains(&byte) || b"\t\r\n".contains(&byte);
    !name.is_empty()
        && name != "auth"
        && name.bytes().all(|byte| byte.is_ascii_alphabetic())
        && value.bytes().all(printable)
}

fn url(text: &str) -> Result<Url, String> {
    let (tls, rest) = match text.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err("it begins with https:// or file:".to_owned()),
    };
    let (authority, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err("name and password do not belong into it".to_owned());
    }
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its path has blanks or letters that must be percent-encoded".to_owned());
    }
    let standard = if tls { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| "its port is no number")?),
        _ => (authority, standard),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte)) {
        return Err("the host is missing, or is no name".to_owned());
    }
    if !tls && !["localhost", "127.0.0.1", "::1"].contains(&host) {
        return Err("over http:// the client's secret would go in the clear: write https://".to_owned());
    }
    Ok(Url { tls, host: host.to_owned(), port, path })
}

/// For the token endpoint, where nothing is set.
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(10);

const JAAS_EXAMPLE: &str = "it looks like: org.apache.kafka.common.security.scram.ScramLoginModule required \
                            username=\"NAME\" password=\"PASSWORD\";";

const KERBEROS_MODULE: &str = "Krb5LoginModule";
const KERBEROS_EXAMPLE: &str = "it looks like: com.sun.security.auth.module.Krb5LoginModule required useTicketCache=true principal=\"NAME@REALM\";";

/// What is said of Kerberos by a build without it: whether it was asked for by name, or is what counts without a name.
fn not_in_this_build(is_named: bool) -> (&'static str, &'static str) {
    let what = if is_named {
        "GSSAPI is not in this build: Kerberos is in those with the cargo feature gssapi"
    } else {
        "missing, and its default GSSAPI is not in this build: it is in those with the cargo feature gssapi"
    };
    let help = "set PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER, build with --features gssapi, or set \
                security.protocol=SSL with a client certificate, on a listener beside the one for Kerberos";
    (what, help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn security(text: &str) -> Result<Security, String> {
        let config = Config::from_properties(&format!("bootstrap.servers=a:1\n{text}"));
        config.map(|config| config.producer.security).map_err(|error| error.to_string())
    }

    const SCRAM: &str = "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \
                         username=\"alice\" password=\"hush-hush\";\n";

    #[test]
    fn protocols() {
        assert_eq!(security("").unwrap(), Security::default());
        let tls = security("security.protocol=ssl").unwrap();
        assert_eq!((tls.protocol(), tls.tls), ("SSL", Some(Tls::default())));
        let both = security(&format!("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n{SCRAM}")).unwrap();
        assert_eq!(both.protocol(), "SASL_SSL");
        let login = Login { username: "alice".into(), password: Secret::new("hush-hush") };
        assert_eq!(both.sasl, Some(Sasl::Scram { hash: ScramHash::Sha512, login, is_token: false }));
        // What a protocol does not use is not looked at, as in Java.
        assert_eq!(security(SCRAM).unwrap(), Security::default());
    }

    #[test]
    fn tls_keys() {
        let tls = security(
            "security.protocol=SSL\nssl.truststore.location=t.p12\nssl.truststore.password=hush-hush-1\n\
             ssl.keystore.location=k.pem\nssl.keystore.type=pem\nssl.key.password=hush-hush-2\n\
             ssl.endpoint.identification.algorithm=\nssl.protocol=TLSv1.2",
        );
        let tls = tls.unwrap().tls.unwrap();
        assert_eq!((tls.tls12, tls.tls13, tls.check_host_name), (true, false, false));
        let password = Some(Secret::new("hush-hush-1"));
        let trusted = StoreFile { path: "t.p12".into(), format: StoreFormat::Detect, password };
        assert_eq!(tls.trust, Trust::File(trusted));
        let store = StoreFile { path: "k.pem".into(), format: StoreFormat::Pem, password: None };
        assert_eq!(tls.identity, Some(Identity::File { store, password: Some(Secret::new("hush-hush-2")) }));
    }

    #[test]
    fn tokens_come_from_four_places() {
        let source = |text: &str| {
            let text = format!("security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n{text}");
            match security(&text).map(|security| security.sasl) {
                Ok(Some(Sasl::OAuthBearer(oauth))) => oauth.source,
                other => panic!("{text}: {other:?}"),
            }
        };
        assert_eq!(source("sasl.oauthbearer.token=hush-hush"), TokenSource::Fixed(Secret::new("hush-hush")));
        assert_eq!(source("sasl.oauthbearer.token.endpoint.url=file:///t/k"), TokenSource::File("/t/k".into()));
        let url = Url { tls: true, host: "id.example".into(), port: 443, path: "/oauth/token".into() };
        let endpoint = "sasl.oauthbearer.token.endpoint.url=https://id.example/oauth/token\n";
        let asked = source(&format!(
            "{endpoint}sasl.jaas.config=a.OAuthBearerLoginModule required clientId=\"c\" clientSecret=\"hush-hush\" scope=\"s\";"
        ));
        let own = source(&format!(
            "{endpoint}sasl.oauthbearer.client.credentials.client.id=c\n\
             sasl.oauthbearer.client.credentials.client.secret=hush-hush\nsasl.oauthbearer.scope=s"
        ));
        assert_eq!(asked, own);
        let TokenSource::ClientCredentials(asked) = asked else { panic!("{asked:?}") };
        assert_eq!((asked.url, asked.scope.as_deref()), (url, Some("s")));
        let TokenSource::Unsecured { claims, .. } =
            source("sasl.jaas.config=a.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"alice\";")
        else {
            panic!("claims")
        };
        assert_eq!(claims, [("sub".to_owned(), "alice".into())]);
    }

    #[test]
    fn a_valid_configuration_keeps_its_secrets_out_of_debug() {
        let login = "security.protocol=SASL_SSL\nsasl.mechanism=";
        let endpoint = "sasl.oauthbearer.token.endpoint.url=https://id.example/t?key=hush-hush-query\n";
        for text in [
            format!("{login}SCRAM-SHA-256\n{SCRAM}"),
            format!("{login}OAUTHBEARER\nsasl.oauthbearer.token=hush-hush-token"),
            format!(
                "{login}OAUTHBEARER\n{endpoint}sasl.oauthbearer.client.credentials.client.id=c\n\
                 sasl.oauthbearer.client.credentials.client.secret=hush-hush-client"
            ),
            format!(
                "{login}OAUTHBEARER\n{endpoint}sasl.jaas.config=a.OAuthBearerLoginModule required clientId=c \
                 clientSecret=hush-hush-jaas ssl.truststore.location=t ssl.truststore.password=hush-hush-store;"
            ),
            "security.protocol=SSL\nssl.truststore.location=t\nssl.truststore.password=hush-hush-t\n\
             ssl.keystore.location=k\nssl.keystore.password=hush-hush-k\nssl.key.password=hush-hush-p"
                .to_owned(),
            "security.protocol=SSL\nssl.keystore.certificate.chain=hush-hush-both\nssl.keystore.key=hush-hush-key\n\
             ssl.key.password=hush-hush-p"
                .to_owned(),
        ] {
            let config = Config::from_properties(&format!("bootstrap.servers=a:1\n{text}")).unwrap();
            assert_ne!(config.producer.security, Security::default());
            let shown = format!("{config:?} {config:#?}");
            assert_eq!(shown.contains("id.example/t?(hidden)"), text.contains("id.example"));
            assert!(!shown.contains("hush"), "{text}: {shown}");
        }
    }

    #[test]
    fn a_build_without_kerberos_says_so_and_what_else_there_is() {
        let (named, help) = not_in_this_build(true);
        let (default, _) = not_in_this_build(false);
        assert!(named.starts_with("GSSAPI is not in this build") && named.ends_with("the cargo feature gssapi"));
        assert!(default.starts_with("missing, and its default GSSAPI is not in this build"), "{default}");
        assert!(help.contains("SCRAM-SHA-512") && help.contains("build with --features gssapi"), "{help}");
    }

    #[test]
    fn what_is_wrong_names_its_key_and_shows_no_secret() {
        let (without_mechanism, kerberos) = if cfg!(feature = "gssapi") {
            ("sasl.kerberos.service.name: missing", "sasl.kerberos.service.name: missing")
        } else {
            ("sasl.mechanism: missing, and its default GSSAPI is not in this build", "the cargo feature gssapi")
        };
        let plain = "a.PlainLoginModule required username=\\\"a\\\" password=\\\"hush-hush\\\";";
        for (text, words) in [
            ("security.protocol=SASL_SSL", without_mechanism),
            ("security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI", kerberos),
            ("security.protocol=SASL_SSL\nsasl.mechanism=NTLM", "\"NTLM\" is no mechanism"),
            ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN", "sasl.jaas.config: missing"),
            (
                &format!("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config={plain}"),
                "SCRAM-SHA-256 needs the login module ScramLoginModule",
            ),
            (
                "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=a.PlainLoginModule required password=\"hush-hush\";",
                "username or password is missing",
            ),
            ("security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER", "name where tokens come from"),
            (
                "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://id/t",
                "client.credentials.client.id: missing",
            ),
            (
                "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=http://id/t",
                "in the clear",
            ),
            (
                "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://a:hush-hush@id/t",
                "do not belong into it",
            ),
            ("security.protocol=SSL\nssl.protocol=TLSv1.1", "\"TLSv1.1\" is not spoken here"),
            ("security.protocol=SSL\nssl.protocol=TLSv1.2\nssl.enabled.protocols=TLSv1.3", "no TLS version is left"),
            ("security.protocol=SSL\nssl.truststore.type=BKS", "\"BKS\" is no format known here"),
            ("security.protocol=SSL\nssl.keystore.key=hush-hush", "ssl.keystore.certificate.chain: missing"),
            (
                "security.protocol=SSL\nssl.truststore.certificates=x\nssl.truststore.location=y",
                "set beside ssl.truststore.location",
            ),
            ("security.protocol=SSL\nssl.endpoint.identification.algorithm=ldaps", "no way to check a name"),
        ] {
            let Err(error) = security(text) else { panic!("{text} was taken") };
            assert!(error.contains(words) && !error.contains("hush"), "{text}: {error}");
        }
    }
}
