//! Check that the names of the mirrors of all sources differ.

use std::collections::BTreeMap;

use proto_types::name::DnsLabel;

use super::{Error, SourcePolicy};
use crate::name::{Placement, RESERVED_PREFIX, SourceName};

/// Refuses sources of which two Services could get one name by accident.
pub(super) fn check(sources: &[SourcePolicy]) -> Result<(), Error> {
    let mut stems: BTreeMap<DnsLabel, &SourceName> = BTreeMap::new();
    for source in sources {
        let Some(stem) = stem(source)? else {
            continue;
        };
        check_stem(&source.name, &stem)?;
        if let Some(first) = stems.insert(stem.clone(), &source.name) {
            return Err(Error::DuplicatePrefix {
                first: first.clone(),
                second: source.name.clone(),
                prefix: stem,
            });
        }
    }
    check_ambiguity(&stems)?;
    let collected = sources.iter().filter(|it| is_collected(it));
    let no_stem = collected.clone().find(|it| matches!(stem(it), Ok(None)));
    match no_stem {
        Some(source) if 1 < collected.count() => Err(Error::NoStem(source.name.clone())),
        Some(_) | None => Ok(()),
    }
}

const fn is_collected(source: &SourcePolicy) -> bool {
    matches!(source.placement, Placement::Prefixed { .. })
}

/// Returns the beginning that the names of all mirrors of a source share, before a dash, if there
/// is one.
pub(super) fn stem(source: &SourcePolicy) -> Result<Option<DnsLabel>, Error> {
    let prefix = match &source.placement {
        Placement::Prefixed { prefix, .. } => Some(prefix),
        Placement::SameName | Placement::Global(_) => None,
    };
    let Some(template) = &source.naming.template else {
        return Ok(prefix.cloned());
    };
    if template.has_prefix() && prefix.is_none() {
        return Err(Error::TemplateWithoutPrefix(source.name.clone()));
    }
    if prefix.is_some() && !template.has_namespace() && !source.import.namespaces.is_one() {
        return Err(Error::TemplateWithoutNamespace(source.name.clone()));
    }
    let stem = template.stem(prefix, &source.name);
    if stem.is_empty() {
        return Ok(None);
    }
    let stem = stem.parse().map(Some);
    stem.map_err(|_| Error::LongStem(source.name.clone()))
}

fn check_stem(name: &SourceName, stem: &DnsLabel) -> Result<(), Error> {
    if stem.as_str() == RESERVED_PREFIX {
        return Err(Error::ReservedPrefix(name.clone()));
    }
    if !stem.begins_with_letter() {
        return Err(Error::PrefixWithoutLetter {
            source_name: name.clone(),
            prefix: stem.clone(),
        });
    }
    Ok(())
}

fn check_ambiguity(stems: &BTreeMap<DnsLabel, &SourceName>) -> Result<(), Error> {
    for (short, first) in stems {
        let begins = format!("{short}-");
        let ambiguous = stems
            .iter()
            .find(|(long, _)| long.as_str().starts_with(&begins));
        if let Some((long, second)) = ambiguous {
            return Err(Error::AmbiguousPrefix {
                first: (*first).clone(),
                second: (*second).clone(),
                short: short.clone(),
                long: long.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::import::{Import, NameRules};
    use crate::name::{Naming, Placement};
    use crate::policy::{Policy, SourcePolicy};

    fn named(name: &str, prefix: Option<&str>, template: &str) -> SourcePolicy {
        let placement = match prefix {
            Some(prefix) => Placement::Prefixed {
                prefix: prefix.parse().unwrap(),
                namespace: "mirrors".parse().unwrap(),
            },
            None => Placement::SameName,
        };
        let naming = Naming {
            template: Some(template.parse().unwrap()),
            ..Naming::default()
        };
        SourcePolicy {
            naming,
            ..SourcePolicy::new(name.parse().unwrap(), placement)
        }
    }

    #[track_caller]
    fn check(sources: Vec<SourcePolicy>, expected: &str) {
        let outcome =
            Policy::new(sources).map_or_else(|error| error.to_string(), |_| String::new());
        assert!(outcome.contains(expected), "{outcome}");
        assert_eq!(outcome.is_empty(), expected.is_empty(), "{outcome}");
    }

    #[test]
    fn names_of_templates_are_told_apart_like_those_of_prefixes() {
        let usual = "{prefix}-{namespace}-73736d-{name}";
        let old = "{prefix}-{name}-6d6972726f720a-{namespace}";
        let by_source = "{source}-{namespace}-73736d-{name}";
        let bare = "{namespace}-73736d-{name}";
        let east = |template| named("east", Some("e"), template);
        let west = |prefix, template| named("west", Some(prefix), template);
        check(vec![east(usual), west("w", old)], "");
        check(vec![east(by_source), west("w", usual)], "");
        check(
            vec![east(usual), west("e-b", old)],
            "begins with prefix e of source east",
        );
        check(
            vec![east(by_source), west("east", usual)],
            "have the same prefix east",
        );
        check(vec![east(bare)], "");
        check(
            vec![east(bare), west("w", usual)],
            "begin with nothing of its own",
        );
        check(vec![east("gl-{namespace}-73736d-{name}")], "is reserved");
        check(vec![east("{prefix}-{name}")], "has no {namespace}");
        check(
            vec![named("east", None, usual)],
            "has {prefix}, and the source has none",
        );
        check(vec![named("east", None, "{source}-{name}")], "");
        check(
            vec![east(&format!(
                "{}-{{namespace}}-73736d-{{name}}",
                "x".repeat(64)
            ))],
            "no room",
        );
    }

    #[test]
    fn one_namespace_need_not_be_named() {
        let import = Import {
            namespaces: NameRules {
                allow: vec!["demo".parse().unwrap()],
                deny: Vec::new(),
            },
            ..Import::default()
        };
        let east = SourcePolicy {
            import,
            ..named("east", Some("e"), "{prefix}-{name}")
        };
        check(vec![east], "");
    }
}
