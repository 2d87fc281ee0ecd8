//! A certificate and its private key: read from files, or made up.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::{Certificate, Error};

/// Flags that name the files.
pub(super) struct Flags {
    pub(super) cert: &'static str,
    pub(super) key: &'static str,
}

impl Certificate {
    /// The files that it is in.
    pub(super) fn paths(&self) -> Option<(PathBuf, PathBuf)> {
        match self {
            Self::Files { cert, key } => Some((cert.clone(), key.clone())),
            Self::Kept(directory) => {
                Some((directory.join("emitter.crt"), directory.join("emitter.key")))
            }
            Self::SelfSigned => None,
        }
    }

    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
        let flags = match self {
            Self::Files { .. } => Flags {
                cert: "--tls-cert-file",
                key: "--tls-private-key-file",
            },
            Self::Kept(directory) => {
                keep(self, directory)?;
                Flags {
                    cert: "--cert-dir",
                    key: "--cert-dir",
                }
            }
            Self::SelfSigned => {
                let made = make()?;
                let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
                let chain = vec![made.cert.der().clone()];
                return Ok(CertifiedKey::from_der(chain, key.into(), provider)?);
            }
        };
        let (cert, key) = self.paths().unwrap_or_default();
        read(&cert, &key, &flags, provider)
    }
}

pub(super) fn read(
    cert: &Path,
    key: &Path,
    flags: &Flags,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let failed = |what, path: &Path, flag| {
        let path = path.to_owned();
        move |source| Error::Read {
            what,
            path,
            flag,
            source,
        }
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(failed("the certificate", cert, flags.cert))?;
    if chain.is_empty() {
        return Err(Error::NoCertificate {
            path: cert.to_owned(),
            flag: flags.cert,
        });
    }
    let der =
        PrivateKeyDer::from_pem_file(key).map_err(failed("the private key", key, flags.key))?;
    CertifiedKey::from_der(chain, der, provider).map_err(|why| Error::Use {
        cert: cert.to_owned(),
        key: key.to_owned(),
        why,
    })
}

/// Makes the two files, unless they are there.
fn keep(certificate: &Certificate, directory: &Path) -> Result<(), Error> {
    let (cert, key) = certificate.paths().unwrap_or_default();
    match (cert.exists(), key.exists()) {
        (true, true) => return Ok(()),
        (false, false) => {}
        (true, false) | (false, true) => {
            return Err(Error::Half {
                directory: directory.to_owned(),
            });
        }
    }
    let made = make()?;
    let write = || {
        fs::create_dir_all(directory)?;
        write(&key, 0o600, &made.signing_key.serialize_pem())?;
        write(&cert, 0o644, &made.cert.pem())
    };
    write().map_err(|source| Error::Keep {
        directory: directory.to_owned(),
        source,
    })
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

fn make() -> Result<rcgen::CertifiedKey<rcgen::KeyPair>, rcgen::Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    rcgen::generate_simple_self_signed(names)
}
