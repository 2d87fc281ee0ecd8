//! Access to a cluster: address and credentials.

use std::fmt;
use std::path::PathBuf;

use http::Uri;

/// Address and credentials of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Access {
    /// The cluster that this process runs in, as its service account.
    InCluster,
    /// As in a kubeconfig.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context to use; the file's current one if absent.
        context: Option<String>,
    },
    /// As in a kubeconfig that may have inline data only: by its current context, or its only one.
    InlineKubeconfig {
        /// The file.
        path: PathBuf,
    },
    /// As in a kubeconfig that is no file: a server and a credential plugin from two places.
    Provided {
        /// Object from which it comes, for messages.
        origin: String,
        /// Text of the kubeconfig.
        kubeconfig: String,
    },
    /// At a URL: an emitter, or a server behind `kubectl proxy`.
    Url {
        /// URL; a path in it precedes that of every request.
        url: Uri,
        /// The authority to trust; the system's if absent.
        authority: Option<Authority>,
        /// A bearer token.
        token: Option<Token>,
        /// A client certificate, which the server is shown.
        identity: Option<Box<ClientCertificate>>,
        /// The proxy that leads there; the one that variables name if absent.
        proxy: Option<Box<Uri>>,
    },
}

/// CA of the certificate of a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Authority {
    /// In PEM format, in a file that is read again when it changes.
    File(PathBuf),
    /// In PEM format.
    Pem(String),
    /// With another name in the certificate than in the URL.
    Named {
        /// Name in the certificate.
        name: String,
        /// The authority; the system's if absent.
        authority: Option<Box<Self>>,
    },
}

/// A client certificate and its key, in files in PEM format that are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientCertificate {
    /// File of the certificate, followed by intermediate ones.
    pub certificate: PathBuf,
    /// File of its private key.
    pub key: PathBuf,
}

/// Source of a bearer token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Token {
    /// In a file that is read again for every request.
    File(PathBuf),
    /// In a variable of this process.
    Variable(String),
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCluster => f.write_str("the cluster around this process"),
            Self::InlineKubeconfig { path }
            | Self::Kubeconfig {
                path,
                context: None,
            } => write!(f, "kubeconfig {}", path.display()),
            Self::Kubeconfig {
                path,
                context: Some(context),
            } => write!(f, "kubeconfig {}, context {context:?}", path.display()),
            Self::Provided { origin, .. } => write!(f, "access {origin}"),
            Self::Url { url, .. } => write!(f, "{url}"),
        }
    }
}
