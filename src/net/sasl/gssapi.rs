//! GSSAPI, which is Kerberos V5 (RFC 4752), by the system's library. Who we are comes from where every Kerberos program has
//! it: a ticket cache (`KRB5CCNAME`) or a client keytab (`KRB5_CLIENT_KTNAME`), or what krb5.conf says of these.

use super::{Exchange, Trouble};
use crate::core::Principal;
use crate::protocol::codec::sasl::SaslAuthenticateResponse;
use crate::security::Kerberos;
use libgssapi::context::{ClientCtx, CtxFlags, SecurityContext};
use libgssapi::credential::{Cred, CredUsage};
use libgssapi::error::Error;
use libgssapi::name::Name;
use libgssapi::oid::{GSS_MECH_KRB5, GSS_NT_HOSTBASED_SERVICE, GSS_NT_KRB5_PRINCIPAL, OidSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Has tickets. Shared by all logins of a producer.
pub(super) struct Tickets {
    settings: Kerberos,
    principal: Principal,
    asking: Arc<Semaphore>,
}

/// A login for which there is a ticket: what comes now needs the broker only.
pub(super) struct Started {
    context: ClientCtx,
    first: Vec<u8>,
}

/// Threads that may wait for a KDC at a time: the library gives one up after its own time only, and there are
/// attempts meanwhile.
const ASKING_MAX: usize = 8;

/// Kerberos needs one token of the broker; nobody needs more than this.
const ROUNDS_MAX: usize = 8;

impl Tickets {
    pub(super) fn new(settings: &Kerberos) -> Tickets {
        let name = settings.principal.as_deref().unwrap_or("the default principal");
        Tickets {
            settings: settings.clone(),
            principal: Principal::from(name),
            asking: Arc::new(Semaphore::new(ASKING_MAX)),
        }
    }

    /// As Kerberos writes it, with the realm: what brokers make of it is theirs (`sasl.kerberos.principal.to.local.rules`).
    pub(super) fn principal(&self) -> Principal {
        self.principal.clone()
    }

    /// Gets a ticket for the service of that host. A KDC may have to be asked, which takes its time: `limit` at most.
    pub(super) async fn start(&self, host: &str, limit: Duration) -> Result<Started, Trouble> {
        let (settings, principal, asking) = (self.settings.clone(), self.principal.clone(), Arc::clone(&self.asking));
        let host = host.to_owned();
        let asked = timeout(limit, async move {
            let permit = asking.acquire_owned().await;
            let work = move || {
                // Until the library is done with it, also if nobody waits any more.
                let _permit = permit;
                start(&settings, &host, &principal)
            };
            spawn_blocking(work).await
        });
        match asked.await {
            Ok(Ok(started)) => started,
            Ok(Err(error)) => Err(Trouble::Failed(error.to_string())),
            Err(_) => Err(Trouble::Failed(format!("no KDC gave a ticket within {} ms", limit.as_millis()))),
        }
    }
}

fn start(settings: &Kerberos, host: &str, principal: &Principal) -> Result<Started, Trouble> {
    let begin = || {
        let kerberos = OidSet::singleton(GSS_MECH_KRB5)?;
        let asked = settings.principal.as_deref().map(|name| Name::new(name.as_bytes(), Some(GSS_NT_KRB5_PRINCIPAL)));
        let credential = Cred::acquire(asked.transpose()?.as_ref(), None, CredUsage::Initiate, Some(&kerberos))?;
        let target = format!("{}@{host}", settings.service);
        let target = Name::new(target.as_bytes(), Some(GSS_NT_HOSTBASED_SERVICE))?;
        // What the security layer is agreed on with is to be protected (RFC 4752, 3.1); the layer itself is not wanted.
        let flags = CtxFlags::GSS_C_MUTUAL_FLAG | CtxFlags::GSS_C_INTEG_FLAG;
        let mut context = ClientCtx::new(Some(credential.clone()), target, flags, Some(GSS_MECH_KRB5));
        let first = context.step(None, None);
        // Only now: which of several tickets is taken may depend on the host.
        if let Ok(name) = credential.name() {
            principal.rename(&shown(&name));
        }
        Ok((context, first?))
    };
    let (context, first) = begin().map_err(|error: Error| {
        if error.minor.cast_signed() == EXPIRED && has_keytab(settings, std::env::var("KRB5_CLIENT_KTNAME").ok()) {
            return Trouble::Failed(format!("{}, and the keytab gave no new one", words(&error)));
        }
        trouble(&error)
    })?;
    Ok(Started { context, first: first.map(|token| token.to_vec()).unwrap_or_default() })
}

/// Whether new tickets come from a client keytab, as far as can be told from here: what krb5.conf names is not looked up.
fn has_keytab(settings: &Kerberos, named: Option<String>) -> bool {
    match named {
        Some(named) => Path::new(named.strip_prefix("FILE:").unwrap_or(&named)).exists(),
        None => settings.keytab,
    }
}

/// Logs in.
pub(super) async fn log_in<S>(
    exchange: &mut Exchange<'_, S>,
    started: Started,
) -> Result<SaslAuthenticateResponse, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Started { mut context, first } = started;
    let mut token = first;
    for _ in 0..ROUNDS_MAX {
        let answer = exchange.round(&token).await?;
        if context.is_complete() {
            let (reply, _open) = on_thread(move || Ok((reply(&mut context, &answer.auth_bytes)?, context))).await?;
            return exchange.round(&reply).await;
        }
        (token, context) = on_thread(move || {
            let next = context.step(Some(&answer.auth_bytes), None).map_err(|error| foul(&words(&error)))?;
            Ok((next.map(|token| token.to_vec()).unwrap_or_default(), context))
        })
        .await?;
    }
    Err(foul("its part has no end"))
}

/// The broker offers security layers, we take none and say who we are (RFC 4752, 3.1), as Java does.
fn reply(context: &mut ClientCtx, offer: &[u8]) -> Result<Vec<u8>, Trouble> {
    if !context.flags().is_ok_and(|flags| flags.contains(CtxFlags::GSS_C_MUTUAL_FLAG)) {
        return Err(foul("it did not prove who it is"));
    }
    let offer = context.unwrap(offer).map_err(|error| foul(&words(&error)))?;
    let [layers, ..] = *<&[u8; 4]>::try_from(&*offer).map_err(|_| foul("its security layers cannot be read"))?;
    if layers & NO_LAYER == 0 {
        return Err(Trouble::Refused("the broker wants a security layer, of which Kafka has none".to_owned()));
    }
    let own = context.source_name().and_then(|name| name.display_name()).map_err(|error| trouble(&error))?;
    let reply = [&[NO_LAYER, 0, 0, 0], &*own].concat();
    let wrapped = context.wrap(false, &reply).map_err(|error| trouble(&error))?;
    Ok(wrapped.to_vec())
}

const NO_LAYER: u8 = 1;

/// The library is not meant for a thread on which others wait.
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Trouble::Failed(error.to_string())))
}

/// A broker that cannot play its part does not have the key that our ticket is for.
fn foul(what: &str) -> Trouble {
    Trouble::Refused(format!("the broker is not to be trusted: {what}"))
}

fn trouble(error: &Error) -> Trouble {
    let words = words(error);
    if TRANSIENT.contains(&error.minor.cast_signed()) { Trouble::Failed(words) } else { Trouble::Refused(words) }
}

/// Codes of krb5_err that say nothing against us or the broker: those that Java's client tries again after, and those of
/// a KDC that was not found.
const TRANSIENT: [i32; 7] = [
    KRB5 + 21,  // KRB5KDC_ERR_CLIENT_NOTYET
    KRB5 + 29,  // KRB5KDC_ERR_SVC_UNAVAILABLE
    KRB5 + 33,  // KRB5KRB_AP_ERR_TKT_NYV
    KRB5 + 34,  // KRB5KRB_AP_ERR_REPEAT
    KRB5 + 154, // KRB5_REALM_UNKNOWN: no KDC is known, as if DNS does not answer
    KRB5 + 156, // KRB5_KDC_UNREACH
    KRB5 + 220, // KRB5_REALM_CANT_RESOLVE
];
const KRB5: i32 = -1_765_328_384;

/// KRB5KRB_AP_ERR_TKT_EXPIRED. With a keytab MIT has tried to get a new ticket and keeps to itself why it could not, as
/// while no KDC answers. (It tries again after half a minute.)
const EXPIRED: i32 = KRB5 + 32;

/// What Kerberos says, after what GSSAPI says unless that tells nothing more. To be asked on the thread of the error: the
/// library keeps the words there.
fn words(error: &Error) -> String {
    let words = error.to_string();
    if error.minor == 0 {
        return legible(words.trim_end_matches(" (Success)"));
    }
    let own = GENERAL.iter().find_map(|general| words.strip_prefix(general)?.strip_prefix(" (")?.strip_suffix(')'));
    let words = legible(own.unwrap_or(&words).trim());
    if words.contains(ANOTHER_S_CACHE) {
        return format!("{words} (each principal needs a ticket cache of its own: set KRB5CCNAME)");
    }
    words
}

/// Some of it is a KDC's, which nobody has proved to be one.
fn legible(words: &str) -> String {
    words.chars().filter(|letter| !letter.is_control()).take(300).collect()
}

const GENERAL: [&str; 2] = [
    "Unspecified GSS failure.  Minor code may provide more information",
    "No credentials were supplied, or the credentials were unavailable or inaccessible",
];
const ANOTHER_S_CACHE: &str = "Principal in credential cache does not match desired name";

fn shown(name: &Name) -> String {
    legible(&name.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use libgssapi::error::MajorFlags;

    #[test]
    fn a_kdc_that_does_not_answer_is_no_refusal() {
        let is_refusal = |code: i32| {
            trouble(&Error { major: MajorFlags::GSS_S_FAILURE, minor: (KRB5 + code).cast_unsigned() }).is_refusal()
        };
        // KRB5_KDC_UNREACH and KRB5KDC_ERR_SVC_UNAVAILABLE; KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN and KRB5_CC_NOTFOUND.
        assert!(!is_refusal(156) && !is_refusal(29));
        assert!(is_refusal(7) && is_refusal(141));
    }

    #[test]
    fn a_keytab_is_known_if_its_file_is_there() {
        let settings = |keytab| Kerberos { service: "kafka".into(), principal: None, keytab };
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        for named in [here.to_owned(), format!("FILE:{here}")] {
            assert!(has_keytab(&settings(false), Some(named)));
        }
        assert!(!has_keytab(&settings(true), Some("FILE:/nowhere/keytab".to_owned())));
        assert!(has_keytab(&settings(true), None) && !has_keytab(&settings(false), None));
    }

    #[test]
    fn a_kdc_s_words_are_a_line_of_bounded_length() {
        assert_eq!(legible("Server \u{1b}[2Jx\r\nnot found"), "Server [2Jxnot found");
        assert_eq!(legible(&"é".repeat(1000)).chars().count(), 300);
    }
}
