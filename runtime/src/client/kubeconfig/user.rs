//! Users of kubeconfigs, with the rules of client-go.

use kube::config::{AuthInfo, ExecInteractiveMode};
use secrecy::ExposeSecret;

use super::Invalid;
use crate::client::{identity, stack, token};

/// Refuses what client-go refuses, and makes the rest mean what client-go reads.
pub(super) fn settle(name: &str, user: &mut AuthInfo) -> Result<(), Invalid> {
    if let Some(provider) = &user.auth_provider
        && !(provider.name == "oidc" && provider.config.contains_key("id-token"))
    {
        return Err(Invalid::AuthProvider(provider.name.clone()));
    }
    let name = || name.to_owned();
    if user.username.is_some() && (user.token.is_some() || user.token_file.is_some()) {
        return Err(Invalid::TwoCredentials(name()));
    }
    let is_of_somebody = user.impersonate_uid.is_some()
        || user
            .impersonate_groups
            .as_ref()
            .is_some_and(|it| !it.is_empty())
        || user
            .impersonate_user_extra
            .as_ref()
            .is_some_and(|it| !it.is_empty());
    if user.impersonate.is_none() && is_of_somebody {
        return Err(Invalid::ImpersonatesNobody(name()));
    }
    if let Some(text) = &user.token {
        let text = text.expose_secret().trim().to_owned();
        token::bearer(&text).map_err(|_| Invalid::Token(name()))?;
        user.token = Some(text.into());
    }
    settle_certificate(name, user)?;
    // client-go sends an empty password where there is none.
    if user.username.is_some() && user.password.is_none() {
        user.password = Some(String::new().into());
    }
    settle_plugin(user)
}

/// Refuses half of a pair, and keys that cannot sign. kube reports what cannot be read.
fn settle_certificate(name: impl Fn() -> String, user: &AuthInfo) -> Result<(), Invalid> {
    let has_certificate =
        user.client_certificate.is_some() || user.client_certificate_data.is_some();
    let has_key = user.client_key.is_some() || user.client_key_data.is_some();
    match (has_certificate, has_key) {
        (true, false) => return Err(Invalid::NoKey(name())),
        (false, true) => return Err(Invalid::NoCertificate(name())),
        (false, false) => return Ok(()),
        (true, true) => {}
    }
    let data = user
        .client_key_data
        .as_ref()
        .map(ExposeSecret::expose_secret);
    let Some(text) = stack::content(data, &user.client_key) else {
        return Ok(());
    };
    identity::check_key(&text).map_err(|why| Invalid::Key(name(), why))
}

fn settle_plugin(user: &mut AuthInfo) -> Result<(), Invalid> {
    let Some(exec) = &mut user.exec else {
        return Ok(());
    };
    let command = exec.command.clone();
    let command = command.ok_or(Invalid::NoCommand)?;
    if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err(Invalid::NeedsTerminal(command));
    }
    // Without a terminal, the two other modes are the same.
    exec.interactive_mode = Some(ExecInteractiveMode::Never);
    Ok(())
}
