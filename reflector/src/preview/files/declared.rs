//! Sources that the file of the local cluster declares: Sources and ClusterProfiles.

use proto_types::RawObject;

use super::Objects;
use crate::compat::CommandLine;
use crate::config::{Config, ObjectKind, ObjectPlace};
use crate::source_objects;

impl Objects {
    /// Returns the configuration with the sources that are among these objects. If there is no such
    /// object, a warning states that none was read.
    pub(crate) fn declared(&self, config: Config, line: &CommandLine) -> anyhow::Result<Config> {
        if config.object_places.is_empty() {
            return Ok(config);
        }
        let mut args = line.read()?;
        for place in &config.object_places {
            let found = of_place(place, &self.sources);
            *args.found(place.kind) = source_objects::found(place.kind, found);
        }
        Ok(Config::try_from(args)?)
    }
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
