//! By files, as `kubectl get services,endpointslices -o yaml` writes them.
//!
//! What a source's file has nothing of was not read: that there is nothing is not known.
//! The local cluster's file is all that there is.

mod declared;
mod exports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use proto_types::{LabelSelector, ObjectKey, RawObject, Resource, ResourceVersion};
use reflector_planner::{ExistingObject, Index, Step, Update, Write, WriteFailure};
use runtime::{Event, Listing};
use serde_json::{Value, json};

use super::{Imports, Lost, PlanReport, intended, without_namespaces};
use crate::clusterset;
use crate::config::{Config, ObjectKind, SourceConfig, SourceFile, our_selector};
use crate::identity::ExpectedIdentity;
use crate::informers::feeds;
use crate::watch_target::WatchTarget;

/// The objects of one cluster.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    by_resource: BTreeMap<Resource, Vec<RawObject>>,
    /// ServiceExports and ServiceImports, by kind.
    multicluster: BTreeMap<&'static str, Vec<RawObject>>,
    /// Sources and ClusterProfiles.
    sources: Vec<(ObjectKind, RawObject)>,
    /// None where the file has no namespaces at all.
    namespaces: Option<BTreeSet<String>>,
    /// The uid of `kube-system`, if it is there.
    cluster: Option<Box<str>>,
}

/// Returns the preview of a configuration on the objects of files. It sends no request.
pub(crate) fn by_files(
    config: Config,
    here: &Objects,
    files: &[SourceFile],
    explained: Option<&ObjectKey>,
) -> anyhow::Result<PlanReport> {
    let is_known = |it: &SourceFile| config.sources.iter().any(|its| its.name == it.source);
    if let Some(SourceFile { source, path }) = files.iter().find(|it| !is_known(it)) {
        let path = path.display();
        bail!("--source-objects {source}={path}: the configuration has no source {source}");
    }
    let namespace = config.local_namespace().map(ToString::to_string);
    let set = clusterset::configuration(&config).map(|it| it.borrow().clone());
    let Config {
        policy,
        sources,
        global,
        ..
    } = config;
    let mut index = Index::new(policy);
    let mut lost = Lost::new();
    let mut read = BTreeMap::new();
    for feed in [WatchTarget::LocalServices, WatchTarget::LocalSlices] {
        let selector = our_selector(feed.resource(), global.as_ref());
        here.apply_list(&mut index, &feed, &selector, namespace.as_deref());
    }
    for source in &sources {
        let file = files.iter().find(|it| it.source == source.name);
        let told = match file {
            None => Err("no file is given for it".to_owned()),
            Some(it) => Objects::read(&it.path)?.identified(&mut index, source),
        };
        for (feed, selector) in feeds(source, global.as_ref()) {
            let namespace = source.namespace.as_ref().map(ToString::to_string);
            let result = told.as_ref().map_err(Clone::clone).and_then(|objects| {
                objects.needs(feed.resource())?;
                objects.apply_list(&mut index, &feed, &selector, namespace.as_deref());
                Ok(())
            });
            if let Err(why) = result {
                lost.insert(feed, why);
            }
        }
        read.insert(source.name.to_string(), told);
    }
    if let Some(global) = &global {
        let name = || global.cluster.clone();
        for feed in [
            WatchTarget::MemberServices(name()),
            WatchTarget::MemberSlices(name()),
        ] {
            here.apply_list(&mut index, &feed, &global.full_selector(), None);
        }
    }
    let created = here.adopt_existing(&mut index);
    let set = set.map(|it| exports::read(it, here, &read));
    let import = explained.and_then(|key| set.as_ref()?.explained(key));
    let report = PlanReport::of(&index, &lost, created, set.map(Imports::of));
    Ok(report.explaining(&index, import, explained))
}

impl Objects {
    /// Reads the objects of a file, once: it may be a pipe.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read {name}: check that the file exists and may be read")
        })?;
        let documents = documents(&text).with_context(|| {
            format!(
                "{name} holds no Kubernetes objects: write it with kubectl get \
                 services,endpointslices -o yaml"
            )
        })?;
        let mut objects = Self::default();
        for document in documents {
            let added = objects.add(document, "");
            added.with_context(|| format!("cannot read an object of {name}"))?;
        }
        Ok(objects)
    }

    /// Takes in an object, or all those of a list.
    fn add(&mut self, mut object: Value, kind: &str) -> anyhow::Result<()> {
        let kind = object["kind"].as_str().unwrap_or(kind).to_owned();
        if let Some(kind) = kind.strip_suffix("List") {
            // Where a list is of one kind, there may be none.
            if let Some(resource) = resource(kind) {
                self.by_resource.entry(resource).or_default();
            }
            if let Some(names) = exports::names(kind) {
                self.multicluster.entry(names.kind).or_default();
            }
            let items = object["items"].take();
            let items = items.as_array().context("a list without items")?;
            return items
                .iter()
                .try_for_each(|item| self.add(item.clone(), kind));
        }
        let metadata = &mut object["metadata"];
        if kind == "Namespace" {
            let name = metadata["name"].as_str().unwrap_or_default();
            if name == "kube-system" {
                self.cluster = metadata["uid"].as_str().map(Into::into);
            }
            let namespaces = self.namespaces.get_or_insert_default();
            namespaces.insert(name.to_owned());
        }
        // What a person wrote has no version yet.
        if let Some(metadata) = metadata.as_object_mut() {
            let version = metadata.entry("resourceVersion");
            version.or_insert(json!("1"));
        }
        let json = object.to_string().into();
        if let Some(names) = exports::names(&kind) {
            let object = RawObject::parse(names, &json)?;
            self.multicluster
                .entry(names.kind)
                .or_default()
                .push(object);
        } else if let Some(kind) = ObjectKind::of(&kind) {
            let object = RawObject::parse(kind.names(), &json)?;
            self.sources.push((kind, object));
        } else if let Some(resource) = resource(&kind) {
            let object = RawObject::parse(resource, &json)?;
            self.by_resource.entry(resource).or_default().push(object);
        }
        Ok(())
    }

    /// Returns whether it is known what there is of a resource.
    fn needs(&self, resource: Resource) -> Result<(), String> {
        if self.by_resource.contains_key(&resource) {
            return Ok(());
        }
        let plural = resource.plural();
        Err(format!(
            "its file has no {plural}, which may not have been asked for"
        ))
    }

    /// Says which cluster a source is, where that is known; refuses another one than it is
    /// to be.
    fn identified(self, index: &mut Index, source: &SourceConfig) -> Result<Self, String> {
        let Some(cluster) = self.cluster.clone() else {
            return Ok(self);
        };
        let identity = ExpectedIdentity::new(source);
        identity.expect(index.clusters_of(&source.name).map(Into::into).collect());
        let verdict = std::sync::Arc::new(identity).guard()(runtime::ReportedIdentity::Known(
            cluster.clone(),
        ));
        verdict.map_err(|why| why.to_string())?;
        index.update(Update::Identified(source.name.clone(), cluster));
        Ok(self)
    }

    /// Applies a list of these objects.
    fn apply_list(
        &self,
        index: &mut Index,
        feed: &WatchTarget,
        selector: &LabelSelector,
        namespace: Option<&str>,
    ) {
        let all = self.by_resource.get(&feed.resource()).into_iter().flatten();
        let listed = all.filter(|it| {
            let is_there = namespace.is_none_or(|namespace| it.key.namespace() == namespace);
            is_there && selector.matches(&it.labels)
        });
        let listing = Listing::confirmed(ResourceVersion::new(1), listed.cloned().collect());
        if let Some(update) = feed
            .news(Event::Listed(listing), feed.resource().names())
            .update
        {
            index.update(update);
        }
    }

    /// Finds what stands in the way; returns the namespaces that would be created.
    fn adopt_existing(&self, index: &mut Index) -> BTreeSet<String> {
        let met: Vec<_> = intended(index)
            .iter()
            .filter_map(|step| self.in_the_way(step))
            .collect();
        for update in met {
            index.update(update);
        }
        let Some(known) = &self.namespaces else {
            return BTreeSet::new();
        };
        let steps = intended(index);
        let wanted = steps.iter().map(|it| it.key.namespace());
        let missing = wanted.filter(|it| !known.contains(*it));
        let missing = missing.map(ToOwned::to_owned).collect();
        without_namespaces(index, &missing)
    }

    fn in_the_way(&self, step: &Step) -> Option<Update> {
        if !matches!(step.write, Write::Create(_)) {
            return None;
        }
        let service = self.object(step.resource, &step.key)?;
        if step.resource != Resource::Services {
            let occupied = WriteFailure::Occupied;
            return Some(Update::Blocked(step.resource, step.key.clone(), occupied));
        }
        let endpoints = self.object(Resource::Endpoints, &step.key).cloned();
        let service = service.clone();
        Some(Update::Met(Box::new(ExistingObject { service, endpoints })))
    }

    fn object(&self, resource: Resource, key: &ObjectKey) -> Option<&RawObject> {
        let all = self.by_resource.get(&resource)?;
        all.iter().find(|it| it.key == *key)
    }
}

fn resource(kind: &str) -> Option<Resource> {
    let mut all = Resource::ALL.into_iter();
    all.find(|it| it.kind() == kind)
}

/// JSON, or YAML of one document or several.
fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    if let Ok(document) = serde_json::from_str(text) {
        return Ok(vec![document]);
    }
    let options = serde_saphyr::options! {
        // What a cluster holds may be large, and is not hostile.
        budget: None,
        strict_booleans: true,
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)?;
    if documents.iter().all(|it| !it.is_object()) {
        bail!("there is no object in it");
    }
    Ok(documents)
}

#[cfg(test)]
mod tests;
