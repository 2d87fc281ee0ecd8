//! The flags of service-reflector, which was an emitter and a reflector in one: either
//! program takes its whole line, and leaves the other's part alone.

use super::{Dashes, Syntax};
use crate::LogFilter;

/// All of its flags.
pub const SYNTAX: Syntax = Syntax {
    values: &[
        // Not one of its own: ours, which its lines may carry too.
        "admin-bind-address",
        "kubeconfig",
        "listen",
        "log-level",
        "namespace",
        "reflector.source-api",
        "reflector.source-api-file",
        "reflector.source-api-config-map",
        "reflector.source-kubeconfig",
        "reflector.selector",
        "emitter.selector",
        "emitter.insecure-bind-address",
        "emitter.insecure-port",
        "emitter.bind-address",
        "emitter.secure-port",
        "emitter.cert-dir",
        "emitter.tls-cert-file",
        "emitter.tls-private-key-file",
        "emitter.tls-cipher-suites",
        "emitter.tls-min-version",
        "emitter.tls-sni-cert-key",
        "emitter.http2-max-streams-per-connection",
    ],
    switches: &["emitter", "reflector", "version"],
    dashes: Dashes::Two,
};

/// Returns whether a word is a flag that only service-reflector has.
#[must_use]
pub fn is_its(word: &str) -> bool {
    let name = SYNTAX.name_of(word).unwrap_or_default();
    let name = name.split('=').next().unwrap_or_default();
    let its = |it: &str| name == it || name.starts_with(&format!("{it}."));
    its("reflector") || its("emitter")
}

/// Its levels, as ours; what is none is refused in its own words.
pub fn log_level(text: &str) -> Result<LogFilter, String> {
    let level = match text {
        "all" => "trace",
        "none" => "off",
        "debug" | "info" | "warn" | "error" => text,
        _ => {
            return Err(format!(
                "log level {text} unknown; possible values are: all, debug, info, warn, error, none"
            ));
        }
    };
    level
        .parse()
        .map_err(|why: crate::log::InvalidFilter| why.to_string())
}
