//! Errors of the flags.

/// Error of the flags.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There would be nothing to connect to.
    #[error(
        "both --secure-port and --insecure-port are 0, so nothing would be served; \
         set at least one of them"
    )]
    NoPort,
    /// All requests would be rejected.
    #[error(
        "no client could read: set an authentication method (--client-ca-file, \
         --token-auth-file, --access-config, --delegate-authentication), or allow anonymous \
         access (--anonymous-auth)"
    )]
    NoAuthentication,
    /// Secrets of several namespaces.
    #[error("--ca-secret names Secrets of several namespaces: use one namespace")]
    CaSecrets,
    /// A token would be sent unencrypted.
    #[error(
        "--upstream-token-file would be sent to {0} over plain HTTP: use an https:// URL, or remove \
         the token"
    )]
    PlainToken(http::Uri),
    /// Exporting everything needs an explicit value; an empty one is an error.
    #[error(
        "--selector is missing or empty, which would export everything; name the label that \
         exported objects carry, such as heliograph.dev/export=true, or let ServiceExports \
         decide (--service-exports)"
    )]
    EmptySelector,
    /// A cipher suite that is none.
    #[error(transparent)]
    Suites(#[from] crate::tls::SuitesError),
}
