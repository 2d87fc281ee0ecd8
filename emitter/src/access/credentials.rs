//! Credentials of a request, and methods of authentication.

use std::net::IpAddr;

use http::{HeaderMap, header};
use rustls::pki_types::CertificateDer;

/// Credentials of a request.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The client's certificate, and what leads to its authority.
    pub certificates: Vec<CertificateDer<'static>>,
    /// A bearer token.
    pub token: Option<String>,
    /// The client's address, or its /64.
    pub address: Option<IpAddr>,
}

/// Method of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// By its certificate.
    Certificate,
    /// By a token of the file.
    Token,
    /// By a token of this issuer.
    Issuer(String),
    /// By the upstream.
    Delegated,
    /// It was not.
    Anonymous,
}

impl Method {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::Issuer(_) => "issuer",
            Self::Delegated => "delegated",
            Self::Anonymous => "anonymous",
        }
    }
}

impl Credentials {
    /// Reads the credentials of a request.
    #[must_use]
    pub fn of(
        headers: &HeaderMap,
        certificates: Vec<CertificateDer<'static>>,
        address: Option<IpAddr>,
    ) -> Self {
        let value = headers.get(header::AUTHORIZATION);
        let words = value.and_then(|it| it.to_str().ok()?.trim().split_once(' '));
        let token = words.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = token.map(|(_, token)| token.trim().to_owned());
        Self {
            certificates,
            token: token.filter(|it| !it.is_empty()),
            address,
        }
    }
}
