//! What a source's mirrors are called, as it is typed.

use std::collections::BTreeMap;

use proto_types::name::DnsLabel;
use reflector_planner::Naming;
use reflector_planner::name::{Aliases, LongNames};
use serde::Deserialize;

/// A source's `naming`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NamingEntry {
    /// The form of names.
    pub template: Option<String>,
    namespaces: BTreeMap<String, DnsLabel>,
    long: LongEntry,
    aliases: bool,
}

/// As the file spells the planner's enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LongEntry {
    #[default]
    Refuse,
    Shorten,
}

impl NamingEntry {
    /// What it means; else which key is wrong, and why.
    pub(super) fn check(&self) -> Result<Naming, String> {
        let template = self.template.as_ref().map(|it| it.parse()).transpose();
        let namespaces = self.namespaces.iter().map(|(from, to)| {
            let from = from
                .parse()
                .map_err(|why| format!("naming.namespaces: {why}"));
            Ok((from?, to.clone()))
        });
        Ok(Naming {
            template: template.map_err(|why| format!("naming.template: {why}"))?,
            namespaces: namespaces.collect::<Result<_, String>>()?,
            long: match self.long {
                LongEntry::Refuse => LongNames::Refuse,
                LongEntry::Shorten => LongNames::Shorten,
            },
            aliases: if self.aliases {
                Aliases::Followed
            } else {
                Aliases::Ignored
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::NamingEntry;

    #[track_caller]
    fn check(yaml: &str, expected: &str) {
        let outcome = match serde_saphyr::from_str::<NamingEntry>(yaml) {
            Ok(entry) => entry.check().map_or_else(|why| why, |it| it.to_string()),
            Err(error) => error.to_string(),
        };
        assert!(outcome.contains(expected), "{yaml}: {outcome}");
    }

    #[test]
    fn what_mirrors_are_called_is_read_or_refused_with_its_remedy() {
        check("{}", "too long ones are refused");
        check(
            "{template: '{source}-{namespace}-73736d-{name}', namespaces: {demo: shop}, \
             long: shorten, aliases: true}",
            "as {source}-{namespace}-73736d-{name}, demo to shop, too long ones are shortened, \
             aliases are followed",
        );
        check(
            "{template: '{nome}'}",
            "naming.template: there is no variable {nome}",
        );
        check(
            "{namespaces: {Demo: shop}}",
            "naming.namespaces: \"Demo\" is not a DNS label",
        );
        check("{namespaces: {demo: Shop}}", "\"Shop\" is not a DNS label");
        check("{long: cut}", "cut");
        check("{alias: true}", "unknown field");
    }
}
