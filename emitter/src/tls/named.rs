//! Certificates by the name that a client requests.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate and its key, for some names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPair {
    /// The certificate and what leads from it to its authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Server names; without any, those in the certificate.
    pub names: Vec<String>,
}

impl FromStr for NamedPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?}: write it as CERT,KEY or CERT,KEY:NAME,NAME");
        let (pair, names) = match text.split_once(':') {
            Some((pair, names)) => (pair, Some(names)),
            None => (text, None),
        };
        let (cert, key) = pair.split_once(',').ok_or_else(wrong)?;
        let (cert, key) = (cert.trim(), key.trim());
        let names: Vec<_> = names.into_iter().flat_map(|it| it.split(',')).collect();
        let names: Vec<_> = names
            .iter()
            .map(|name| name.trim().to_lowercase())
            .collect();
        let is_wrong = cert.is_empty() || key.is_empty() || key.contains(',');
        if is_wrong || names.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self {
            cert: cert.into(),
            key: key.into(),
            names,
        })
    }
}

/// Chooses the certificate that a client is shown.
#[derive(Debug)]
pub(super) struct ByName {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    otherwise: Arc<CertifiedKey>,
}

impl ByName {
    /// Creates the resolver. The first certificate of a name applies, and configured names precede
    /// those in certificates.
    pub(super) fn new(
        named: Vec<(Vec<String>, Arc<CertifiedKey>)>,
        otherwise: CertifiedKey,
    ) -> Self {
        let mut by_name = HashMap::new();
        let (said, unsaid): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|(names, _)| !names.is_empty());
        for (names, pair) in said.into_iter().chain(unsaid) {
            let names = match names.is_empty() {
                true => pair.cert.first().map(names_of).unwrap_or_default(),
                false => names,
            };
            for name in names {
                by_name.entry(name).or_insert_with(|| Arc::clone(&pair));
            }
        }
        Self {
            by_name,
            otherwise: Arc::new(otherwise),
        }
    }

    /// An asterisk stands for one label, the first.
    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name else {
            return &self.otherwise;
        };
        let name = name.to_lowercase();
        let found = self.by_name.get(&name).or_else(|| {
            let (_, domain) = name.split_once('.')?;
            self.by_name.get(&format!("*.{domain}"))
        });
        found.unwrap_or(&self.otherwise)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.find(hello.server_name())))
    }
}

/// The DNS names of a certificate, and its common name.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let common = certificate.subject().iter_common_name();
    let common = common.filter_map(|it| it.as_str().ok());
    let others = certificate.subject_alternative_name().ok().flatten();
    let others = others.into_iter().flat_map(|it| &it.value.general_names);
    let others = others.filter_map(|it| match it {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    common.chain(others).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_as_a_kube_apiserver_reads_them() {
        for (text, expected) in [
            ("a.crt,a.key", Some(("a.crt", "a.key", vec![]))),
            (
                "a.crt, a.key : *.Foo.com , bar",
                Some(("a.crt", "a.key", vec!["*.foo.com", "bar"])),
            ),
            ("a.crt", None),
            ("a.crt,a.key,b", None),
            ("a.crt,:x", None),
            ("a.crt,a.key:", None),
            ("a.crt,a.key:x,,y", None),
            ("", None),
        ] {
            let read = text.parse::<NamedPair>();
            let expected = expected.map(|(cert, key, names)| NamedPair {
                cert: cert.into(),
                key: key.into(),
                names: names.into_iter().map(str::to_owned).collect(),
            });
            assert_eq!(read.ok(), expected, "{text}");
        }
    }

    fn pair(names: &[&str]) -> Arc<CertifiedKey> {
        let names: Vec<_> = names.iter().map(|&it| it.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = rustls::crypto::ring::default_provider();
        let chain = vec![made.cert.der().clone()];
        Arc::new(CertifiedKey::from_der(chain, key.into(), &provider).unwrap())
    }

    #[test]
    fn a_client_gets_the_certificate_of_the_server_name() {
        let [one, two, three, other] = [
            pair(&["one.example", "*.one.example"]),
            pair(&["one.example", "two.example"]),
            pair(&[]),
            pair(&[]),
        ];
        let said = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        let named = vec![
            (said(&[]), Arc::clone(&one)),
            (said(&[]), Arc::clone(&two)),
            (
                said(&["three.example", "a.one.example"]),
                Arc::clone(&three),
            ),
        ];
        let by_name = ByName::new(named, (*other).clone());
        for (name, expected) in [
            (Some("one.example"), &one),
            (Some("ONE.example"), &one),
            (Some("b.one.example"), &one),
            (Some("two.example"), &two),
            (Some("three.example"), &three),
            (Some("a.one.example"), &three),
            (Some("c.b.one.example"), &other),
            (Some("four.example"), &other),
            (None, &other),
        ] {
            assert_eq!(by_name.find(name).cert, expected.cert, "{name:?}");
        }
    }
}
