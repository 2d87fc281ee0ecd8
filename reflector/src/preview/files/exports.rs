//! A clusterset of files: ServiceExports, and the Services that they export.

use std::collections::{BTreeMap, BTreeSet};

use proto_types::resource::ApiResource;
use proto_types::{ObjectKey, RawObject, Resource};
use reflector_clusterset::api::Version;
use reflector_clusterset::{
    Change, ClusterId, ClusterSet, Export, ExportedService, Observed, Update, export,
};

use super::Objects;
use crate::clusterset::{Configuration, Read};

/// Returns the names of a kind of the Multi-Cluster Services API, in any version.
pub(super) fn names(kind: &str) -> Option<&'static ApiResource> {
    let version = Version::V1Beta1;
    let mut all = [version.exports(), version.imports()].into_iter();
    all.find(|it| it.kind == kind)
}

/// Returns the clusterset of the local file and the files of the sources. What the file of a
/// source has nothing of was not read.
pub(super) fn read(
    configuration: Configuration,
    here: &Objects,
    sources: &BTreeMap<String, Result<Objects, String>>,
) -> Read {
    let Configuration { settings, .. } = configuration;
    let local = settings.local.clone();
    let others: Vec<_> = settings.clusters.keys().cloned().collect();
    let mut set = ClusterSet::new(settings);
    let mut failures = BTreeMap::new();
    here.apply_local(&mut set);
    here.apply_cluster(&mut set, &local);
    for cluster in others.into_iter().filter(|it| *it != local) {
        let objects = match sources.get(cluster.as_str()) {
            Some(Ok(objects)) => objects,
            Some(Err(why)) => {
                failures.insert(cluster, why.clone());
                continue;
            }
            None => continue,
        };
        match objects.needs_exports() {
            Ok(()) => objects.apply_cluster(&mut set, &cluster),
            Err(why) => drop(failures.insert(cluster, why)),
        }
    }
    apply_namespaces(here, &mut set);
    Read {
        set,
        version: Version::V1Beta1,
        failures,
    }
}

impl Objects {
    fn needs_exports(&self) -> Result<(), String> {
        self.needs(Resource::Services)?;
        self.needs(Resource::EndpointSlices)?;
        if self.multicluster.contains_key("ServiceExport") {
            return Ok(());
        }
        Err("its file has no serviceexports, which may not have been asked for".to_owned())
    }

    fn apply_local(&self, set: &mut ClusterSet) {
        let imports = listed(self.of("ServiceImport"), |it| Some(Observed::import(it)));
        set.update(Update::Imports(imports));
        let services = self.by_resource.get(&Resource::Services);
        let derived = listed(services.into_iter().flatten(), Observed::derived);
        set.update(Update::Derived(derived));
        let slices = self.by_resource.get(&Resource::EndpointSlices);
        let copies = listed(slices.into_iter().flatten(), Observed::slice);
        set.update(Update::Copies(copies));
    }

    fn apply_cluster(&self, set: &mut ClusterSet, cluster: &ClusterId) {
        let exports = listed(self.of("ServiceExport"), |it| Some(Export::read(it)));
        set.update(Update::Exports(cluster.clone(), exports));
        let services = self.by_resource.get(&Resource::Services);
        let services = listed(services.into_iter().flatten(), |it| {
            Some(ExportedService::read(it))
        });
        set.update(Update::Services(cluster.clone(), services));
        let slices = self.by_resource.get(&Resource::EndpointSlices);
        let slices = listed(slices.into_iter().flatten(), |it| Some(export::slice(it)));
        set.update(Update::Slices(cluster.clone(), slices));
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &RawObject> {
        self.multicluster.get(kind).into_iter().flatten()
    }
}

/// Tells which namespaces there are. Where the local file has none, there are all.
fn apply_namespaces(here: &Objects, set: &mut ClusterSet) {
    let exported: BTreeSet<_> = set.keys().into_iter().collect();
    let all = match &here.namespaces {
        Some(known) => known.iter().cloned().collect::<BTreeSet<String>>(),
        None => exported
            .iter()
            .map(|it| it.namespace().to_owned())
            .collect(),
    };
    let all = all.into_iter().map(|it| (it.into(), true));
    set.update(Update::Namespaces(Change::Listed(all.collect())));
}

fn listed<'a, T>(
    objects: impl Iterator<Item = &'a RawObject>,
    read: impl Fn(&RawObject) -> Option<T>,
) -> Change<ObjectKey, T> {
    let all = objects.filter_map(|it| Some((it.key.clone(), read(it)?)));
    Change::Listed(all.collect())
}
