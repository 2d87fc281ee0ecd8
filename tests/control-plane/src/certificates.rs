//! A control plane's own authority, serving certificate and token-signing key.

use std::net::IpAddr;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// All in PEM.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    pub(crate) serving: String,
    pub(crate) serving_key: String,
    pub(crate) token_key: String,
    pub(crate) token_public_key: String,
}

impl Certificates {
    pub(crate) fn new(address: IpAddr) -> Result<Self, rcgen::Error> {
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, "control plane for tests");
        let certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);

        let serving_key = KeyPair::generate()?;
        let address = address.to_string();
        let names = ["localhost", "kubernetes.default.svc", &address];
        let serving = CertificateParams::new(names.map(str::to_owned))?;
        let serving = serving.signed_by(&serving_key, &issuer)?;
        let token_key = KeyPair::generate()?;
        Ok(Self {
            authority: certificate.pem(),
            serving: serving.pem(),
            serving_key: serving_key.serialize_pem(),
            token_public_key: token_key.public_key_pem(),
            token_key: token_key.serialize_pem(),
        })
    }
}
