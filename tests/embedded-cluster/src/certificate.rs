//! A cluster's own authority and serving certificate.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

/// What a server needs, and the authority in PEM that its clients need.
pub(crate) struct Identity {
    pub(crate) authority: String,
    pub(crate) acceptor: TlsAcceptor,
}

impl Identity {
    /// Made for a server at that address.
    pub(crate) fn new(address: IpAddr) -> anyhow::Result<Self> {
        runtime::client::install_crypto();
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = &mut authority.distinguished_name;
        name.push(DnType::CommonName, "embedded cluster");
        let certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate()?;
        let address = address.to_string();
        let names = ["localhost", "kubernetes.default.svc", &address];
        let serving = CertificateParams::new(names.map(str::to_owned))?;
        let serving = serving.signed_by(&key, &issuer)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![serving.der().clone()], key.into())?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            authority: certificate.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}
