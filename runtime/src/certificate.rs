//! Judges certificates that webpki refuses although Go, and so every kube-apiserver and
//! kubectl, accepts them: serving certificates that are authorities themselves, and client
//! certificates in the form X.509 v1, which `openssl x509 -req` makes.

mod der;
mod pem;
mod serving;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use x509_parser::extensions::ExtendedKeyUsage;
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

pub use pem::{pem, read};
pub use serving::Serving;

/// Returns whether a certificate is of the form X.509 v1, which has no extensions.
#[must_use]
pub fn is_v1(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, it)| it.version() == X509Version::V1)
}

/// Verifies a client's certificate that webpki refuses: it must be trusted as it is, or be
/// signed by an authority itself and be of the form X.509 v1 or one of an authority.
pub fn verify_client(
    own: &CertificateDer<'_>,
    trusted: &[CertificateDer<'static>],
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(own).map_err(|_| encoding())?;
    is_valid_at(own, now)?;
    if !is_for(&parsed, |it| it.client_auth) {
        return Err(CertificateError::InvalidPurpose.into());
    }
    let is_odd = parsed.version() == X509Version::V1 || parsed.is_ca();
    let mut signers = trusted.iter().filter(|_| is_odd);
    if trusted.iter().any(|it| it == own)
        || signers.any(|it| is_issued_by(own, it, now, algorithms))
    {
        Ok(())
    } else {
        Err(CertificateError::UnknownIssuer.into())
    }
}

/// Returns whether a certificate may be used for a purpose. As in Go, one that names no
/// purpose is for all.
fn is_for(
    certificate: &X509Certificate<'_>,
    purpose: impl Fn(&ExtendedKeyUsage<'_>) -> bool,
) -> bool {
    match certificate.extended_key_usage() {
        Ok(None) => true,
        Ok(Some(usage)) => usage.value.any || purpose(usage.value),
        Err(_) => false,
    }
}

/// Verifies that the sender of a TLS message has the key of a certificate, also of one in
/// the form X.509 v1.
pub fn verify_handshake(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    is_tls13: bool,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    if !is_v1(certificate) {
        return if is_tls13 {
            verify_tls13_signature(message, certificate, signed, algorithms)
        } else {
            verify_tls12_signature(message, certificate, signed, algorithms)
        };
    }
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| encoding())?;
    let key = der::PublicKey::of(parsed.public_key().raw).ok_or_else(encoding)?;
    let mut schemes = algorithms.mapping.iter();
    let candidates = schemes.find(|(scheme, _)| *scheme == signed.scheme);
    let Some((_, candidates)) = candidates else {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    };
    // TLS 1.3 ties a scheme to one curve, which is the first.
    let candidates = if is_tls13 {
        &candidates[..1]
    } else {
        candidates
    };
    let mut candidates = candidates.iter();
    if candidates.any(|it| key.has_signed(message, signed.signature(), *it)) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

/// Returns whether an authority, which is trusted as it is, signed a certificate itself.
fn is_issued_by(
    certificate: &CertificateDer<'_>,
    authority: &CertificateDer<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    let (Ok((_, own)), Ok((_, issuer))) = (
        X509Certificate::from_der(certificate),
        X509Certificate::from_der(authority),
    ) else {
        return false;
    };
    own.issuer().as_raw() == issuer.subject().as_raw()
        && may_sign(&issuer)
        && is_valid_at(authority, now).is_ok()
        && der::Signed::of(certificate).is_some_and(|signed| {
            let key = der::PublicKey::of(issuer.public_key().raw);
            key.is_some_and(|key| signed.is_by(&key, algorithms))
        })
}

/// Returns whether a certificate is one of an authority. One with name constraints is left
/// to webpki, which can judge them.
fn may_sign(issuer: &X509Certificate<'_>) -> bool {
    let is_authority = issuer.version() == X509Version::V1 || issuer.is_ca();
    let usage = issuer.key_usage().ok().flatten();
    let signs = usage.is_none_or(|it| it.value.key_cert_sign());
    is_authority && signs && matches!(issuer.name_constraints(), Ok(None))
}

fn is_valid_at(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| encoding())?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now < validity.not_before.timestamp() {
        Err(CertificateError::NotValidYet.into())
    } else if validity.not_after.timestamp() < now {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

fn encoding() -> Error {
    CertificateError::BadEncoding.into()
}

#[cfg(test)]
mod tests;
