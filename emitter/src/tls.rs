//! The serving certificate, from files or made up where there are none, and the authority
//! of clients' certificates.
//!
//! A client's certificate is not judged in the handshake, where refusing it says nothing,
//! but with each request: a kube-apiserver answers 401, and so an authority that is
//! replaced counts for the connections that are open.

mod client;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use self::client::{AnyClient, Authority};

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// PEM files.
    Files {
        /// The certificate and what leads from it to its authority.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// One for `localhost`, signed by itself, as long as the process lives.
    SelfSigned,
}

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is not there or not PEM.
    #[error("cannot read {what} {path} ({flag}): {source}")]
    Read {
        /// What it was to hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The flag that named it.
        flag: &'static str,
        /// What went wrong.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that is not known.
    #[error("cannot serve with this certificate and key: {0}")]
    Use(#[from] rustls::Error),
    /// The file holds no authority.
    #[error("cannot trust the authority of clients {path} (--client-ca-file): {why}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// What TLS is served with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The serving certificate.
    pub certificate: Certificate,
    /// The authorities of clients' certificates, in PEM; without, none is asked for.
    pub client_ca: Option<PathBuf>,
}

impl Sources {
    /// The files, to be followed.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let Self {
            certificate,
            client_ca,
        } = self;
        let mut paths: Vec<PathBuf> = client_ca.iter().cloned().collect();
        if let Certificate::Files { cert, key } = certificate {
            paths.extend([cert.clone(), key.clone()]);
        }
        paths
    }
}

/// What TLS is served with at present.
#[derive(Debug)]
pub struct Certificates {
    sources: Sources,
    current: RwLock<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    server: Arc<ServerConfig>,
    authority: Option<Authority>,
}

impl Certificates {
    /// Reads the files for the first time.
    pub fn load(sources: Sources) -> Result<Arc<Self>, Error> {
        let current = RwLock::new(current(&sources)?);
        Ok(Arc::new(Self { sources, current }))
    }

    /// Reads them again; if one is bad, all are kept as they were.
    pub fn reload(&self) -> Result<(), Error> {
        let current = current(&self.sources)?;
        *self.current.write() = current;
        Ok(())
    }

    /// Accepts TLS connections.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().server))
    }

    /// Whether a client's certificate leads to an authority that is trusted. `None` if
    /// none is.
    #[must_use]
    pub fn trusts(&self, chain: &[CertificateDer<'_>]) -> Option<Result<(), rustls::Error>> {
        let authority = self.current.read().authority.clone()?;
        Some(authority.check(chain))
    }
}

fn current(sources: &Sources) -> Result<Current, Error> {
    let (chain, key) = match &sources.certificate {
        Certificate::Files { cert, key } => read(cert, key)?,
        Certificate::SelfSigned => make()?,
    };
    let authority = sources.client_ca.as_deref().map(authority).transpose()?;
    let builder = ServerConfig::builder();
    let builder = match &authority {
        Some(authority) => builder.with_client_cert_verifier(AnyClient::of(authority)),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Current {
        server: Arc::new(server),
        authority,
    })
}

fn authority(path: &Path) -> Result<Authority, Error> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| Error::Read {
            what: "the authority of clients",
            path: path.to_owned(),
            flag: "--client-ca-file",
            source,
        })?;
    Authority::of(certificates).map_err(|why| Error::Authority {
        path: path.to_owned(),
        why: why.to_string(),
    })
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn read(cert: &Path, key: &Path) -> Result<Pair, Error> {
    let failed = |what, path: &Path, flag| {
        let path = path.to_owned();
        move |source| Error::Read {
            what,
            path,
            flag,
            source,
        }
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(failed("the certificate", cert, "--tls-cert-file"))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(failed(
        "the private key",
        key,
        "--tls-private-key-file",
    ))?;
    Ok((chain, key))
}

fn make() -> Result<Pair, Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], key.into()))
}

#[cfg(test)]
mod tests {
    use super::{Certificate, Certificates, Sources, make};

    fn load(certificate: Certificate) -> Result<std::sync::Arc<Certificates>, super::Error> {
        runtime::client::install_crypto();
        Certificates::load(Sources {
            certificate,
            client_ca: None,
        })
    }

    #[test]
    fn a_certificate_is_made_where_there_is_none() {
        let made = load(Certificate::SelfSigned).unwrap();
        assert!(made.sources.paths().is_empty());
        assert!(made.trusts(&make().unwrap().0).is_none());
    }

    #[test]
    fn a_missing_file_is_named_with_its_flag() {
        let files = Certificate::Files {
            cert: "/nowhere/tls.crt".into(),
            key: "/nowhere/tls.key".into(),
        };
        let why = load(files).err().unwrap().to_string();
        assert!(why.contains("/nowhere/tls.crt (--tls-cert-file)"), "{why}");
    }
}
