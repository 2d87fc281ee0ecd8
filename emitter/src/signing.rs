//! A certificate authority (CA) of the emitter's own, in a Secret.
//!
//! The Secret has the keys `tls.crt` and `tls.key`, as a CA of cert-manager has. Where it is
//! empty, the first replica creates a CA and the others take it. Each replica signs a serving
//! certificate for itself and keeps it in a directory, from where it is reloaded. The CA
//! certificates, which are public, are in a ConfigMap of the Secret's name for consumers.
//!
//! Of several Secrets the first one signs; the others are created and published, so that
//! consumers trust them before they sign. Where a Secret is emptied, the CA of the one after it
//! moves up, and that one gets a new CA: this is how a CA is replaced without a pause.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::{Method, Request};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::{Value, json};
use tracing::{info, warn};

/// Settings of the CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signing {
    /// Namespace of Secrets and ConfigMap.
    pub(crate) namespace: String,
    /// Names of the Secrets; the first one signs.
    pub(crate) secrets: Vec<String>,
    /// Names and addresses in the serving certificate.
    pub(crate) names: Vec<String>,
    /// Directory of the serving certificate.
    pub(crate) directory: PathBuf,
}

/// CA certificate and key, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    certificate: String,
    key: String,
}

const CA_LIFE: Duration = Duration::from_hours(24 * 3650);
/// A serving certificate is renewed when a third of this is over.
const SERVING_LIFE: Duration = Duration::from_hours(24 * 30);
/// Clocks of consumers may be late.
const BACKDATED: Duration = Duration::from_hours(1);
const LOOK: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(10);
/// Attempts at the start, before the program ends with an error.
const MAX_ATTEMPTS: usize = 30;

/// Reason for which there is no serving certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server did not perform the request.
    #[error("{method} {path}: {why}; --ca-secret requires get and update of that object")]
    Api {
        /// The verb.
        method: Method,
        /// The object.
        path: String,
        /// Response.
        why: String,
    },
    /// The Secret has one of the two keys, or something that is no CA.
    #[error("Secret {name} (--ca-secret) has no usable CA in tls.crt and tls.key: {why}")]
    Unusable {
        /// The Secret.
        name: String,
        /// Error.
        why: String,
    },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The directory cannot be written.
    #[error("cannot keep a certificate in {directory} (--cert-dir): {source}")]
    Keep {
        /// The directory.
        directory: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
}

impl Signing {
    /// The file with the serving certificate and its key.
    #[must_use]
    pub(crate) fn file(directory: &Path) -> PathBuf {
        directory.join("emitter.pem")
    }

    /// Makes the first serving certificate, and returns what renews it.
    pub(crate) async fn begin(self, client: kube::Client) -> Result<Renewal, Error> {
        let mut renewal = Renewal {
            signing: self,
            client,
            signed: None,
        };
        let mut n_attempts = 1;
        loop {
            match renewal.renew().await {
                Ok(()) => return Ok(renewal),
                Err(error) if MAX_ATTEMPTS <= n_attempts => return Err(error),
                Err(error) => warn!(%error, "no serving certificate yet"),
            }
            n_attempts += 1;
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Renews the serving certificate.
pub(crate) struct Renewal {
    signing: Signing,
    client: kube::Client,
    /// The CA that signed it, and when.
    signed: Option<(Authority, SystemTime)>,
}

impl Renewal {
    /// Renews the serving certificate whenever it is due, or the CA is another one.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = self.renew().await {
                warn!(%error, "cannot renew the serving certificate; the former one is served");
            }
        }
    }

    async fn renew(&mut self) -> Result<(), Error> {
        let mut authorities = Vec::new();
        for (i, name) in self.signing.secrets.iter().enumerate() {
            let next = self.signing.secrets.get(i + 1);
            let authority = self.authority(name, &authorities, next).await?;
            authorities.push(authority);
        }
        let published: String = authorities.iter().map(|it| &*it.certificate).collect();
        let Some(first) = authorities.into_iter().next() else {
            return Ok(());
        };
        let is_due = |signed: SystemTime| signed.elapsed().is_ok_and(|it| SERVING_LIFE / 3 < it);
        let is_current = self.signed.as_ref();
        let is_current = is_current.is_some_and(|(ca, signed)| *ca == first && !is_due(*signed));
        if !is_current {
            let pem = first.serving(&self.signing.names)?;
            keep(&self.signing.directory, &pem)?;
            info!(names = ?self.signing.names, "signed a serving certificate");
            self.signed = Some((first, SystemTime::now()));
        }
        // Consumers that have the certificates already need no ConfigMap.
        if let Err(error) = self.publish(&published).await {
            warn!(%error, "cannot publish the CA certificates");
        }
        Ok(())
    }

    /// The CA in a Secret. Where the Secret is empty, or has a CA that moved up, it is the one of the
    /// next Secret, or a new one.
    async fn authority(
        &self,
        name: &str,
        taken: &[Authority],
        next: Option<&String>,
    ) -> Result<Authority, Error> {
        loop {
            let secret = self.get("secrets", name).await?;
            let known = secret.as_ref().map(|it| Authority::read(name, it));
            let known = known.transpose()?.flatten();
            if let Some(authority) = known.filter(|it| !taken.contains(it)) {
                return Ok(authority);
            }
            let made = match self.known(next).await? {
                Some(next) if !taken.contains(&next) => next,
                Some(_) | None => Authority::make()?,
            };
            info!(secret = name, "a CA is put into the Secret");
            let data = json!({"tls.crt": made.certificate, "tls.key": made.key});
            match self
                .put("secrets", name, (secret, "stringData", data))
                .await
            {
                Ok(Written::Done) => return Ok(made),
                // Another replica was first.
                Ok(Written::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The CA in a Secret, if there is one.
    async fn known(&self, name: Option<&String>) -> Result<Option<Authority>, Error> {
        let Some(name) = name else { return Ok(None) };
        let secret = self.get("secrets", name).await?;
        let known = secret.as_ref().map(|it| Authority::read(name, it));
        Ok(known.transpose()?.flatten())
    }

    async fn publish(&self, certificates: &str) -> Result<(), Error> {
        let Some(name) = self.signing.secrets.first() else {
            return Ok(());
        };
        let map = self.get("configmaps", name).await?;
        let known = map.as_ref().and_then(|it| it["data"]["ca.crt"].as_str());
        if known == Some(certificates) {
            return Ok(());
        }
        let data = json!({"ca.crt": certificates});
        // Where another replica was first, this one looks again in a minute.
        self.put("configmaps", name, (map, "data", data)).await?;
        Ok(())
    }

    async fn get(&self, resource: &str, name: &str) -> Result<Option<Value>, Error> {
        let path = format!(
            "/api/v1/namespaces/{}/{resource}/{name}",
            self.signing.namespace
        );
        match self.send(Method::GET, &path, None).await {
            Ok(object) => Ok(Some(object)),
            Err((404, _)) => Ok(None),
            Err((_, why)) => Err(Error::Api {
                method: Method::GET,
                path,
                why,
            }),
        }
    }

    /// Writes data into an object that was read, or creates it.
    async fn put(
        &self,
        resource: &str,
        name: &str,
        (object, key, data): (Option<Value>, &str, Value),
    ) -> Result<Written, Error> {
        let namespace = &self.signing.namespace;
        let all = format!("/api/v1/namespaces/{namespace}/{resource}");
        let (method, path) = match object {
            Some(_) => (Method::PUT, format!("{all}/{name}")),
            None => (Method::POST, all),
        };
        let mut object = object.unwrap_or_else(|| {
            let kind = if resource == "secrets" {
                "Secret"
            } else {
                "ConfigMap"
            };
            let metadata = json!({"name": name, "namespace": namespace});
            json!({"apiVersion": "v1", "kind": kind, "metadata": metadata})
        });
        object[key] = data;
        match self.send(method.clone(), &path, Some(&object)).await {
            Ok(_) => Ok(Written::Done),
            Err((409, _)) => Ok(Written::Conflict),
            Err((_, why)) => Err(Error::Api { method, path, why }),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, (u16, String)> {
        let body = body.map(|it| it.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.unwrap_or_default())
            .map_err(|why| (0, why.to_string()))?;
        let answer = tokio::time::timeout(PATIENCE, self.client.request(request)).await;
        match answer.map_err(|why| (0, why.to_string()))? {
            Ok(object) => Ok(object),
            Err(kube::Error::Api(status)) => Err((status.code, status.message.clone())),
            Err(error) => Err((0, error.to_string())),
        }
    }
}

enum Written {
    Done,
    Conflict,
}

impl Authority {
    /// Reads a Secret; returns nothing where it is empty.
    fn read(name: &str, secret: &Value) -> Result<Option<Self>, Error> {
        let unusable = |why: &str| Error::Unusable {
            name: name.to_owned(),
            why: why.to_owned(),
        };
        let text = |key: &str| match secret["data"][key].as_str() {
            None | Some("") => Ok(None),
            Some(text) => {
                let text = decode(text).and_then(|it| String::from_utf8(it).ok());
                text.map(Some).ok_or_else(|| unusable("it is not PEM"))
            }
        };
        match (text("tls.crt")?, text("tls.key")?) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => {
                let authority = Self { certificate, key };
                authority
                    .issuer()
                    .map_err(|why| unusable(&why.to_string()))?;
                Ok(Some(authority))
            }
            (Some(_), None) => Err(unusable("tls.key is missing")),
            (None, Some(_)) => Err(unusable("tls.crt is missing")),
        }
    }

    fn make() -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // Two CAs of one name would be confused by what verifies.
        let id: String = key
            .public_key_raw()
            .iter()
            .rev()
            .take(4)
            .fold(String::new(), |id, byte| id + &format!("{byte:02x}"));
        params
            .distinguished_name
            .push(DnType::CommonName, format!("heliograph-emitter-{id}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        let now = SystemTime::now();
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + CA_LIFE).into();
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
        let key = KeyPair::from_pem(&self.key)?;
        Issuer::from_ca_cert_pem(&self.certificate, key)
    }

    /// A serving certificate, the CA certificate and the key, in PEM.
    fn serving(&self, names: &[String]) -> Result<String, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        let name = names.first().map_or("emitter", |it| it);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let now = SystemTime::now();
        params.not_before = (now - BACKDATED).into();
        params.not_after = (now + SERVING_LIFE).into();
        let certificate = params.signed_by(&key, &self.issuer()?)?;
        let (ca, key) = (&self.certificate, key.serialize_pem());
        Ok(format!("{}{ca}{key}", certificate.pem()))
    }
}

/// Certificate and key change together: one file is exchanged for another.
fn keep(directory: &Path, pem: &str) -> Result<(), Error> {
    let file = Signing::file(directory);
    let new = file.with_extension("new");
    let write = || {
        std::fs::create_dir_all(directory)?;
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        options.open(&new)?.write_all(pem.as_bytes())?;
        std::fs::rename(&new, &file)
    };
    write().map_err(|source| Error::Keep {
        directory: directory.to_owned(),
        source,
    })
}

/// Decodes base64 as API servers write it.
fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes: k8s_openapi::ByteString = serde_json::from_value(json!(text)).ok()?;
    Some(bytes.0)
}

#[cfg(test)]
mod tests;
