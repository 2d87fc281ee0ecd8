//! Sources that are objects of the local cluster: the CustomResourceDefinition `Source`.
//!
//! A refused object has a condition with the reason.

use std::path::{Component, Path, PathBuf};

use proto_types::LabelSelector;
use proto_types::name::DnsLabel;
use reflector_planner::SourceName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::decision::{FILE_REFUSED, check_alone, check_free, invalid};
use super::file::RemovedSources;
use super::schema::Label;
use super::{
    Args, Error, FoundSources, ObjectKind, ObjectPlace, Origin, Refusal, SourceEntry, SourceObject,
    Verdict,
};

const KIND: ObjectKind = ObjectKind::Source;

/// Keys of a source of the file that a Source does not have, and what to do instead.
pub(super) const NOT_IN_OBJECTS: [(&str, &str); 3] = [
    ("name", "the name of the object is the name of the source"),
    ("context", "make it the current one of the kubeconfig"),
    ("tokenVariable", "use tokenFile"),
];

/// Returns whether a key names a file of the reflector.
fn names_file(key: &str) -> bool {
    key == "kubeconfig" || key.ends_with("File")
}

/// A file's `sourcesFromCRD`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "SourcesFromCRD")]
pub struct SourcesFromCrd {
    /// Namespace of the Sources; default: the namespace of the pod.
    #[schemars(with = "Option<Label>")]
    pub namespace: Option<DnsLabel>,
    /// Directory below which Sources may name files. A user who may write Sources can send any
    /// token in it to any server. Without it, Sources name no files.
    pub file_directory: Option<PathBuf>,
}

/// Sources of the CRD, as a configuration takes them in.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Place of the objects, if they are read.
    pub(super) place: Option<SourcesFromCrd>,
    file_directory: Option<PathBuf>,
    found: FoundSources,
    /// `true` if credentials may be sent unencrypted.
    allows_plain_http: bool,
}

impl Objects {
    /// Returns the settings of the flags about Sources, with the objects read so far.
    pub(super) fn of(args: &Args) -> Result<Self, Error> {
        let place = match args.sources_from_crd.as_deref() {
            None => None,
            Some("") => Some(SourcesFromCrd::default()),
            Some(text) => {
                let namespace = text.parse();
                let namespace =
                    namespace.map_err(|_| Error::NamespaceOfSources(text.to_owned()))?;
                Some(SourcesFromCrd {
                    namespace: Some(namespace),
                    file_directory: None,
                })
            }
        };
        Ok(Self {
            place,
            file_directory: args.source_file_directory.clone(),
            found: args.source_objects.clone(),
            allows_plain_http: args.allow_plain_http,
        })
    }

    /// Adds the settings of the file; flags take precedence.
    pub(super) fn at(mut self, file: Option<SourcesFromCrd>) -> Result<Self, Error> {
        let flag = self.place.take();
        if file.is_none() && flag.is_none() {
            return Ok(self);
        }
        let (file, flag) = (file.unwrap_or_default(), flag.unwrap_or_default());
        let own = || super::check::own_namespace()?.parse().ok();
        let namespace = flag.namespace.or(file.namespace).or_else(own);
        self.place = Some(SourcesFromCrd {
            namespace: Some(namespace.ok_or(Error::NoNamespaceOfSources)?),
            file_directory: self.file_directory.take().or(file.file_directory),
        });
        Ok(self)
    }

    /// Returns the objects that are read.
    pub(super) fn place(&self) -> Option<ObjectPlace> {
        let namespace = self.place.as_ref()?.namespace.clone()?;
        Some(ObjectPlace {
            kind: KIND,
            namespace,
            selector: LabelSelector::default(),
        })
    }

    /// Adds a source for each valid object, and returns the decisions.
    pub(super) fn add(
        &self,
        removed_sources: RemovedSources,
        entries: &mut Vec<SourceEntry>,
        notes: &mut Vec<String>,
    ) -> Vec<Verdict> {
        let Some(place) = &self.place else {
            return Vec::new();
        };
        self.found.note(KIND, removed_sources, notes);
        let entry = |object: &_, spec: &_, others: &_| self.entry(place, object, spec, others);
        self.found.decide(KIND, entries, entry)
    }

    /// Returns whether a source may exist that is not among the entries.
    pub(super) fn lacks_some(&self) -> bool {
        self.place.is_some() && self.found.lacks_some()
    }

    fn entry(
        &self,
        place: &SourcesFromCrd,
        object: &SourceObject,
        spec: &Value,
        others: &[SourceEntry],
    ) -> Result<SourceEntry, Refusal> {
        let name = object.name.parse::<SourceName>();
        let name =
            name.map_err(|why| invalid(format!("metadata.name: {why}; rename the Source")))?;
        check_free(&name, others, || {
            format!(
                "a source {name} is configured by a flag, a file or a ConfigMap, which takes \
                 precedence; rename the Source, or remove the other one"
            )
        })?;
        let mut spec = spec.as_object().cloned().unwrap_or_default();
        // An absent key and null are the same.
        spec.retain(|_, value| !value.is_null());
        check_keys(place, &spec)?;
        spec.insert("name".to_owned(), name.as_str().into());
        let entry = SourceEntry::deserialize(Value::Object(spec));
        let entry = entry.map_err(|why| invalid(format!("spec: {why}")))?;
        let entry = SourceEntry {
            origin: Origin::Found,
            is_inline: true,
            ..entry
        };
        let checked = check_alone(&entry, self.allows_plain_http);
        checked.map_err(|(is_name, why)| match is_name {
            true => invalid(format!("metadata.name: {why}; rename the Source")),
            false => invalid(format!("spec: {why}")),
        })?;
        Ok(entry)
    }
}

/// Refuses keys that a Source does not have, and files that it may not name.
fn check_keys(place: &SourcesFromCrd, spec: &Map<String, Value>) -> Result<(), Refusal> {
    for (key, remedy) in NOT_IN_OBJECTS {
        if spec.contains_key(key) {
            return Err(invalid(format!("spec.{key} is not possible: {remedy}")));
        }
    }
    for (key, value) in spec.iter().filter(|(key, _)| names_file(key)) {
        let Some(path) = value.as_str() else {
            continue;
        };
        let remedy = match &place.file_directory {
            None => "Sources may not name files of the reflector: name no file, or set \
                 sourcesFromCRD.fileDirectory"
                .to_owned(),
            Some(directory) if is_below(Path::new(path), directory) => continue,
            Some(directory) => format!(
                "Sources may name files below {} only: move the file there",
                directory.display()
            ),
        };
        return Err(Refusal {
            reason: FILE_REFUSED,
            message: format!("spec.{key}: {path:?}: {remedy}"),
        });
    }
    Ok(())
}

/// Returns whether a path leads below a directory, whatever is there.
fn is_below(path: &Path, directory: &Path) -> bool {
    let mut rest = path.strip_prefix(directory).into_iter();
    let is_plain = |it: Component<'_>| matches!(it, Component::Normal(_));
    rest.any(|rest| rest.components().next().is_some() && rest.components().all(is_plain))
}

#[cfg(test)]
mod tests;
