//! Verifies serving certificates as Go does, and reports the one that is invalid and how to make a
//! good one.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

/// A verifier that trusts given certificates.
///
/// What webpki refuses is good nevertheless if it is one of these certificates itself, or,
/// being an authority, is signed by one of them; and if its name, its times and its
/// purpose are right.
#[derive(Debug)]
pub struct Serving {
    webpki: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Serving {
    /// Trusts those certificates. Those that are no certificates are left out, as Go does,
    /// as long as one is.
    pub fn new(trusted: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusted.iter().cloned());
        let webpki = WebPkiServerVerifier::builder(Arc::new(roots)).build();
        let provider = rustls::crypto::ring::default_provider();
        Ok(Self {
            webpki: webpki.map_err(|why| Error::General(why.to_string()))?,
            trusted,
            algorithms: provider.signature_verification_algorithms,
        })
    }

    /// Returns whether the certificate is trusted although webpki refuses it.
    fn accepts(&self, own: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> bool {
        let Ok((_, parsed)) = X509Certificate::from_der(own) else {
            return false;
        };
        let is_named = ParsedCertificate::try_from(own)
            .and_then(|it| verify_server_name(&it, name))
            .is_ok();
        let is_given = self.trusted.iter().any(|it| it == own);
        let is_signed = || {
            let mut trusted = self.trusted.iter();
            parsed.is_ca() && trusted.any(|it| super::is_issued_by(own, it, now, &self.algorithms))
        };
        is_named
            && super::is_valid_at(own, now).is_ok()
            && super::is_for(&parsed, |it| it.server_auth)
            && (is_given || is_signed())
    }

    /// Says what is wrong with which certificate, and what to do.
    fn explain(&self, own: &CertificateDer<'_>, why: CertificateError) -> Error {
        let Ok((_, parsed)) = X509Certificate::from_der(own) else {
            return why.into();
        };
        let remedy = match &why {
            CertificateError::UnknownIssuer => format!(
                "no certificate of the given authority ({}) signed it; give the certificate \
                 of the authority {} or the serving certificate itself",
                self.names(),
                parsed.issuer()
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "make it with the host name or the address as a subject alternative name, or \
                 name one that it has (tls-server-name)"
                    .to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "renew it, and compare the clocks".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "compare the clocks".to_owned()
            }
            _ if parsed.version() == X509Version::V1 => {
                "it is of the form X.509 v1, which has no subject alternative names; make it \
                 with `openssl x509 -req -extfile`, and with the host name as subjectAltName"
                    .to_owned()
            }
            _ if parsed.is_ca() => {
                "it is an authority (CA:TRUE); give it as the authority itself, or make one \
                 with CA:FALSE and a subject alternative name"
                    .to_owned()
            }
            _ => return why.into(),
        };
        let subject = parsed.subject();
        let validity = parsed.validity();
        // Their own words have the time of now, and would be new at each attempt.
        let why = match &why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("certificate expired at {}", validity.not_after)
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("certificate not valid before {}", validity.not_before)
            }
            why => why.to_string(),
        };
        let text = format!("{why}: the server's certificate ({subject}) is not accepted: {remedy}");
        CertificateError::Other(OtherError(Arc::new(std::io::Error::other(text)))).into()
    }

    fn names(&self) -> String {
        let name = |it: &CertificateDer<'_>| {
            let parsed = X509Certificate::from_der(it);
            parsed.map_or_else(|_| "none".to_owned(), |(_, it)| it.subject().to_string())
        };
        let mut names: Vec<_> = self.trusted.iter().take(3).map(name).collect();
        if self.trusted.len() > 3 {
            names.push("…".to_owned());
        }
        names.join("; ")
    }
}

impl ServerCertVerifier for Serving {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let webpki = &self.webpki;
        match webpki.verify_server_cert(own, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(why)) => {
                if self.accepts(own, name, now) {
                    return Ok(ServerCertVerified::assertion());
                }
                Err(self.explain(own, why))
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let webpki = &self.webpki;
        webpki.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let webpki = &self.webpki;
        webpki.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
