//! Policy of one source.

use proto_types::name::DnsLabel;
use reflector_planner::{Placement, SourcePolicy};

use super::{Error, InvalidSource, SourceEntry};

/// Returns the policy of a source, or the first error of its configuration.
pub(super) fn source_policy(
    entry: &SourceEntry,
    mirror_namespace: Option<&DnsLabel>,
) -> Result<SourcePolicy, Error> {
    Ok(SourcePolicy {
        import: entry.imported()?,
        naming: entry.called()?,
        staleness: entry.staleness.0,
        staleness_of: entry.exceptions()?,
        known_as: entry.known_as().map(Into::into),
        marks_as_reflected: entry.marks_as_reflected,
        missing_namespaces: entry.missing_namespaces(),
        endpoints: super::endpoints::written(entry.write_endpoints),
        ..SourcePolicy::new(entry.name.clone(), placement(entry, mirror_namespace)?)
    })
}

fn placement(entry: &SourceEntry, mirror_namespace: Option<&DnsLabel>) -> Result<Placement, Error> {
    match (&entry.prefix, entry.same_name) {
        (Some(prefix), false) => match mirror_namespace {
            Some(namespace) => Ok(Placement::Prefixed {
                prefix: prefix.clone(),
                namespace: namespace.clone(),
            }),
            None => Err(Error::NoMirrorNamespace(entry.name.clone())),
        },
        (None, true) => Ok(Placement::SameName),
        (Some(_), true) => Err(InvalidSource::TwoPlacements(entry.name.clone()).into()),
        (None, false) => Err(InvalidSource::NoPlacement(entry.name.clone()).into()),
    }
}
