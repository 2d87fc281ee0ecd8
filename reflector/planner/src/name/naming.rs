//! Names of mirrors that differ from the default.

use std::collections::BTreeMap;
use std::fmt;

use proto_types::ObjectKey;
use proto_types::name::{DnsLabel, MAX_LABEL};

use super::{MirrorKey, Placement, READABLE, SourceName, Template, hash};

/// Naming of the mirrors of a source. The default follows its placement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Naming {
    /// The form of their names.
    pub template: Option<Template>,
    /// Local namespaces by source namespace.
    pub namespaces: BTreeMap<DnsLabel, DnsLabel>,
    /// Treatment of names that are too long.
    pub long: LongNames,
    /// Treatment of aliases.
    pub aliases: Aliases,
}

/// Treatment of names that are too long for a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LongNames {
    /// The Service is not mirrored, and a problem is reported.
    #[default]
    Refuse,
    /// They are cut, and a hash of the whole distinguishes them.
    Shorten,
}

/// Treatment of aliases: names that a Service requests for its mirror by an annotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aliases {
    /// It may not.
    #[default]
    Ignored,
    /// It may.
    Followed,
}

impl Naming {
    /// Returns the key of the mirror of a source Service.
    pub(crate) fn local(
        &self,
        placement: &Placement,
        source: &SourceName,
        service: &ObjectKey,
    ) -> MirrorKey {
        let usual = placement.local(service);
        let prefix = match placement {
            Placement::Prefixed { prefix, .. } => Some(prefix),
            Placement::SameName | Placement::Global(_) => None,
        };
        let templated = self.template.as_ref();
        let templated = templated.map(|it| it.name(prefix, source, service));
        let name = templated.as_deref().unwrap_or(usual.object().name());
        let shortened = match self.long {
            LongNames::Shorten if MAX_LABEL < name.len() => Some(shorten(name, source, service)),
            LongNames::Refuse | LongNames::Shorten => None,
        };
        let name = shortened.as_deref().unwrap_or(name);
        let namespace = self
            .moved_to(service.namespace())
            .unwrap_or(usual.object().namespace());
        MirrorKey::new(ObjectKey::new(namespace, name))
    }

    /// Returns the key of the mirror of a source Service with that alias.
    pub(crate) fn aliased(
        &self,
        placement: &Placement,
        service: &ObjectKey,
        alias: &DnsLabel,
    ) -> MirrorKey {
        let usual = placement.local(service);
        let namespace = self
            .moved_to(service.namespace())
            .unwrap_or(usual.object().namespace());
        MirrorKey::new(ObjectKey::new(namespace, alias.as_str()))
    }

    /// Returns the local namespace that the operator chose for a namespace of the source.
    pub(crate) fn moved_to(&self, namespace: &str) -> Option<&str> {
        let mut mapped = self.namespaces.iter();
        let (_, to) = mapped.find(|(from, _)| from.as_str() == namespace)?;
        Some(to.as_str())
    }
}

/// The beginning of a name and a hash. The mirror names the Service in
/// `heliograph.dev/source-service`.
fn shorten(name: &str, source: &SourceName, service: &ObjectKey) -> String {
    let mut end = name.len().min(READABLE);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let readable = name[..end].trim_end_matches('-');
    format!("{readable}-{}", hash("name/", source, service))
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            template,
            namespaces,
            long,
            aliases,
        } = self;
        let form = template.as_ref().map(|it| format!("as {it}"));
        let moved = namespaces
            .iter()
            .map(|(from, to)| format!("{from} to {to}"));
        let long = match long {
            LongNames::Refuse => "too long ones are refused",
            LongNames::Shorten => "too long ones are shortened",
        };
        let aliases = match aliases {
            Aliases::Ignored => None,
            Aliases::Followed => Some("aliases are followed".to_owned()),
        };
        let parts = form.into_iter().chain(moved).chain([long.to_owned()]);
        let parts: Vec<_> = parts.chain(aliases).collect();
        f.write_str(&parts.join(", "))
    }
}
