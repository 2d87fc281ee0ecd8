//! Settings by flags and variables: a variable is a flag's default, as in Go's
//! programs. What is empty is not set.

use std::net::{Ipv4Addr, SocketAddr};

use proto_types::name::DnsLabel;

use super::{Environment, Error, label_of};
use runtime::flags::Flags;

/// Warning about namespaces that are named like domains and are allowed.
pub(super) const DOMAINS_ARE_OPEN: &str = "as before, sources may use namespaces that are named like a top-level domain (shop, dev), \
     whose Services pods find by names of Internet hosts; in Heliograph's own configuration they \
     are closed unless import.namespaces.allow names them";

/// Port on which the predecessors served probes and metrics.
const PORT: u16 = 8080;

/// Flags, and the variables behind them.
pub(super) struct Settings<'a> {
    pub(super) flags: Flags,
    pub(super) environment: &'a Environment,
}

impl Settings<'_> {
    /// Returns the value of a flag, or of its variable.
    pub(super) fn get(&self, flag: &str, variable: &str) -> Option<&str> {
        let flag = self.flags.last(flag);
        let value = flag.or_else(|| self.variable(variable));
        value.filter(|it| !it.is_empty())
    }

    /// Returns the value of a variable.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.environment.get(name).map(String::as_str);
        value.filter(|it| !it.is_empty())
    }

    /// Returns where probes and metrics are served: where these programs always served them, unless
    /// a flag of this program, in either spelling, overrides it. They had none.
    pub(super) fn admin_address(&self) -> Result<SocketAddr, Error> {
        for flag in ["admin-bind-address", "listen"] {
            if let Some(address) = self.flags.last(flag) {
                return address
                    .parse()
                    .map_err(|why| wrong(&format!("--{flag}"), why));
            }
        }
        Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)))
    }

    /// Notes words that no flag read.
    pub(super) fn note(&self, notes: &mut Vec<String>) {
        if !self.flags.ignored.is_empty() {
            let words = self.flags.ignored.join(" ");
            notes.push(format!(
                "ignored, as it always was: {words:?} follows a word that is no flag"
            ));
        }
    }
}

/// Returns a prefix of mirrors. One that has upper case letters alone against it is used in
/// lower case: no mirror can have been made with it, so nothing is lost.
pub(super) fn prefix(flag: &str, text: &str, notes: &mut Vec<String>) -> Result<DnsLabel, Error> {
    let lower = text.to_ascii_lowercase();
    let prefix = lower.parse::<DnsLabel>().ok();
    let prefix = prefix.filter(|it| it.as_str().starts_with(|it: char| it.is_ascii_lowercase()));
    let Some(prefix) = prefix else {
        let example = label_of(text).map_or_else(|_| "east".to_owned(), |it| it.to_string());
        let why = format!(
            "{text:?} cannot begin the name of a Service, so that no mirror would ever be made; \
             write lower case letters, digits and '-', beginning with a letter, such as {example}"
        );
        return Err(wrong(flag, why));
    };
    if lower != text {
        notes.push(format!(
            "{flag} {text:?} is used as {prefix}: names of Services are in lower case, so no \
             mirror can have been made with it"
        ));
    }
    Ok(prefix)
}

/// A value that is none.
pub(super) fn wrong(flag: &str, why: impl std::fmt::Display) -> Error {
    Error::Value {
        flag: flag.to_owned(),
        why: why.to_string(),
    }
}

/// Returns an error with the message of the predecessor.
pub(super) fn words_of(words: &str) -> Error {
    Error::Words(words.to_owned())
}

/// A server that is named without a scheme speaks HTTPS where it has an authority.
pub(super) fn secured(server: &str) -> String {
    if server.contains("://") {
        server.to_owned()
    } else {
        format!("https://{server}")
    }
}
