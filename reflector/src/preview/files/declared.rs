//! Sources that the file of the local cluster declares: Sources and ClusterProfiles.

use proto_types::RawObject;

use crate::compat::CommandLine;
use crate::config::{Config, ObjectKind, ObjectPlace};
use crate::source_objects;

/// Returns the configuration with the sources that are among these objects. Where there is no such
/// object, a warning states that none was read.
pub(super) fn with_sources(
    config: &Config,
    line: &CommandLine,
    objects: &[(ObjectKind, RawObject)],
) -> anyhow::Result<Config> {
    let mut args = line.read()?;
    for place in &config.object_places {
        let found = of_place(place, objects);
        *args.found(place.kind) = source_objects::found(place.kind, found);
    }
    Ok(Config::try_from(args)?)
}

fn of_place<'a>(
    place: &'a ObjectPlace,
    objects: &'a [(ObjectKind, RawObject)],
) -> impl Iterator<Item = &'a RawObject> {
    let namespace = place.namespace.as_str();
    let of_kind = objects.iter().filter(|(kind, _)| *kind == place.kind);
    of_kind
        .map(|(_, object)| object)
        .filter(move |it| it.key.namespace() == namespace && place.selector.matches(&it.labels))
}
