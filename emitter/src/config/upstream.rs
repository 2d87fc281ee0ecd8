//! Another emitter as the upstream: a relay.

use std::path::PathBuf;

use clap::Args;
use http::Uri;
use runtime::client::{Access, ClientCertificate};
use runtime::{Authority, Token};

use super::Error;

/// Flags of a relay.
#[derive(Debug, Args)]
pub(super) struct UpstreamArgs {
    /// Follow what answers at this URL, such as another emitter, instead of a cluster: fan-out
    /// grows as a tree, whose tiers have the same resource versions.
    #[arg(long, value_name = "URL", conflicts_with = "kubeconfig")]
    upstream_url: Option<Uri>,

    /// The authorities whose certificates --upstream-url may have, in PEM; the system's
    /// if absent.
    #[arg(long, value_name = "FILE", requires = "upstream_url")]
    upstream_ca_file: Option<PathBuf>,

    /// A file with the bearer token for --upstream-url, read again for every request.
    #[arg(long, value_name = "FILE", requires = "upstream_url")]
    upstream_token_file: Option<PathBuf>,

    /// A file with the client certificate that --upstream-url is shown, in PEM, read again when
    /// it changes.
    #[arg(long, value_name = "FILE", requires_all = ["upstream_url", "upstream_client_key_file"])]
    upstream_client_cert_file: Option<PathBuf>,

    /// A file with the private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "upstream_client_cert_file")]
    upstream_client_key_file: Option<PathBuf>,
}

impl UpstreamArgs {
    /// Returns the access to an upstream that is another emitter.
    pub(super) fn into_access(self) -> Result<Option<Access>, Error> {
        let Some(url) = self.upstream_url else {
            return Ok(None);
        };
        if self.upstream_token_file.is_some() && !runtime::client::is_protected(&url) {
            return Err(Error::PlainToken(url));
        }
        let files = self.upstream_client_cert_file;
        let files = files.zip(self.upstream_client_key_file);
        let identity = files.map(|(certificate, key)| ClientCertificate { certificate, key });
        Ok(Some(Access::Url {
            url,
            authority: self.upstream_ca_file.map(Authority::File),
            token: self.upstream_token_file.map(Token::File),
            identity: identity.map(Box::new),
            proxy: None,
        }))
    }
}

/// The cluster to follow: a URL, a kubeconfig, or the one around this process.
pub(super) fn followed(
    url: Option<Access>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
) -> Access {
    match (url, kubeconfig) {
        (Some(access), _) => access,
        (None, Some(path)) => Access::Kubeconfig { path, context },
        (None, None) => Access::InCluster,
    }
}
