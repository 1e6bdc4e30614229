//! SCRAM (RFC 5802, RFC 7677), the client's side: text in, text out.

use crate::security::{Login, ScramHash};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};
use std::num::NonZeroU32;
use zeroize::Zeroizing;

/// After the first message.
pub(super) struct Started {
    hash: ScramHash,
    nonce: String,
    /// The first message without its header.
    bare: String,
}

/// After the second: the server's proof is due.
#[derive(Debug)]
pub(super) struct Proved {
    server_key: hmac::Key,
    /// What both sides sign.
    signed: String,
}

/// What the server asks of the password.
#[derive(Debug)]
pub(super) struct Challenge {
    /// Ours, and the server's part behind it.
    nonce: String,
    salt: Vec<u8>,
    pub(super) iterations: NonZeroU32,
    server_first: String,
}

/// As Kafka's brokers and clients have it.
const ITERATIONS_MIN: u32 = 4096;
/// A server decides how long a client computes; this takes a fraction of a second.
const ITERATIONS_MAX: u32 = 1_000_000;

/// The first message. `nonce` is printable and has no comma.
pub(super) fn start(hash: ScramHash, username: &str, is_token: bool, nonce: String) -> (Started, String) {
    let username = username.replace('=', "=3D").replace(',', "=2C");
    let extension = if is_token { ",tokenauth=true" } else { "" };
    let bare = format!("n={username},r={nonce}{extension}");
    let message = format!("n,,{bare}");
    (Started { hash, nonce, bare }, message)
}

impl Started {
    /// Reads the server's first message.
    pub(super) fn challenge(&self, server_first: &[u8]) -> Result<Challenge, &'static str> {
        let text = std::str::from_utf8(server_first).map_err(|_| "its challenge is no text")?;
        if text.is_empty() {
            return Err("it skipped its challenge, and so never proved that it knows the password");
        }
        let mut fields = text.split(',');
        let mut field = |name: &str| fields.next().and_then(|field| field.strip_prefix(name));
        let nonce = field("r=").ok_or("its challenge has no nonce")?;
        let salt = field("s=").ok_or("its challenge has no salt")?;
        let iterations = field("i=").ok_or("its challenge has no iterations")?;
        if nonce.strip_prefix(self.nonce.as_str()).is_none_or(str::is_empty) {
            return Err("its challenge is not an answer to this login");
        }
        let salt = STANDARD.decode(salt).map_err(|_| "the salt of its challenge is not base64")?;
        let iterations = iterations.parse().ok().filter(|count| (ITERATIONS_MIN..=ITERATIONS_MAX).contains(count));
        let iterations = iterations.and_then(NonZeroU32::new).ok_or("its iterations are not 4096 to 1000000")?;
        Ok(Challenge { nonce: nonce.to_owned(), salt, iterations, server_first: text.to_owned() })
    }

    /// The second message. Takes as long as the iterations ask for.
    pub(super) fn prove(&self, challenge: &Challenge, login: &Login) -> (Proved, String) {
        let (mac, kdf) = match self.hash {
            ScramHash::Sha256 => (hmac::HMAC_SHA256, pbkdf2::PBKDF2_HMAC_SHA256),
            ScramHash::Sha512 => (hmac::HMAC_SHA512, pbkdf2::PBKDF2_HMAC_SHA512),
        };
        let mut salted = Zeroizing::new(vec![0; mac.digest_algorithm().output_len()]);
        let password = login.password.expose().as_bytes();
        pbkdf2::derive(kdf, challenge.iterations, &challenge.salt, password, &mut salted);
        let salted = hmac::Key::new(mac, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(mac.digest_algorithm(), client_key.as_ref());
        // "biws" is "n,,": no channel binding, no other identity.
        let without_proof = format!("c=biws,r={}", challenge.nonce);
        let signed = format!("{},{},{without_proof}", self.bare, challenge.server_first);
        let client_signature = hmac::sign(&hmac::Key::new(mac, stored_key.as_ref()), signed.as_bytes());
        let proof = client_key.as_ref().iter().zip(client_signature.as_ref()).map(|(key, signature)| key ^ signature);
        let proof = Zeroizing::new(proof.collect::<Vec<u8>>());
        let server_key = hmac::Key::new(mac, hmac::sign(&salted, b"Server Key").as_ref());
        let message = format!("{without_proof},p={}", STANDARD.encode(proof));
        (Proved { server_key, signed }, message)
    }
}

impl Proved {
    /// Reads the server's last message: whether the server knows the password, too.
    pub(super) fn check(&self, server_final: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(server_final).map_err(|_| "its proof is no text")?;
        if let Some(error) = text.strip_prefix("e=") {
            let error: String = error.chars().filter(|letter| letter.is_ascii_graphic()).take(100).collect();
            return Err(format!("it answered {error}"));
        }
        let proof = text.strip_prefix("v=").map(|proof| proof.split(',').next().unwrap_or_default());
        let proof = proof.and_then(|proof| STANDARD.decode(proof).ok());
        match proof {
            Some(proof) if hmac::verify(&self.server_key, self.signed.as_bytes(), &proof).is_ok() => Ok(()),
            Some(_) => Err("it did not prove that it knows the password: it may be somebody else".to_owned()),
            None => Err("it never proved that it knows the password".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::Secret;
    use proptest::prelude::*;

    fn login(username: &str, password: &str) -> Login {
        Login { username: username.into(), password: Secret::new(password) }
    }

    /// RFC 7677, 3.
    #[test]
    fn the_exchange_of_the_rfc() {
        let (started, first) = start(ScramHash::Sha256, "user", false, "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let challenge = started.challenge(server).unwrap();
        let (proved, second) = started.prove(&challenge, &login("user", "pencil"));
        assert_eq!(
            second,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(proved.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        let other = proved.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=").unwrap_err();
        assert!(other.contains("may be somebody else"), "{other}");
    }

    #[test]
    fn names_are_escaped_and_tokens_named() {
        let (_, first) = start(ScramHash::Sha512, "a=b,c", true, "n".into());
        assert_eq!(first, "n,,n=a=3Db=2Cc,r=n,tokenauth=true");
    }

    #[test]
    fn a_server_that_skips_or_bends_a_step_is_found_out() {
        let (started, _) = start(ScramHash::Sha256, "user", false, "mine".into());
        for (message, words) in [
            ("", "skipped its challenge"),
            ("v=abc", "no nonce"),
            ("r=mine,s=AA==,i=4096", "not an answer to this login"),
            ("r=other1,s=AA==,i=4096", "not an answer to this login"),
            ("r=mine1,i=4096", "no salt"),
            ("r=mine1,s=A,i=4096", "not base64"),
            ("r=mine1,s=AA==,i=1", "iterations"),
            ("r=mine1,s=AA==,i=4294967295", "iterations"),
        ] {
            let error = started.challenge(message.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{message}: {error}");
        }
        let challenge = started.challenge(b"r=mine1,s=AA==,i=4096").unwrap();
        let (proved, _) = started.prove(&challenge, &login("user", "hush-hush"));
        for message in ["", "ok", "v=", "v=AAAA", "e=invalid-proof"] {
            assert!(proved.check(message.as_bytes()).is_err(), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(first in any::<Vec<u8>>(), last in any::<Vec<u8>>()) {
            let (started, _) = start(ScramHash::Sha256, "user", false, "mine".into());
            let _ = started.challenge(&first);
            let server_key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
            let proved = Proved { server_key, signed: "both".into() };
            prop_assert!(proved.check(&last).is_err());
        }
    }
}
