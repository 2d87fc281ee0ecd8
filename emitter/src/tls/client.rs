//! Client certificates: accepted in the handshake, verified with each request.

use std::sync::Arc;

use runtime::certificate;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};

/// The authorities of client certificates.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    webpki: Arc<dyn ClientCertVerifier>,
    trusted: Arc<[CertificateDer<'static>]>,
}

impl Authority {
    pub(super) fn of(
        certificates: Vec<CertificateDer<'static>>,
    ) -> Result<Self, VerifierBuilderError> {
        let trusted = certificates.clone().into();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates);
        let webpki = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
        Ok(Self { webpki, trusted })
    }

    pub(super) fn check(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        self.check_at(chain, UnixTime::now())
    }

    fn check_at(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let Some((own, intermediates)) = chain.split_first() else {
            return Err(CertificateError::BadEncoding.into());
        };
        let judged = self.webpki.verify_client_cert(own, intermediates, now);
        judged.map(|_| ()).or_else(|why| {
            // A kube-apiserver accepts more than webpki does.
            let algorithms = algorithms();
            certificate::verify_client(own, &self.trusted, now, &algorithms).map_err(|_| why)
        })
    }
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::ring::default_provider().signature_verification_algorithms
}

/// Asks for a certificate, and takes any that its client has the key of.
#[derive(Debug)]
pub(super) struct AnyClient {
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AnyClient {
    /// Hinting at the certificates of that authority: clients that have several choose.
    pub(super) fn of(authority: &Authority) -> Arc<Self> {
        Arc::new(Self {
            hints: authority.webpki.root_hint_subjects().to_vec(),
            algorithms: algorithms(),
        })
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        certificate::verify_handshake(message, certificate, signed, false, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        certificate::verify_handshake(message, certificate, signed, true, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn a_v1_certificate_is_accepted_as_a_kube_apiserver_accepts_it() {
        runtime::client::install_crypto();
        let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let fixture = include_str!("../../../runtime/src/certificate/v1.pem");
        let (ca, own) = fixture.split_at(fixture.rfind("-----BEGIN CERT").unwrap());
        let authority = Authority::of(vec![read(ca)]).unwrap();
        let in_2100 = UnixTime::since_unix_epoch(Duration::from_secs(4_102_444_800));
        authority.check_at(&[read(own)], in_2100).unwrap();
        let in_2200 = UnixTime::since_unix_epoch(Duration::from_secs(7_258_118_400));
        authority.check_at(&[read(own)], in_2200).unwrap_err();
    }
}
