//! The serving certificates, from files or made up where there are none, and the authority
//! of clients' certificates.
//!
//! A client's certificate is not judged in the handshake, where refusing it says nothing,
//! but with each request: a kube-apiserver answers 401, and so an authority that is
//! replaced counts for the connections that are open.

mod client;
mod expiry;
mod named;
mod pair;
mod suites;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_rustls::TlsAcceptor;

use self::client::{AnyClient, Authority};
pub use self::expiry::Expirations;
use self::expiry::Expiry;
use self::named::ByName;
pub use self::named::NamedPair;
use self::pair::Flags;
pub use self::suites::{MinVersion, Suites, SuitesError};

/// Source of the serving certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    /// PEM files.
    Files {
        /// The certificate and what leads from it to its authority.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// One for `localhost`, signed by itself, kept in this directory.
    Kept(PathBuf),
    /// One for `localhost`, signed by itself, as long as the process lives.
    SelfSigned,
}

/// Error of the TLS files.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is not there or not PEM.
    #[error("cannot read {what} {path} ({flag}): {source}")]
    Read {
        /// Expected content.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The flag that named it.
        flag: &'static str,
        /// Error.
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds other things, or nothing.
    #[error(
        "no certificate is in {path} ({flag}): it must have a block that begins with -----BEGIN \
         CERTIFICATE-----"
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// The flag that named it.
        flag: &'static str,
    },
    /// Certificate and key do not belong together, or are of a kind that is not known.
    #[error("cannot serve with certificate {cert} and key {key}: {why}")]
    Use {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Error.
        why: rustls::Error,
    },
    /// One of the two files that belong together is missing.
    #[error(
        "{directory} (--cert-dir) has one of emitter.crt and emitter.key: bring the other, or \
         remove it, so that both are made"
    )]
    Half {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory cannot be written.
    #[error(
        "cannot keep a certificate in {directory} (--cert-dir): {source}; mount a volume there, \
         or leave the flag out for one that lives as long as the process"
    )]
    Keep {
        /// The directory.
        directory: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// TLS settings that do not fit together.
    #[error("cannot serve TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The file holds no authority.
    #[error("cannot trust the authority of clients {path} (--client-ca-file): {why}")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Error.
        why: String,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Files and settings of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The serving certificate.
    pub certificate: Certificate,
    /// Others, by the name that a client requests.
    pub named: Vec<NamedPair>,
    /// Cipher suites and versions.
    pub suites: Suites,
    /// The authorities of clients' certificates, in PEM; without, none is asked for.
    pub client_ca: Option<PathBuf>,
}

impl Sources {
    /// The files, to be followed.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let Self {
            certificate,
            named,
            suites: _,
            client_ca,
        } = self;
        let named = named.iter().map(|it| (it.cert.clone(), it.key.clone()));
        let pairs = certificate.paths().into_iter().chain(named);
        let paths = pairs.flat_map(|(cert, key)| [cert, key]);
        paths.chain(client_ca.clone()).collect()
    }
}

/// Present TLS configuration.
#[derive(Debug)]
pub struct Certificates {
    sources: Sources,
    current: RwLock<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    server: Arc<ServerConfig>,
    authority: Option<Authority>,
    expirations: Vec<Expiry>,
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

    /// Returns when the certificates from files expire.
    fn expirations(&self) -> Vec<Expiry> {
        self.current.read().expirations.clone()
    }

    /// Accepts TLS connections.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.read().server))
    }

    /// Returns whether a client's certificate leads to an authority that is trusted. `None` if none
    /// is.
    #[must_use]
    pub fn trusts(&self, chain: &[CertificateDer<'_>]) -> Option<Result<(), rustls::Error>> {
        let authority = self.current.read().authority.clone()?;
        Some(authority.check(chain))
    }
}

fn current(sources: &Sources) -> Result<Current, Error> {
    let provider = sources.suites.provider();
    let read = |pair: &NamedPair| {
        let flag = "--tls-sni-cert-key";
        let flags = Flags {
            cert: flag,
            key: flag,
        };
        let key = pair::read(&pair.cert, &pair.key, &flags, &provider)?;
        Ok((pair.names.clone(), Arc::new(key)))
    };
    let named = sources.named.iter().map(read);
    let named = named.collect::<Result<Vec<_>, Error>>()?;
    let pair = sources.certificate.load(&provider)?;
    let file = sources.certificate.paths();
    let expirations = file.and_then(|(cert, _)| expiry::of(&cert, &pair));
    let also = sources.named.iter().zip(&named);
    let also = also.filter_map(|(it, (_, pair))| expiry::of(&it.cert, pair));
    let expirations = expirations.into_iter().chain(also).collect();
    let certificates = ByName::new(named, pair);
    let authority = sources.client_ca.as_deref().map(authority).transpose()?;
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(sources.suites.versions())?;
    let builder = match &authority {
        Some(authority) => builder.with_client_cert_verifier(AnyClient::of(authority)),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_cert_resolver(Arc::new(certificates));
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Current {
        server: Arc::new(server),
        authority,
        expirations,
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

#[cfg(test)]
mod tests;
