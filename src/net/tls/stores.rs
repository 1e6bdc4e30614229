//! Trust stores and key stores: PEM and PKCS #12, from files or the configuration.

use super::pem::{self, Block};
use crate::net::security::SecurityError;
use crate::security::{Identity, Secret, StoreFile, StoreFormat, Trust};
use p12_keystore::{KeyStore, KeyStoreEntry};
use pkcs8::EncryptedPrivateKeyInfo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// The certificates of a trust store; the operating system's for [`Trust::System`].
pub(super) fn trusted(trust: &Trust) -> Result<Vec<CertificateDer<'static>>, SecurityError> {
    let (key, found) = match trust {
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            if found.certs.is_empty() {
                let causes: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                let what = format!("not set, and the system has no trusted certificates {}", causes.join("; "));
                return Err(SecurityError::new("ssl.truststore.location", what.trim_end()));
            }
            return Ok(found.certs);
        }
        Trust::Pem(text) => ("ssl.truststore.certificates", pem_store(text)),
        Trust::File(file) => ("ssl.truststore.location", read(file)),
    };
    let store = found.map_err(|what| SecurityError::new(key, what))?;
    if store.certificates.is_empty() {
        return Err(SecurityError::new(key, "holds no certificate"));
    }
    Ok(store.certificates)
}

/// A certificate chain and its key.
pub(super) fn identity(
    identity: &Identity,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SecurityError> {
    let (key_name, store, password) = match identity {
        Identity::Pem { chain, key, password } => {
            let chain =
                pem_store(chain.expose()).map_err(|what| SecurityError::new("ssl.keystore.certificate.chain", what))?;
            let key = pem_store(key.expose()).map_err(|what| SecurityError::new("ssl.keystore.key", what))?;
            ("ssl.keystore.key", Store { certificates: chain.certificates, key: key.key }, password)
        }
        Identity::File { store: file, password } => {
            let store = read(file).map_err(|what| SecurityError::new("ssl.keystore.location", what))?;
            ("ssl.keystore.location", store, password)
        }
    };
    if store.certificates.is_empty() {
        return Err(SecurityError::new(key_name, "comes with no certificate"));
    }
    let key = match store.key {
        Some(Key::Plain(key)) => key,
        Some(Key::Encrypted(der)) => {
            let Some(password) = password else {
                return Err(SecurityError::new("ssl.key.password", "not set, and the private key is encrypted"));
            };
            decrypt(&der, password).map_err(|what| SecurityError::new("ssl.key.password", what))?
        }
        None => return Err(SecurityError::new(key_name, "holds no private key")),
    };
    Ok((store.certificates, key))
}

/// What is in a store.
struct Store {
    certificates: Vec<CertificateDer<'static>>,
    key: Option<Key>,
}

enum Key {
    Plain(PrivateKeyDer<'static>),
    /// PKCS #8, encrypted.
    Encrypted(Zeroizing<Vec<u8>>),
}

fn read(file: &StoreFile) -> Result<Store, String> {
    let shown = file.path.display();
    let bytes = read_file(&file.path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let is_pem = match file.format {
        StoreFormat::Pem => true,
        StoreFormat::Pkcs12 => false,
        StoreFormat::Detect => !bytes.starts_with(&[DER_SEQUENCE]),
    };
    if bytes.starts_with(&JAVA_KEYSTORE) {
        return Err(format!(
            "{shown} is a JKS file, which only Java reads: keytool -importkeystore -srckeystore {shown} -destkeystore \
             NEW.p12 -deststoretype PKCS12"
        ));
    }
    let store = if is_pem {
        let text = std::str::from_utf8(&bytes).map_err(|_| format!("{shown} is neither PEM nor PKCS12"))?;
        pem_store(text)
    } else {
        pkcs12_store(&bytes, file.password.as_ref())
    };
    store.map_err(|what| format!("{shown}: {what}"))
}

fn read_file(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // With room for all of it: nothing is left behind by growing.
    let length = file.metadata().map_or(0, |metadata| metadata.len().min(FILE_LEN_MAX));
    let mut bytes = Zeroizing::new(Vec::with_capacity(length as usize + 1));
    file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_LEN_MAX {
        return Err(std::io::Error::other("larger than 16 MiB, so surely no store"));
    }
    Ok(bytes)
}

/// The system's own certificates are some hundred kilobytes.
const FILE_LEN_MAX: u64 = 16 << 20;
const DER_SEQUENCE: u8 = 0x30;
const JAVA_KEYSTORE: [u8; 4] = [0xfe, 0xed, 0xfe, 0xed];

fn pem_store(text: &str) -> Result<Store, String> {
    let mut store = Store { certificates: Vec::new(), key: None };
    for Block { label, der } in pem::blocks(text)? {
        let plain = |key| Some(Key::Plain(key));
        let key = match label.as_str() {
            "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
                store.certificates.push(CertificateDer::from(der.to_vec()));
                continue;
            }
            "PRIVATE KEY" => plain(PrivatePkcs8KeyDer::from(der.to_vec()).into()),
            "RSA PRIVATE KEY" => plain(PrivatePkcs1KeyDer::from(der.to_vec()).into()),
            "EC PRIVATE KEY" => plain(PrivateSec1KeyDer::from(der.to_vec()).into()),
            "ENCRYPTED PRIVATE KEY" => Some(Key::Encrypted(der)),
            // Parameters of curves and the like.
            _ => continue,
        };
        if store.key.is_some() {
            return Err("holds more than one private key".to_owned());
        }
        store.key = key;
    }
    if store.certificates.is_empty() && store.key.is_none() {
        return Err("holds no PEM certificate and no PEM key".to_owned());
    }
    Ok(store)
}

fn pkcs12_store(bytes: &[u8], password: Option<&Secret>) -> Result<Store, String> {
    let phrase = password.map_or("", Secret::expose);
    let read = KeyStore::from_pkcs12(bytes, phrase).map_err(|error| match password {
        Some(_) => format!("cannot be opened: the password is wrong, or it is no PKCS12 file ({error})"),
        None => format!("cannot be opened without a password, or is no PKCS12 file ({error})"),
    })?;
    let mut store = Store { certificates: Vec::new(), key: None };
    let der = |certificate: &p12_keystore::Certificate| CertificateDer::from(certificate.as_der().to_vec());
    if let Some((_, chain)) = read.private_key_chain() {
        store.certificates.extend(chain.chain().iter().map(der));
        store.key = Some(Key::Plain(PrivatePkcs8KeyDer::from(chain.key().to_vec()).into()));
    }
    for (_, entry) in read.entries() {
        if let KeyStoreEntry::Certificate(certificate) = entry {
            let der = der(certificate);
            if store.key.is_none() && !store.certificates.contains(&der) {
                store.certificates.push(der);
            }
        }
    }
    Ok(store)
}

fn decrypt(der: &[u8], password: &Secret) -> Result<PrivateKeyDer<'static>, String> {
    let info = EncryptedPrivateKeyInfo::try_from(der)
        .map_err(|error| format!("the private key's encryption cannot be read: {error}"))?;
    let key =
        info.encryption_algorithm.decrypt(password.expose(), info.encrypted_data).map_err(|error| match error {
            pkcs5::Error::UnsupportedAlgorithm { oid } => {
                format!("the private key is encrypted by an algorithm that is not known here ({oid})")
            }
            pkcs5::Error::NoPbes1CryptSupport => {
                "the private key is encrypted in an old way: openssl pkcs8 -topk8 -v2 aes256 makes a new one".to_owned()
            }
            _ => "does not open the private key".to_owned(),
        })?;
    Ok(PrivatePkcs8KeyDer::from(key).into())
}
