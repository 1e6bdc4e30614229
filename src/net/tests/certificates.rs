//! Authorities and certificates for tests, made on the spot.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// Who signs.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate.
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Identity {
    /// The certificate.
    pub(crate) pem: String,
    /// PKCS #8.
    pub(crate) key_pem: String,
    pub(crate) der: Vec<u8>,
    pub(crate) key_der: Vec<u8>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// For a server of these names, or a client with none.
    pub(crate) fn issue(&self, common_name: &str, names: &[&str]) -> Identity {
        self.issue_until(common_name, names, 2120)
    }

    /// Valid from 1990 until the first day of a year.
    pub(crate) fn issue_until(&self, common_name: &str, names: &[&str], year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = params(common_name, names, year);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            pem: pem("CERTIFICATE", certificate.der()),
            key_pem: pem("PRIVATE KEY", &key.serialize_der()),
            der: certificate.der().to_vec(),
            key_der: key.serialize_der(),
        }
    }
}

/// One that signed itself, as an authority or not.
pub(crate) fn self_signed(names: &[&str], is_authority: bool) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = params("self", names, 2120);
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let certificate = params.self_signed(&key).unwrap();
    let (key_der, der) = (key.serialize_der(), certificate.der().to_vec());
    Identity { pem: pem("CERTIFICATE", &der), key_pem: pem("PRIVATE KEY", &key_der), der, key_der }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn params(common_name: &str, names: &[&str], year: i32) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(1990, 1, 1);
    params.not_after = date_time_ymd(year, 1, 1);
    params
}
