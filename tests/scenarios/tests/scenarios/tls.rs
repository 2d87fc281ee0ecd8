//! Handshakes as a client sees them, and certificates as files.

mod authority;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) use self::authority::{Ca, Purpose, Signed, kubeconfig};
use crate::lab::Lab;

/// A certificate that is its own authority, and its key, as files.
pub(crate) struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

impl Pair {
    pub(crate) fn new(lab: &Lab, name: &str, names: &[&str]) -> anyhow::Result<Self> {
        let pair = Self {
            cert: lab.file(&format!("{name}.crt"), "")?,
            key: lab.file(&format!("{name}.key"), "")?,
        };
        pair.renew(names)?;
        Ok(pair)
    }

    /// Another certificate in the same files.
    pub(crate) fn renew(&self, names: &[&str]) -> anyhow::Result<()> {
        let names: Vec<_> = names.iter().map(|&it| it.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names)?;
        std::fs::write(&self.cert, made.cert.pem())?;
        Ok(std::fs::write(&self.key, made.signing_key.serialize_pem())?)
    }

    /// As `--tls-sni-cert-key` takes it.
    pub(crate) fn flag(&self) -> String {
        format!("{},{}", self.cert.display(), self.key.display())
    }

    pub(crate) fn pem(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.cert)?)
    }
}

/// What a client offers.
pub(crate) struct Hello {
    name: &'static str,
    is_old: bool,
    suite: Option<&'static str>,
}

/// What a server made of it.
#[derive(Debug)]
pub(crate) struct Greeting {
    /// A line of its certificate's PEM, which no other has: of its signature.
    pub(crate) certificate: String,
    pub(crate) suite: String,
    pub(crate) version: String,
}

impl Default for Hello {
    fn default() -> Self {
        Self::to("localhost")
    }
}

impl Hello {
    /// To a server of that name.
    pub(crate) const fn to(name: &'static str) -> Self {
        Self {
            name,
            is_old: false,
            suite: None,
        }
    }

    /// Without TLS 1.3.
    pub(crate) const fn tls12(self) -> Self {
        Self {
            is_old: true,
            ..self
        }
    }

    /// With one suite alone.
    pub(crate) const fn with(self, suite: &'static str) -> Self {
        Self {
            suite: Some(suite),
            ..self
        }
    }

    pub(crate) async fn greet(&self, port: u16) -> anyhow::Result<Greeting> {
        let mut provider = default_provider();
        let offers = |it: &str| self.suite.is_none_or(|suite| suite == it);
        (provider.cipher_suites).retain(|it| offers(&format!("{:?}", it.suite())));
        let versions = match self.is_old {
            true => &[&TLS12][..],
            false => &[&TLS13, &TLS12],
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let name = ServerName::try_from(self.name)?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(name, stream).await?;
        let (_, connection) = stream.get_ref();
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        let text = STANDARD.encode(shown.context("it shows no certificate")?);
        let end = text.len() - 80;
        Ok(Greeting {
            certificate: text[end - end % 64..][..64].to_owned(),
            suite: format!(
                "{:?}",
                connection
                    .negotiated_cipher_suite()
                    .context("there is a suite")?
                    .suite()
            ),
            version: format!(
                "{:?}",
                connection.protocol_version().context("there is one")?
            ),
        })
    }
}

/// Believes every server, so that what it shows can be looked at.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
