//! Flags of authentication and authorization.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Error;
use crate::access::Settings;
use crate::limits::duration;

/// Flags of authentication and authorization.
#[derive(Debug, Args)]
#[command(next_help_heading = "Access")]
pub(super) struct AccessArgs {
    /// Allow requests without credentials; default: true if --insecure-port is set and no
    /// authentication flag is set
    #[arg(
        long = "anonymous-auth",
        alias = "anonymous",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    anonymous: Option<bool>,

    /// Bearer tokens: lines of TOKEN,USER,UID,"GROUP,GROUP", as for kube-apiserver. Read
    /// again when it changes.
    #[arg(long, value_name = "FILE")]
    token_auth_file: Option<PathBuf>,

    /// File with trusted token issuers and client permissions, in YAML or JSON; reloaded on change
    #[arg(long, value_name = "FILE")]
    access_config: Option<PathBuf>,

    /// Ask the upstream's API server whose a token is (TokenReview).
    #[arg(long)]
    delegate_authentication: bool,

    /// Authorize get, list and watch with the SubjectAccessReview API of the upstream's API server,
    /// unless --access-config allows the request
    #[arg(long)]
    delegate_authorization: bool,

    /// Time for which responses of the upstream's API server are cached; while it is unavailable,
    /// cached ones stay valid for two more minutes
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    delegation_cache_ttl: Duration,
}

/// Other settings that decide how clients are authenticated.
pub(super) struct AuthContext {
    /// There is an authority of clients' certificates.
    pub(super) has_client_ca: bool,
    /// The flags are spelled as service-reflector's.
    pub(super) is_service_reflector: bool,
    /// HTTP is configured.
    pub(super) names_insecure_port: bool,
}

/// Returns a warning about the access.
pub(super) fn notes(settings: &Settings) -> Option<String> {
    let note = "every client that reaches a port can read what is exported (--anonymous-auth); name \
                consumers in --access-config instead";
    settings.anonymous.then(|| note.to_owned())
}

impl AccessArgs {
    /// Returns whether any of these configures authentication.
    pub(super) const fn knows_consumers(&self) -> bool {
        self.token_auth_file.is_some()
            || self.access_config.is_some()
            || self.delegate_authentication
    }

    pub(super) fn settings(self, beside: &AuthContext) -> Result<Settings, Error> {
        let knows = self.knows_consumers() || beside.has_client_ca;
        let follows = beside.is_service_reflector || beside.names_insecure_port;
        let anonymous = match (self.anonymous, knows) {
            (Some(asked), _) => asked,
            (None, true) => false,
            (None, false) => follows,
        };
        if !anonymous && !knows {
            return Err(Error::NoAuthentication);
        }
        Ok(Settings {
            anonymous,
            tokens: self.token_auth_file,
            policy: self.access_config,
            delegate_authentication: self.delegate_authentication,
            delegate_authorization: self.delegate_authorization,
            delegation_ttl: self.delegation_cache_ttl,
        })
    }
}
