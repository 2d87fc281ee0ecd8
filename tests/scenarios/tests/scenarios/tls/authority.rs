//! Authorities of servers and of clients, and what they sign.

use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use serde_json::{Value, json};

use crate::lab::Lab;

/// Signs certificates.
pub(crate) struct Ca {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as files.
pub(crate) struct Signed {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Client,
    Server,
    /// A client's, until yesterday.
    Expired,
    /// A server's, until yesterday.
    ExpiredServer,
    /// A server's, from far in the future on.
    FutureServer,
}

impl Ca {
    pub(crate) fn new(name: &str) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self { pem, issuer })
    }

    /// A certificate for somebody of a group; a server's name is localhost.
    pub(crate) fn sign(
        &self,
        lab: &Lab,
        name: &str,
        group: Option<&str>,
        purpose: Purpose,
    ) -> anyhow::Result<Signed> {
        let mut params = match purpose {
            Purpose::Server | Purpose::ExpiredServer | Purpose::FutureServer => {
                CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned))?
            }
            Purpose::Client | Purpose::Expired => CertificateParams::default(),
        };
        params.extended_key_usages = vec![match purpose {
            Purpose::Server | Purpose::ExpiredServer | Purpose::FutureServer => {
                ExtendedKeyUsagePurpose::ServerAuth
            }
            Purpose::Client | Purpose::Expired => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        match purpose {
            Purpose::Expired | Purpose::ExpiredServer => {
                params.not_after = rcgen::date_time_ymd(2020, 1, 1);
            }
            Purpose::FutureServer => params.not_before = rcgen::date_time_ymd(2100, 1, 1),
            Purpose::Client | Purpose::Server => {}
        }
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            let names = &mut params.distinguished_name;
            names.push(DnType::OrganizationName, group);
        }
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.issuer)?;
        let serial = serial();
        let file = |kind: &str, text: &str| lab.file(&format!("{name}-{serial}.{kind}"), text);
        Ok(Signed {
            cert: file("crt", &cert.pem())?,
            key: file("key", &key.serialize_pem())?,
        })
    }
}

/// Tells files of the same name apart.
fn serial() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Signed {
    /// As a user of a kubeconfig.
    pub(crate) fn user(&self) -> anyhow::Result<Value> {
        let data = |path: &Path| -> anyhow::Result<String> {
            let text = std::fs::read(path).context("a certificate's file")?;
            Ok(STANDARD.encode(text))
        };
        Ok(json!({
            "client-certificate-data": data(&self.cert)?,
            "client-key-data": data(&self.key)?,
        }))
    }
}

/// A kubeconfig of one server, whose certificates that authority signs, and one user.
pub(crate) fn kubeconfig(url: &str, authority: &str, user: &Value) -> String {
    let cluster = json!({"server": url, "certificate-authority-data": STANDARD.encode(authority)});
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    })
    .to_string()
}
