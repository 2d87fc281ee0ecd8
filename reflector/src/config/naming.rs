//! Names of the mirrors of a source, as in the file.

use std::collections::BTreeMap;

use proto_types::name::DnsLabel;
use reflector_planner::Naming;
use reflector_planner::name::{Aliases, LongNames};
use schemars::JsonSchema;
use serde::Deserialize;

use super::schema::{Label, Template as TemplateText};

/// A source's `naming`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "Naming")]
pub struct NamingEntry {
    /// The form of names.
    #[schemars(with = "Option<TemplateText>")]
    pub template: Option<String>,
    /// Local namespaces of the mirrors, by source namespace.
    #[serde(rename = "namespaceMap", alias = "namespaces")]
    #[schemars(with = "BTreeMap<Label, Label>")]
    namespaces: BTreeMap<String, DnsLabel>,
    /// Treatment of names over 63 characters.
    #[serde(rename = "longNames", alias = "long")]
    long: LongEntry,
    /// `true` if a Service may choose the name of its mirror.
    #[serde(rename = "allowAliases", alias = "aliases")]
    aliases: bool,
}

/// As the file spells the planner's enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LongNames")]
enum LongEntry {
    /// The Service is reported.
    #[default]
    #[serde(alias = "refuse")]
    Skip,
    /// The name is cut, and ends with a hash.
    #[serde(alias = "shorten")]
    Truncate,
}

impl NamingEntry {
    /// Returns the naming, or the invalid key with its error.
    pub(super) fn check(&self) -> Result<Naming, String> {
        let template = self.template.as_ref().map(|it| it.parse()).transpose();
        let namespaces = self.namespaces.iter().map(|(from, to)| {
            let from = from
                .parse()
                .map_err(|why| format!("naming.namespaceMap: {why}"));
            Ok((from?, to.clone()))
        });
        Ok(Naming {
            template: template.map_err(|why| format!("naming.template: {why}"))?,
            namespaces: namespaces.collect::<Result<_, String>>()?,
            long: match self.long {
                LongEntry::Skip => LongNames::Refuse,
                LongEntry::Truncate => LongNames::Shorten,
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
    use crate::config::tests::schema::agrees_of_source;

    #[track_caller]
    fn check(yaml: &str, expected: &str) {
        let outcome = match serde_saphyr::from_str::<NamingEntry>(yaml) {
            Ok(entry) => entry.check().map(|it| it.to_string()),
            Err(error) => Err(error.to_string()),
        };
        agrees_of_source("naming", yaml, outcome.as_ref().err().map(String::as_str));
        let outcome = outcome.unwrap_or_else(|why| why);
        assert!(outcome.contains(expected), "{yaml}: {outcome}");
    }

    #[test]
    fn a_naming_is_read_or_rejected_with_its_remedy() {
        check("{}", "too long ones are refused");
        check(
            "{template: '{source}-{namespace}-73736d-{name}', namespaceMap: {demo: shop}, \
             longNames: truncate, allowAliases: true}",
            "as {source}-{namespace}-73736d-{name}, demo to shop, too long ones are shortened, \
             aliases are followed",
        );
        check(
            "{template: '{nome}'}",
            "naming.template: there is no variable {nome}",
        );
        check(
            "{namespaceMap: {Demo: shop}}",
            "naming.namespaceMap: \"Demo\" is not a DNS label",
        );
        check(
            "{namespaceMap: {demo: Shop}}",
            "\"Shop\" is not a DNS label",
        );
        check("{longNames: cut}", "cut");
        check("{alias: true}", "unknown field");
    }
}
