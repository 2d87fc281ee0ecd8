//! Errors of the creation of a client.

use std::path::PathBuf;

use http::Uri;
use kube::config::{InClusterError, KubeconfigError};

/// Error of a client. Each is an invalid configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process has no service account.
    #[error(
        "no access to the cluster around this process: run it in a pod with a service account, or name a kubeconfig"
    )]
    InCluster(#[source] InClusterError),
    /// The kubeconfig does not open.
    #[error("cannot read kubeconfig {path}: check that the file exists and may be read")]
    ReadKubeconfig {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// The kubeconfig is not YAML, or not a kubeconfig.
    #[error("kubeconfig {path} is malformed: {why}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Error, and its line.
        why: String,
    },
    /// The kubeconfig lacks something that it refers to.
    #[error(
        "kubeconfig {path} is not valid: check it with `kubectl --kubeconfig {path} config view`"
    )]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Error.
        #[source]
        source: KubeconfigError,
    },
    /// The kubeconfig has a setting that no client supports.
    #[error("cannot connect as context {context:?} of kubeconfig {path} says: {why}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The context.
        context: String,
        /// The reason.
        why: Invalid,
    },
    /// Credentials would be sent unencrypted.
    #[error(
        "kubeconfig {path} sends credentials to {server} over plain HTTP: use an https:// server, \
         or remove the credentials"
    )]
    PlainSecret {
        /// The file.
        path: PathBuf,
        /// The server.
        server: String,
    },
    /// A file that was found refers to something outside of itself.
    #[error(
        "kubeconfig {path} has {key} ({what}), and files of a directory may have inline data only: \
         put the data into the file, or set kubeconfigDir.allowReferences: true if you trust all \
         that can write to the directory"
    )]
    Reference {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The entry that has it.
        what: String,
    },
    /// The context is not in the kubeconfig.
    #[error("kubeconfig {path} has no context {context:?}: use one of {known}")]
    UnknownContext {
        /// The file.
        path: PathBuf,
        /// The requested context.
        context: String,
        /// Those that there are.
        known: String,
    },
    /// Neither the caller nor the kubeconfig names a context.
    #[error("kubeconfig {path} has no current context: name one of {known}")]
    NoContext {
        /// The file.
        path: PathBuf,
        /// The contexts that there are.
        known: String,
    },
    /// The kubeconfig has no contexts at all.
    #[error("kubeconfig {path} names no cluster: it has no contexts")]
    NoContexts {
        /// The file.
        path: PathBuf,
    },
    /// The URL is not one of a server.
    #[error("{url} is not the URL of a server: write it as http://HOST:PORT or https://HOST:PORT")]
    Url {
        /// The URL.
        url: Uri,
    },
    /// The authority's file does not open, or holds no certificate.
    #[error("cannot use the certificates in {path}: it must be a readable file in PEM format")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// The file of the client certificate does not open, or holds no certificate.
    #[error(
        "cannot use the client certificate in {path}: it must be a readable file in PEM format"
    )]
    ClientCertificate {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// The key of the client certificate cannot be used.
    #[error("cannot use the client key in {path}")]
    ClientKey {
        /// The file.
        path: PathBuf,
        /// Error of the key.
        #[source]
        source: InvalidKey,
    },
    /// The token's file does not open, or holds no token.
    #[error("cannot use the token in {path}: it must be a readable file with one line of text")]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// The authority that was given holds no certificate.
    #[error("the authority that is given holds no certificate: write it in PEM format")]
    Pem(#[source] std::io::Error),
    /// The token's variable is not set, or holds no token.
    #[error("cannot use the token in variable {name}: set it to one line of text")]
    TokenVariable {
        /// The variable.
        name: String,
        /// Error.
        #[source]
        source: std::io::Error,
    },
    /// A proxy that is none.
    #[error(
        "{place} names no proxy that can be used: write it as http://HOST:PORT, \
         https://HOST:PORT or socks5://HOST:PORT"
    )]
    Proxy {
        /// Place that names it.
        place: String,
    },
    /// The user agent cannot stand in a header.
    #[error("{0:?} cannot be a user agent: use printable ASCII")]
    UserAgent(String),
    /// The credential plugin is not there.
    #[error("{access}: cannot run credential plugin {command:?}; {hint}")]
    PluginStart {
        /// The access.
        access: String,
        /// Its path or name.
        command: String,
        /// Error of the system.
        #[source]
        source: std::io::Error,
        /// Installation hint of the kubeconfig.
        hint: String,
    },
    /// The credential plugin failed.
    #[error("{access}: credential plugin {command:?} failed ({status}): {stderr}")]
    PluginRun {
        /// The access.
        access: String,
        /// Its path or name.
        command: String,
        /// Exit status.
        status: std::process::ExitStatus,
        /// End of its standard error.
        stderr: String,
    },
    /// The credential plugin returned something that cannot be sent.
    #[error(
        "{access}: the answer of the credential plugin has a token with a line break or another \
         character that no header can have; correct the plugin"
    )]
    PluginToken {
        /// The access.
        access: String,
    },
    /// Certificates, keys or credentials do not work together.
    #[error("cannot connect as {access} says: check its certificates, keys and credentials")]
    Client {
        /// The access.
        access: String,
        /// Error.
        #[source]
        source: Box<kube::Error>,
    },
}

/// The reason why a context of a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// The cluster has no server.
    #[error("cluster {0:?} has no server; add `server: https://HOST:PORT`")]
    NoServer(String),
    /// The server is not the address of one.
    #[error("server {server:?} cannot be used: {why}; write it as https://HOST:PORT")]
    Server {
        /// The value.
        server: String,
        /// Error.
        why: &'static str,
    },
    /// The certificate of the server is to be verified and not to be verified.
    #[error(
        "cluster {0:?} has both a certificate authority and insecure-skip-tls-verify; remove one"
    )]
    InsecureWithAuthority(String),
    /// The authority of the cluster is none.
    #[error(
        "the certificate authority of cluster {0:?} holds no certificate; write it in PEM format"
    )]
    NoCertificates(String),
    /// The user has two kinds of credentials.
    #[error("user {0:?} has both a username and a token; remove one")]
    TwoCredentials(String),
    /// The user impersonates a user without a name.
    #[error("user {0:?} has as-uid, as-groups or as-user-extra without a user; add `as`")]
    ImpersonatesNobody(String),
    /// The token cannot be sent.
    #[error(
        "the token of user {0:?} has a line break or another character that no header can have; \
         write it in one line"
    )]
    Token(String),
    /// A certificate without its key.
    #[error("user {0:?} has a client certificate and no key; add `client-key`")]
    NoKey(String),
    /// A key without its certificate.
    #[error("user {0:?} has a client key and no certificate; add `client-certificate`")]
    NoCertificate(String),
    /// The key cannot be used.
    #[error("the client key of user {0:?} cannot be used: {1}")]
    Key(String, InvalidKey),
    /// The user needs a plugin that is built into the client.
    #[error(
        "auth-provider {0:?} is not supported; use an exec credential plugin, \
         a token file or a client certificate"
    )]
    AuthProvider(String),
    /// The credential plugin has no name.
    #[error("its exec credential plugin has no command; add `command`")]
    NoCommand,
    /// The credential plugin needs a terminal.
    #[error(
        "credential plugin {0:?} has interactiveMode Always, and there is no terminal; \
         set it to IfAvailable or Never"
    )]
    NeedsTerminal(String),
}

/// The reason why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    /// Its file does not open.
    #[error("check that the file exists and may be read")]
    Unreadable(#[source] std::io::Error),
    /// It is none, or has a password.
    #[error(
        "it is no private key in PEM format, or it is encrypted; decrypt it with \
         `openssl pkey -in KEY -out DECRYPTED`"
    )]
    Format,
    /// It is of a kind that cannot sign.
    #[error(
        "it is of a kind that is not supported; use ECDSA with P-256 or P-384, RSA with 2048 bits \
         or more, or Ed25519"
    )]
    Kind,
}
