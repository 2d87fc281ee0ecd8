//! Failures of credential plugins, with the messages of the plugins.

use kube::client::AuthError;
use kube::config::ExecConfig;

use super::Error;

const MAX_CHARS: usize = 500;

/// Returns why there is no client. What a plugin wrote to its standard output may hold
/// secrets, and is left out.
pub(super) fn failure(access: String, exec: Option<ExecConfig>, source: kube::Error) -> Error {
    let Some(exec) = exec else {
        return other(access, source);
    };
    let command = exec.command.unwrap_or_default();
    match source {
        kube::Error::Auth(AuthError::AuthExecStart(source)) => Error::PluginStart {
            access,
            command,
            source,
            hint: hint(exec.install_hint.as_deref()),
        },
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => Error::PluginRun {
            access,
            command,
            status: out.status,
            stderr: end(&String::from_utf8_lossy(&out.stderr)),
        },
        source => other(access, source),
    }
}

fn other(access: String, source: kube::Error) -> Error {
    Error::Client {
        access,
        source: Box::new(source),
    }
}

fn hint(install: Option<&str>) -> String {
    let visible = |it: &str| it.replace(|it: char| it.is_control(), " ");
    install.map_or_else(
        || "install it, or name it with its whole path".to_owned(),
        |it| visible(it.trim()),
    )
}

/// Returns the end of the output, where programs print the error.
fn end(text: &str) -> String {
    let text = text.trim().replace(|it: char| it.is_control(), " ");
    let n = text.chars().count();
    text.chars().skip(n.saturating_sub(MAX_CHARS)).collect()
}
