//! Tells whether a request failed because a server's certificate is not trusted.

use crate::reasons::causes;

/// Returns whether a server's certificate was not trusted.
#[must_use]
pub fn is_untrusted(error: &kube::Error) -> bool {
    let is_tls =
        |it: Option<&rustls::Error>| matches!(it, Some(rustls::Error::InvalidCertificate(_)));
    causes(error).any(|it| is_tls(it.downcast_ref()))
}
