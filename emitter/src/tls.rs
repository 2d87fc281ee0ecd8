//! The serving certificate: from files, or made up where there are none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

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
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// Accepts TLS connections with that certificate.
pub fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, Error> {
    let (chain, key) = match certificate {
        Certificate::Files { cert, key } => read(cert, key)?,
        Certificate::SelfSigned => make()?,
    };
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
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
    use super::{Certificate, acceptor};

    #[test]
    fn a_certificate_is_made_where_there_is_none() {
        runtime::client::install_crypto();
        assert!(acceptor(&Certificate::SelfSigned).is_ok());
    }

    #[test]
    fn a_missing_file_is_named_with_its_flag() {
        let files = Certificate::Files {
            cert: "/nowhere/tls.crt".into(),
            key: "/nowhere/tls.key".into(),
        };
        let why = acceptor(&files).err().unwrap().to_string();
        assert!(why.contains("/nowhere/tls.crt (--tls-cert-file)"), "{why}");
    }
}
