//! The login after ApiVersions: SaslHandshake, then the mechanism's messages as SaslAuthenticate (KIP-43, KIP-152); the
//! same again, on the same connection, before the broker's patience ends (KIP-368).

#[cfg(feature = "gssapi")]
mod gssapi;
mod http;
mod scram;
mod token;

use super::frames::FrameBuffer;
use super::handshake::{check_correlation, exchange};
use super::security::SecurityError;
use super::trouble::Trouble;
use crate::core::Principal;
use crate::protocol::codec::sasl::{
    SaslAuthenticateResponse, decode_authenticate, decode_handshake, encode_authenticate, encode_handshake,
};
use crate::protocol::error_code;
use crate::protocol::messages::{ApiKey, ApiVersions};
use crate::protocol::versions;
use crate::security::{Login, Sasl, ScramHash};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;
use token::Tokens;
use tokio::io::{AsyncRead, AsyncWrite};
use zeroize::Zeroizing;

/// Logs in. Shared by all of a producer.
pub(super) struct SaslClient {
    settings: Sasl,
    tokens: Option<Tokens>,
    #[cfg(feature = "gssapi")]
    tickets: Option<gssapi::Tickets>,
}

/// What one login needs and is had before it.
#[derive(Default)]
pub(super) struct Prepared {
    #[cfg(feature = "gssapi")]
    gssapi: Option<gssapi::Started>,
}

/// The answers of a login are short.
const ANSWER_LEN_MAX: usize = 512 * 1024;

impl SaslClient {
    pub(super) fn load(settings: &Sasl) -> Result<SaslClient, SecurityError> {
        let tokens = match settings {
            Sasl::OAuthBearer(oauth) => Some(Tokens::load(oauth)?),
            Sasl::Plain(_) | Sasl::Scram { .. } | Sasl::Gssapi(_) => None,
        };
        #[cfg(not(feature = "gssapi"))]
        if let Sasl::Gssapi(_) = settings {
            return Err(SecurityError::new("sasl.mechanism", "GSSAPI is not in this build (its cargo feature gssapi)"));
        }
        Ok(SaslClient {
            #[cfg(feature = "gssapi")]
            tickets: match settings {
                Sasl::Gssapi(kerberos) => Some(gssapi::Tickets::new(kerberos)),
                _ => None,
            },
            settings: settings.clone(),
            tokens,
        })
    }

    /// Whether the system's library is at work in logins.
    pub(super) fn is_kerberos(&self) -> bool {
        matches!(self.settings, Sasl::Gssapi(_))
    }

    /// The name that we log in with.
    pub(super) fn principal(&self) -> Principal {
        #[cfg(feature = "gssapi")]
        if let Some(tickets) = &self.tickets {
            return tickets.principal();
        }
        let name = match &self.settings {
            Sasl::Plain(login) | Sasl::Scram { login, .. } => login.username.clone(),
            Sasl::OAuthBearer(_) => self.tokens.as_ref().map(Tokens::subject).unwrap_or_default(),
            Sasl::Gssapi(kerberos) => kerberos.principal.clone().unwrap_or_default(),
        };
        Principal::from(format!("User:{name}").as_str())
    }

    /// What takes its time before a login at `host` can begin: done before the broker waits for it. Good for one login.
    /// Where it can take long without an end of its own, `limit` is the end.
    pub(super) async fn prepare(&self, host: &str, limit: Duration) -> Result<Prepared, Trouble> {
        if let Some(tokens) = &self.tokens {
            tokens.prepare().await.map_err(|trouble| self.words(trouble))?;
        }
        #[cfg(feature = "gssapi")]
        if let Some(tickets) = &self.tickets {
            let started = tickets.start(host, limit).await.map_err(|trouble| self.words(trouble))?;
            return Ok(Prepared { gssapi: Some(started) });
        }
        #[cfg(not(feature = "gssapi"))]
        let _ = (host, limit);
        Ok(Prepared::default())
    }

    fn words(&self, trouble: Trouble) -> Trouble {
        let (mechanism, principal) = (self.settings.mechanism(), self.principal());
        let verb = if trouble.is_refusal() { "was refused" } else { "failed" };
        trouble.map(|cause| format!("the {mechanism} login of {principal} {verb}: {cause}"))
    }

    /// Logs in on a connection on which nothing is awaited. Says how long the broker lets the login count; `None` is
    /// for ever.
    pub(super) async fn authenticate<S>(
        &self,
        stream: &mut S,
        versions: &ApiVersions,
        client_id: &str,
        prepared: Prepared,
    ) -> Result<Option<Duration>, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut exchange = Exchange {
            stream,
            frames: FrameBuffer::with_len_max(ANSWER_LEN_MAX),
            versions,
            client_id,
            next_correlation_id: FIRST_CORRELATION_ID,
        };
        let outcome = match self.log_in(&mut exchange, prepared).await {
            Err(trouble) => Err(trouble),
            Ok(_) if exchange.frames.is_partial() => {
                Err(Trouble::Failed("the broker said more than it was asked for".to_owned()))
            }
            Ok(last) => Ok(last.session_lifetime_ms),
        };
        match outcome {
            Ok(lifetime) => Ok(u64::try_from(lifetime).ok().filter(|ms| *ms > 0).map(Duration::from_millis)),
            Err(trouble) => Err(self.words(trouble)),
        }
    }

    async fn log_in<S>(
        &self,
        exchange: &mut Exchange<'_, S>,
        prepared: Prepared,
    ) -> Result<SaslAuthenticateResponse, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match &self.settings {
            Sasl::Plain(login) => {
                exchange.handshake("PLAIN").await?;
                exchange.round(&plain(login)).await
            }
            Sasl::Scram { hash, login, is_token } => {
                exchange.handshake(self.settings.mechanism()).await?;
                scram(exchange, *hash, login, *is_token).await
            }
            Sasl::OAuthBearer(_) => {
                let Some(tokens) = &self.tokens else { unreachable!("loaded with the settings") };
                let message = tokens.message().await?;
                exchange.handshake("OAUTHBEARER").await?;
                oauthbearer(exchange, &message).await
            }
            #[cfg(feature = "gssapi")]
            Sasl::Gssapi(_) => {
                let Some(started) = prepared.gssapi else { unreachable!("prepared by the same client") };
                exchange.handshake("GSSAPI").await?;
                gssapi::log_in(exchange, started).await
            }
            #[cfg(not(feature = "gssapi"))]
            Sasl::Gssapi(_) => {
                let Prepared {} = prepared;
                unreachable!("it was not loaded")
            }
        }
    }
}

/// When to log in again: between 85 and 95 hundredths of the time, as Java's clients.
pub(super) fn renewal_after(lifetime: Duration) -> Duration {
    // Longer is as good as for ever.
    let lifetime = lifetime.min(Duration::from_secs(365 * 86_400));
    let mut random = [0; 2];
    // Without a random number all connections do it at the same time, which is no reason to fail.
    let _ = getrandom::fill(&mut random);
    lifetime.mul_f64(0.85 + 0.1 * f64::from(u16::from_ne_bytes(random)) / f64::from(u16::MAX))
}

/// Far from those of the requests before and after.
const FIRST_CORRELATION_ID: i32 = i32::MAX - 15;

/// RFC 4616: no other identity, name, password.
fn plain(login: &Login) -> Zeroizing<Vec<u8>> {
    let (username, password) = (login.username.as_bytes(), login.password.expose().as_bytes());
    let mut message = Zeroizing::new(Vec::with_capacity(2 + username.len() + password.len()));
    message.push(0);
    message.extend_from_slice(username);
    message.push(0);
    message.extend_from_slice(password);
    message
}

async fn scram<S>(
    exchange: &mut Exchange<'_, S>,
    hash: ScramHash,
    login: &Login,
    is_token: bool,
) -> Result<SaslAuthenticateResponse, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A broker that cannot play its part is not the one that the password is for.
    let foul = |what: &str| Trouble::Refused(format!("the broker is not to be trusted: {what}"));
    let (started, first) = scram::start(hash, &login.username, is_token, nonce()?);
    let answer = exchange.round(first.as_bytes()).await?;
    let challenge = started.challenge(&answer.auth_bytes).map_err(foul)?;
    let login = login.clone();
    // It is meant to take long, and other connections live on this thread.
    let proof = tokio::task::spawn_blocking(move || started.prove(&challenge, &login)).await;
    let (proved, second) = proof.map_err(|error| Trouble::Failed(error.to_string()))?;
    let last = exchange.round(second.as_bytes()).await?;
    proved.check(&last.auth_bytes).map_err(|what| foul(&what))?;
    Ok(last)
}

fn nonce() -> Result<String, Trouble> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(|error| Trouble::Failed(format!("no random numbers: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

async fn oauthbearer<S>(exchange: &mut Exchange<'_, S>, message: &[u8]) -> Result<SaslAuthenticateResponse, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer = exchange.round(message).await?;
    if answer.auth_bytes.is_empty() {
        return Ok(answer);
    }
    // RFC 7628, 3.2.3: what is wrong comes as JSON, and waits for a byte before the refusal proper.
    let status = serde_json::from_slice::<serde_json::Value>(&answer.auth_bytes);
    let status = status.ok().and_then(|json| json.get("status")?.as_str().map(str::to_owned));
    let status: String = status.as_deref().unwrap_or("no reason").chars().take(100).collect();
    match exchange.round(&[1]).await {
        Err(Trouble::Failed(cause)) => Err(Trouble::Failed(cause)),
        Err(Trouble::Refused(cause)) => Err(Trouble::Refused(format!("{cause} ({status})"))),
        Ok(_) => Err(Trouble::Refused(format!("the broker does not take the token ({status})"))),
    }
}

struct Exchange<'a, S> {
    stream: &'a mut S,
    frames: FrameBuffer,
    versions: &'a ApiVersions,
    client_id: &'a str,
    next_correlation_id: i32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<'_, S> {
    fn version(&self, api: ApiKey) -> Result<i16, Trouble> {
        let version = self.versions.pick(api, versions::ours(api));
        version.ok_or_else(|| Trouble::Failed(format!("the broker speaks no version of {api:?} that we do")))
    }

    async fn handshake(&mut self, mechanism: &str) -> Result<(), Trouble> {
        let version = self.version(ApiKey::SaslHandshake)?;
        let id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let request = encode_handshake(mechanism, version, id, self.client_id).map_err(|error| error.to_string())?;
        let frame = exchange(self.stream, &mut self.frames, &request).await?;
        check_correlation(frame, id)?;
        let answer = decode_handshake(frame, version)
            .map_err(|error| format!("the answer to SaslHandshake cannot be read: {error}"))?;
        match answer.error_code {
            error_code::NONE => Ok(()),
            error_code::UNSUPPORTED_SASL_MECHANISM => Err(Trouble::Refused(format!(
                "the broker's listener does not take it, but {}",
                match answer.mechanisms.join(", ") {
                    none if none.is_empty() => "nothing else either".to_owned(),
                    names => names.chars().take(300).collect(),
                }
            ))),
            error_code::ILLEGAL_SASL_STATE => Err(Trouble::Refused(
                "the broker's listener does not want a login: security.protocol would be PLAINTEXT or SSL".to_owned(),
            )),
            code => Err(refusal(code, None)),
        }
    }

    /// One message of the mechanism, and its answer.
    async fn round(&mut self, auth_bytes: &[u8]) -> Result<SaslAuthenticateResponse, Trouble> {
        let version = self.version(ApiKey::SaslAuthenticate)?;
        let id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let request =
            encode_authenticate(auth_bytes, version, id, self.client_id).map_err(|error| error.to_string())?;
        let frame = exchange(self.stream, &mut self.frames, &request).await?;
        check_correlation(frame, id)?;
        let answer = decode_authenticate(frame, version)
            .map_err(|error| format!("the answer to SaslAuthenticate cannot be read: {error}"))?;
        match answer.error_code {
            error_code::NONE => Ok(answer),
            code => Err(refusal(code, answer.error_message.as_deref())),
        }
    }
}

fn refusal(code: i16, message: Option<&str>) -> Trouble {
    let words = match message {
        Some(message) => {
            format!("the broker answered {}: {}", error_code::name(code), message.chars().take(300).collect::<String>())
        }
        None => format!("the broker answered {}", error_code::name(code)),
    };
    if error_code::is_retriable(code) { Trouble::Failed(words) } else { Trouble::Refused(words) }
}

#[cfg(test)]
#[path = "../tests/sasl.rs"]
mod tests;
