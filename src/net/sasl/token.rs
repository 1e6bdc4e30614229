//! Tokens for OAUTHBEARER: where they come from, and how long each is used.
//!
//! A token is fetched when a connection needs one and the last one has lived most of its life: reconnects and
//! re-authentications, which the broker asks for before the token's end, are what drives it. No thread and no timer.

use super::http;
use crate::net::clock::Clock;
use crate::net::security::SecurityError;
use crate::net::tls::TlsClient;
use crate::net::trouble::Trouble;
use crate::security::{ClientCredentials, OAuthBearer, Tls, TokenSource};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

pub(super) struct Tokens {
    settings: OAuthBearer,
    /// For the token endpoint.
    tls: Option<TlsClient>,
    clock: Clock,
    /// Held while one is fetched: who comes then waits for that one.
    current: tokio::sync::Mutex<Option<Token>>,
    /// Of the last one.
    subject: Mutex<Option<String>>,
}

/// No `Debug`.
#[derive(Clone)]
struct Token {
    token: Zeroizing<String>,
    refresh_at_ms: i64,
    expires_at_ms: i64,
}

impl Tokens {
    pub(super) fn load(settings: &OAuthBearer) -> Result<Tokens, SecurityError> {
        let tls = match &settings.source {
            TokenSource::ClientCredentials(endpoint) => {
                Some(TlsClient::load(&Tls { trust: endpoint.trust.clone(), ..Tls::default() })?)
            }
            _ => None,
        };
        let subject = match &settings.source {
            TokenSource::Fixed(token) => claim(&claims(token.expose()), &settings.subject_claim),
            // It may come later; then only its subject is not known yet.
            TokenSource::File(path) => {
                read(path).ok().and_then(|token| claim(&claims(&token), &settings.subject_claim))
            }
            _ => None,
        };
        Ok(Tokens {
            settings: settings.clone(),
            tls,
            clock: Clock::new(),
            current: tokio::sync::Mutex::new(None),
            subject: Mutex::new(subject),
        })
    }

    /// Whose the last token was; before there is one, who asks for it.
    pub(super) fn subject(&self) -> String {
        let last = self.subject.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.unwrap_or_else(|| match &self.settings.source {
            TokenSource::ClientCredentials(endpoint) => endpoint.client_id.clone(),
            TokenSource::Unsecured { claims, .. } => {
                let claim = claims.iter().find(|(name, _)| *name == self.settings.subject_claim);
                claim.and_then(|(_, value)| value.as_str()).unwrap_or("?").to_owned()
            }
            TokenSource::Fixed(_) | TokenSource::File(_) => "(the token's)".to_owned(),
        })
    }

    /// Fetches a token if one is due, for the login that follows.
    pub(super) async fn prepare(&self) -> Result<(), Trouble> {
        self.token().await.map(drop)
    }

    /// The client's message (RFC 7628, 3.1).
    pub(super) async fn message(&self) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let token = self.token().await?;
        let extensions: usize = self.settings.extensions.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut message = Zeroizing::new(Vec::with_capacity(32 + token.len() + extensions));
        message.extend_from_slice(b"n,,\x01auth=Bearer ");
        message.extend_from_slice(token.as_bytes());
        message.push(1);
        for (name, value) in &self.settings.extensions {
            for part in [name.as_bytes(), b"=", value.as_bytes(), b"\x01"] {
                message.extend_from_slice(part);
            }
        }
        message.push(1);
        Ok(message)
    }

    async fn token(&self) -> Result<Zeroizing<String>, Trouble> {
        let mut current = self.current.lock().await;
        let now = self.clock.wall_ms();
        if let Some(token) = current.as_ref().filter(|token| now < token.refresh_at_ms) {
            return Ok(token.token.clone());
        }
        match self.fetch(now).await {
            Ok(token) => {
                let subject = claim(&claims(&token.token), &self.settings.subject_claim);
                *self.subject.lock().unwrap_or_else(PoisonError::into_inner) = subject;
                Ok(current.insert(token).token.clone())
            }
            // The last one still serves; the next connection tries again.
            Err(trouble) => match current.as_ref().filter(|token| now < token.expires_at_ms) {
                Some(token) => {
                    tracing::warn!(target: "pointsman::net", "the last token is used on: {trouble}");
                    Ok(token.token.clone())
                }
                None => Err(trouble),
            },
        }
    }

    async fn fetch(&self, now: i64) -> Result<Token, Trouble> {
        let (token, expires_in) = match &self.settings.source {
            TokenSource::Fixed(token) => (Zeroizing::new(token.expose().to_owned()), None),
            TokenSource::File(path) => (read(path)?, None),
            TokenSource::Unsecured { claims, lifetime } => (unsecured(claims, *lifetime, now), None),
            TokenSource::ClientCredentials(endpoint) => {
                let Some(tls) = &self.tls else { unreachable!("loaded with the settings") };
                let fetched = ask(endpoint, tls).await;
                fetched
                    .map_err(|trouble| trouble.map(|cause| format!("the token endpoint {}: {cause}", endpoint.url)))?
            }
        };
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Trouble::Failed("what should be a token has blanks or is empty".to_owned()));
        }
        let claims = claims(&token);
        let expires_at_ms = match seconds(&claims, "exp") {
            Some(at) => at.saturating_mul(1000),
            None => expires_in.map_or(i64::MAX, |seconds| now.saturating_add(seconds.saturating_mul(1000))),
        };
        if expires_at_ms <= now {
            return Err(Trouble::Refused("the token has expired".to_owned()));
        }
        let refresh_at_ms = match &self.settings.source {
            // What is only read or made costs nothing.
            TokenSource::Fixed(_) | TokenSource::File(_) | TokenSource::Unsecured { .. } => now,
            TokenSource::ClientCredentials(_) => self.refresh_at(now, expires_at_ms),
        };
        Ok(Token { token, refresh_at_ms, expires_at_ms })
    }

    /// As Java's ExpiringCredentialRefreshingLogin: after a share of the life, but not later than the buffer before its
    /// end, nor sooner than the least period; where the life is too short for both, they do not count.
    fn refresh_at(&self, now: i64, expires_at_ms: i64) -> i64 {
        let mut random = [0; 2];
        // Without a random number all clients refresh at the same time, which is no reason to fail.
        let _ = getrandom::fill(&mut random);
        let chance = f64::from(u16::from_ne_bytes(random)) / f64::from(u16::MAX);
        let life = (expires_at_ms - now).min(10 * 365 * 86_400_000);
        let share = (self.settings.refresh_factor + chance * self.settings.refresh_jitter).min(1.0);
        let by_share = now + (life as f64 * share) as i64;
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let (buffer, period) = (millis(self.settings.refresh_buffer), millis(self.settings.refresh_period_min));
        if buffer.saturating_add(period) >= life {
            return by_share;
        }
        by_share.min(expires_at_ms - buffer).max(now + period)
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, Trouble> {
    let fails = |cause: String| Trouble::Failed(format!("the token file {} cannot be read: {cause}", path.display()));
    let length = path.metadata().map_err(|error| fails(error.to_string()))?.len();
    if length > TOKEN_LEN_MAX {
        return Err(fails("it is larger than 256 KiB".to_owned()));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| fails(error.to_string()))?);
    Ok(Zeroizing::new(text.trim().to_owned()))
}

const TOKEN_LEN_MAX: u64 = 256 * 1024;

/// A token that nobody signed (RFC 7519, 6).
fn unsecured(claims: &[(String, Value)], lifetime: Duration, now: i64) -> Zeroizing<String> {
    let mut body = serde_json::Map::new();
    for (name, value) in claims {
        body.insert(name.clone(), value.clone());
    }
    let life = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    body.insert("iat".to_owned(), (now / 1000).into());
    body.insert("exp".to_owned(), (now / 1000 + life).into());
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    Zeroizing::new(format!("{}.{}.", part(r#"{"alg":"none"}"#.to_owned()), part(Value::from(body).to_string())))
}

/// What a token says of itself, if it is a JWT. It is for the broker to check it.
fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap_or_default();
    let json = URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).unwrap_or_default();
    serde_json::from_slice(&json).unwrap_or(Value::Null)
}

fn claim(claims: &Value, name: &str) -> Option<String> {
    claims.get(name)?.as_str().map(str::to_owned)
}

fn seconds(claims: &Value, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

/// The token, and for how many seconds it is good if the endpoint says so.
async fn ask(endpoint: &ClientCredentials, tls: &TlsClient) -> Result<(Zeroizing<String>, Option<i64>), Trouble> {
    let mut form = "grant_type=client_credentials".to_owned();
    if let Some(scope) = &endpoint.scope {
        form.push_str("&scope=");
        form.push_str(&encoded(scope));
    }
    let secret = endpoint.client_secret.expose();
    let (id, secret_part) = if endpoint.urlencode {
        (encoded(&endpoint.client_id), Zeroizing::new(encoded(secret)))
    } else {
        (endpoint.client_id.clone(), Zeroizing::new(secret.to_owned()))
    };
    let pair = joined(&[&id, ":", &secret_part]);
    let authorization = joined(&["Basic ", &Zeroizing::new(STANDARD.encode(pair.as_bytes()))]);
    let (connect, read) = (endpoint.connect_timeout, endpoint.read_timeout);
    let answer = http::post(&endpoint.url, tls, &authorization, &form, connect, read).await?;
    let told: Told = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == 200 {
        let Some(AccessToken(token)) = told.access_token else {
            return Err(Trouble::Failed("its answer has no access_token".to_owned()));
        };
        let expires_in = told.expires_in.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
        return Ok((token, expires_in));
    }
    // Only these two fields are made to be read by people.
    let words: Vec<String> = [&told.error, &told.error_description]
        .into_iter()
        .filter_map(|told| told.as_str())
        .map(|words| {
            words.replace(secret, "(hidden)").chars().filter(|letter| !letter.is_control()).take(200).collect()
        })
        .collect();
    let words = format!("it answered {} {}", answer.status, words.join(": "));
    let words = words.trim_end().to_owned();
    // RFC 6749, 5.2; the others pass.
    match answer.status {
        400 | 401 | 403 | 404 | 405 | 422 => Err(Trouble::Refused(words)),
        _ => Err(Trouble::Failed(words)),
    }
}

/// What a token endpoint answers (RFC 6749, 5). No `Debug`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    access_token: Option<AccessToken>,
    /// Seconds; some write them as text.
    expires_in: Option<Value>,
    error: Value,
    error_description: Value,
}

#[derive(Deserialize)]
#[serde(from = "String")]
struct AccessToken(Zeroizing<String>);

impl From<String> for AccessToken {
    fn from(token: String) -> AccessToken {
        AccessToken(Zeroizing::new(token))
    }
}

/// In one piece from the beginning: a text that grows leaves what it was behind.
fn joined(parts: &[&str]) -> Zeroizing<String> {
    let mut whole = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    whole.extend(parts.iter().copied());
    whole
}

/// As in a form.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(3 * text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
#[path = "../tests/token.rs"]
mod tests;
