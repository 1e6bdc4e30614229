//! What went wrong with TLS, in words for the user, and whether it is a refusal.

use crate::net::trouble::Trouble;
use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};
use std::io;

/// `None` if the error is not TLS's own.
pub(in crate::net) fn trouble_of(error: &io::Error) -> Option<Trouble> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidCertificate(cause) => Trouble::Refused(certificate_words(cause)),
        Error::AlertReceived(alert) => alert_trouble(*alert),
        Error::InvalidMessage(_) | Error::PeerMisbehaved(_) => Trouble::Failed(format!(
            "the port does not speak TLS, or badly, while security.protocol asks for it ({error})"
        )),
        Error::PeerIncompatible(cause) => Trouble::Refused(incompatible_words(cause)),
        Error::InappropriateHandshakeMessage { .. } | Error::InappropriateMessage { .. } => {
            Trouble::Failed(format!("the TLS handshake made no sense ({error})"))
        }
        other => Trouble::Refused(format!("TLS: {other}")),
    })
}

fn certificate_words(cause: &CertificateError) -> String {
    match cause {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the broker's certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the broker's certificate is not valid yet: is this machine's clock right?".to_owned()
        }
        CertificateError::UnknownIssuer => "the broker's certificate was issued by an authority that is not trusted \
                                            here: is it in ssl.truststore.location?"
            .to_owned(),
        CertificateError::NotValidForName => {
            "the broker's certificate is for another name; ssl.endpoint.identification.algorithm asks for this one"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let whom = match &presented[..] {
                [] => "no name at all (it needs a subject alternative name; its common name does not count)".to_owned(),
                names => shortened(&names.join(", ")),
            };
            format!(
                "the broker's certificate is not for {}, but for {whom}; ssl.endpoint.identification.algorithm asks \
                 for that",
                expected.to_str()
            )
        }
        CertificateError::Revoked => "the broker's certificate is revoked".to_owned(),
        other => format!("the broker's certificate is not accepted: {}", shortened(&other.to_string())),
    }
}

/// What the other side says is not to fill the log.
fn shortened(words: &str) -> String {
    const LETTERS_MAX: usize = 300;
    match words.char_indices().nth(LETTERS_MAX) {
        Some((at, _)) => format!("{}…", &words[..at]),
        None => words.to_owned(),
    }
}

fn alert_trouble(alert: AlertDescription) -> Trouble {
    use AlertDescription as A;
    let name = format!("{alert:?}");
    match alert {
        A::CertificateRequired | A::BadCertificate | A::CertificateUnknown | A::NoCertificate => {
            Trouble::Refused(format!(
                "the broker does not accept this client's certificate, or misses one in ssl.keystore.* (alert {name})"
            ))
        }
        A::CertificateExpired | A::CertificateRevoked | A::UnsupportedCertificate | A::UnknownCA | A::AccessDenied => {
            Trouble::Refused(format!("the broker does not accept this client's certificate (alert {name})"))
        }
        A::ProtocolVersion => {
            Trouble::Refused(format!("the broker speaks none of the TLS versions allowed here (alert {name})"))
        }
        A::HandshakeFailure | A::InsufficientSecurity => Trouble::Refused(format!(
            "the broker ended the TLS handshake: it wants a client certificate (ssl.keystore.*), or no cipher suite \
             is common (alert {name})"
        )),
        _ => Trouble::Failed(format!("the broker ended TLS (alert {name})")),
    }
}

fn incompatible_words(cause: &PeerIncompatible) -> String {
    format!("the broker's TLS and the one allowed here have nothing in common ({cause:?})")
}
