//! Cipher suites and versions of TLS that are served, by the names that kube-apiserver
//! and service-reflector have for them.
//!
//! As in Go, naming suites of TLS 1.2 says nothing of those of TLS 1.3; beyond Go, naming
//! some of TLS 1.3 leaves only those. What has known weaknesses is not there at all.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{ALL_CIPHER_SUITES, default_provider};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

/// Allowed cipher suites and versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suites {
    /// All, if none is named.
    named: Vec<CipherSuite>,
    min_version: MinVersion,
    /// Warnings about the names.
    pub notes: Vec<String>,
}

/// The oldest version that is served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MinVersion {
    /// TLS 1.0, which is not served: the oldest that is.
    Tls10,
    /// TLS 1.1, likewise.
    Tls11,
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Error of a cipher suite that is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "--tls-cipher-suites: {0:?} is not a cipher suite; those that are served are {served}",
    served = served().join(", ")
)]
pub struct SuitesError(String);

/// Go knows them too, and calls most of them insecure: CBC, RC4, 3DES, and keys without
/// forward secrecy.
const WEAK: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

impl Suites {
    /// The suites of those names; all that are served if there are none.
    pub fn named(names: &[String], min_version: MinVersion) -> Result<Self, SuitesError> {
        let mut it = Self {
            min_version,
            ..Self::default()
        };
        let names = names.iter().map(|name| name.trim());
        let mut weak = Vec::new();
        for name in names.filter(|name| !name.is_empty()) {
            match suite(name) {
                Some(suite) => it.named.push(suite.suite()),
                None if WEAK.contains(&name) => weak.push(name),
                None => return Err(SuitesError(name.to_owned())),
            }
        }
        let is_limited = !weak.is_empty() || !it.named.is_empty();
        if is_limited && !it.named.iter().any(|named| is_of(*named, &TLS13)) {
            let all = ALL_CIPHER_SUITES.iter().map(SupportedCipherSuite::suite);
            it.named.extend(all.filter(|suite| is_of(*suite, &TLS13)));
        }
        if !weak.is_empty() {
            let (weak, served) = (weak.join(", "), it.served().join(", "));
            it.notes.push(format!(
                "--tls-cipher-suites: {weak} have known weaknesses and are not served; these \
                 are: {served}"
            ));
        }
        if let MinVersion::Tls10 | MinVersion::Tls11 = min_version {
            it.notes.push(format!(
                "--tls-min-version={min_version}: nothing older than TLS 1.2 is served"
            ));
        }
        Ok(it)
    }

    /// By their names, what is served.
    fn served(&self) -> Vec<String> {
        self.provider()
            .cipher_suites
            .iter()
            .filter(|suite| self.versions().contains(&suite.version()))
            .map(name)
            .collect()
    }

    /// Cryptography with these suites.
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = default_provider();
        if !self.named.is_empty() {
            let named = |it: &SupportedCipherSuite| self.named.contains(&it.suite());
            provider.cipher_suites.retain(named);
        }
        Arc::new(provider)
    }

    /// The versions that are served.
    pub(super) fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        static ALL: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self.min_version {
            MinVersion::Tls10 | MinVersion::Tls11 | MinVersion::Tls12 => &ALL,
            MinVersion::Tls13 => &ALL[..1],
        }
    }
}

/// As Go and IANA have it; rustls sets those of TLS 1.3 apart.
fn name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

fn served() -> Vec<String> {
    ALL_CIPHER_SUITES.iter().map(name).collect()
}

fn suite(text: &str) -> Option<&'static SupportedCipherSuite> {
    // Go once left out what these hash with.
    let has_hash = !text.ends_with("_CHACHA20_POLY1305");
    let full = if has_hash { "" } else { "_SHA256" };
    let full = format!("{text}{full}");
    ALL_CIPHER_SUITES.iter().find(|it| name(it) == full)
}

fn is_of(suite: CipherSuite, version: &'static SupportedProtocolVersion) -> bool {
    let mut all = ALL_CIPHER_SUITES.iter();
    all.any(|it| it.suite() == suite && it.version() == version)
}

impl FromStr for MinVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];
        let mut all = all.into_iter();
        all.find(|it| it.to_string() == text).ok_or_else(|| {
            format!("{text:?} is not a version of TLS: use VersionTLS12 or VersionTLS13")
        })
    }
}

impl fmt::Display for MinVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls10 => "VersionTLS10",
            Self::Tls11 => "VersionTLS11",
            Self::Tls12 => "VersionTLS12",
            Self::Tls13 => "VersionTLS13",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &str, min_version: &str) -> Result<Suites, SuitesError> {
        let names: Vec<_> = names.split(',').map(str::to_owned).collect();
        Suites::named(&names, min_version.parse().unwrap())
    }

    const OF_TLS13: [&str; 3] = [
        "TLS_AES_256_GCM_SHA384",
        "TLS_AES_128_GCM_SHA256",
        "TLS_CHACHA20_POLY1305_SHA256",
    ];

    #[test]
    fn suites_are_served_by_the_names_that_go_has() {
        let both = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        let with = |more: &[&'static str]| [&OF_TLS13[..], more].concat();
        for (names, expected) in [
            (both, with(&[both])),
            (
                "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
                with(&["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"]),
            ),
            ("TLS_AES_128_GCM_SHA256", vec!["TLS_AES_128_GCM_SHA256"]),
            (
                "TLS_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                vec!["TLS_AES_128_GCM_SHA256", both],
            ),
            ("TLS_RSA_WITH_AES_128_CBC_SHA", with(&[])),
        ] {
            assert_eq!(named(names, "VersionTLS12").unwrap().served(), expected);
        }
        let all = named("", "VersionTLS12").unwrap();
        assert_eq!((all.served(), all.notes.len()), (served(), 0));
        let new = named(both, "VersionTLS13").unwrap();
        assert_eq!(new.served(), OF_TLS13);
    }

    #[test]
    fn certificates_that_cannot_be_served_are_reported() {
        let why = named("TLS_NONE_SUCH", "VersionTLS12").unwrap_err();
        let why = why.to_string();
        assert!(why.contains("\"TLS_NONE_SUCH\" is not"), "{why}");
        assert!(why.contains("TLS_AES_128_GCM_SHA256"), "{why}");
        for weak in WEAK {
            let suites = named(weak, "VersionTLS10").unwrap();
            let [note, old] = &*suites.notes else {
                panic!("{suites:?}");
            };
            assert!(note.contains(weak) && note.contains(OF_TLS13[0]), "{note}");
            assert!(old.contains("VersionTLS10"), "{old}");
        }
        assert!(
            "1.2"
                .parse::<MinVersion>()
                .unwrap_err()
                .contains("VersionTLS12")
        );
    }
}
