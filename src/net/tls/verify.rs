use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Believes a broker as Java does: its certificate leads to a trusted one, or is one itself; and it is for the broker's
/// name, if names are checked.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) roots: RootCertStore,
    /// The same, as they are in the trust store.
    pub(super) trusted: Vec<CertificateDer<'static>>,
    pub(super) check_host_name: bool,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn leads_to_trusted(
        &self,
        end_entity: &CertificateDer<'_>,
        certificate: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let verdict = verify_server_cert_signed_by_trust_anchor(
            certificate,
            &self.roots,
            intermediates,
            now,
            self.algorithms.all,
        );
        match verdict {
            // One that signed itself is often marked as an authority, which no broker should be, and is in the trust
            // store by itself: whoever put it there means it.
            Err(error) if !is_about_time(&error) && self.trusted.iter().any(|trusted| trusted == end_entity) => Ok(()),
            verdict => verdict,
        }
    }
}

fn is_about_time(error: &Error) -> bool {
    use CertificateError as C;
    matches!(
        error,
        Error::InvalidCertificate(
            C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. }
        )
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        self.leads_to_trusted(end_entity, &certificate, intermediates, now)?;
        if self.check_host_name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
