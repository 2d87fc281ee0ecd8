//! A client certificate and its key, in files.

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::error::InvalidKey;
use super::{ClientCertificate, Error, Parts, certificates};

/// Adds a client certificate. Kube reads the files; errors in them are reported before.
pub(super) fn add(parts: &mut Parts, identity: &ClientCertificate) -> Result<(), Error> {
    let ClientCertificate { certificate, key } = identity;
    let content = std::fs::read(certificate).and_then(|it| certificates(&it));
    content.map_err(|source| Error::ClientCertificate {
        path: certificate.clone(),
        source,
    })?;
    let content = std::fs::read(key).map_err(InvalidKey::Unreadable);
    let checked = content.and_then(|it| check_key(&it));
    checked.map_err(|source| Error::ClientKey {
        path: key.clone(),
        source,
    })?;
    let user = &mut parts.config.auth_info;
    user.client_certificate = Some(certificate.display().to_string());
    user.client_key = Some(key.display().to_string());
    parts.files.extend([certificate.clone(), key.clone()]);
    Ok(())
}

/// Refuses keys that cannot sign, or cannot be read without a password.
pub(super) fn check_key(pem: &[u8]) -> Result<(), InvalidKey> {
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| InvalidKey::Format)?;
    let provider = rustls::crypto::ring::default_provider();
    match provider.key_provider.load_private_key(key) {
        Ok(_) => Ok(()),
        Err(_) => Err(InvalidKey::Kind),
    }
}
