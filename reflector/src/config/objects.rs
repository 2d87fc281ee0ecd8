//! Sources that are objects of the local cluster: the CustomResourceDefinition `Source`.
//!
//! An object can be wrong, or go badly together with the others. Neither stops another
//! source: the object is refused, its condition names the reason, and the spec that was in
//! effect before stays in effect.

use std::path::{Component, Path, PathBuf};

use proto_types::name::DnsLabel;
use proto_types::resource::Names;
use reflector_planner::SourceName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::file::RemovedSources;
use super::schema::Label;
use super::{Args, Error, Origin, SourceEntry};

/// Names of the resource.
pub(crate) const NAMES: Names = Names {
    plural: "sources",
    singular: "source",
    short: Some("hsrc"),
    kind: "Source",
    group: "heliograph.dev",
    api_version: "heliograph.dev/v1alpha1",
    root: "/apis/heliograph.dev/v1alpha1",
    qualified: "sources.heliograph.dev",
    object_head: r#"{"kind":"Source","apiVersion":"heliograph.dev/v1alpha1","#,
};

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

/// Sources, as the API server has them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoundSources {
    /// The objects, the oldest first; `None` before they are known.
    pub objects: Option<Vec<SourceObject>>,
    /// Reason why they cannot be read now.
    pub error: Option<String>,
    /// Sources that are missing without evidence that they were deleted.
    pub held: Vec<Box<str>>,
    /// `true` if a source may exist that is not among the objects.
    pub lacks_some: bool,
}

/// A Source, as far as it says how a cluster is read.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceObject {
    /// Name, of the object and of the source.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Box<str>,
    /// Generation of the spec.
    pub generation: i64,
    /// The spec.
    pub spec: Value,
    /// The spec that was accepted last.
    pub former: Option<Former>,
    /// Reason why the former spec is to be used.
    pub refused: Option<Refusal>,
}

/// A spec that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Former {
    /// Its generation.
    pub generation: i64,
    /// The spec.
    pub spec: Value,
}

/// Decision on a Source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The object.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Box<str>,
    /// Generation of the spec that was decided on.
    pub generation: i64,
    /// Reason why that spec is not in effect.
    pub refusal: Option<Refusal>,
    /// Generation of the spec that is in effect.
    pub in_effect: Option<i64>,
}

/// Reason why a spec is not in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// For machines.
    pub reason: &'static str,
    /// For people: the field and the remedy.
    pub message: String,
}

/// A source of that name is configured elsewhere.
const NAME_TAKEN: &str = "NameTaken";
/// A value is wrong.
const INVALID: &str = "Invalid";
/// A file is named that may not be named.
const FILE_REFUSED: &str = "FileNotAllowed";
/// The spec alone is valid, but not with the others.
const INCOMPATIBLE: &str = "Incompatible";

/// All Sources at once go by accident, as with the CRD.
const NONE_LEFT: &str = "sourcesFromCRD: there is no Source, and with removedSources: delete the \
     mirrors of all of them would be deleted: they stay; remove sourcesFromCRD to delete them";

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
    /// Returns what flags say of the Sources, and what is known of these.
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

    /// Adds what the file says; flags take precedence.
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
        self.found.note(removed_sources, notes);
        let mut verdicts = Vec::new();
        for object in self.found.objects.iter().flatten() {
            let current = match object.refused.clone() {
                None => self.entry(place, object, &object.spec, entries),
                Some(refusal) => Err(refusal),
            };
            let mut verdict = object.verdict();
            match current {
                Ok(entry) => entries.push(entry),
                Err(refusal) => {
                    let former = object.former.as_ref().filter(|_| refusal.keeps_former());
                    let former = former.and_then(|it| {
                        let entry = self.entry(place, object, &it.spec, entries).ok()?;
                        Some((it.generation, entry))
                    });
                    verdict.in_effect = former.as_ref().map(|(generation, _)| *generation);
                    entries.extend(former.map(|(_, entry)| entry));
                    verdict.refusal = Some(refusal);
                }
            }
            verdicts.push(verdict);
        }
        verdicts
    }

    /// Returns whether a source may exist that is not among the entries.
    pub(super) fn lacks_some(&self, verdicts: &[Verdict]) -> bool {
        let is_missing = |it: &Verdict| {
            it.in_effect.is_none() && it.refusal.as_ref().is_some_and(Refusal::keeps_former)
        };
        let is_unknown = self.found.objects.as_ref().is_none_or(Vec::is_empty);
        let lacks_some = is_unknown || self.found.lacks_some;
        self.place.is_some() && (lacks_some || verdicts.iter().any(is_missing))
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
        if others.iter().any(|it| it.name == name) {
            return Err(Refusal {
                reason: NAME_TAKEN,
                message: format!(
                    "a source {name} is configured by a flag, a file or a ConfigMap, which takes \
                     precedence; rename the Source, or remove the other one"
                ),
            });
        }
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
        self.check(&entry).map_err(invalid)?;
        Ok(entry)
    }

    /// Checks what needs no other source.
    fn check(&self, entry: &SourceEntry) -> Result<(), String> {
        if entry.name.as_str() == "local" {
            return Err("metadata.name: local is reserved; rename the Source".to_owned());
        }
        let all = || {
            entry.clone().check()?;
            entry.imported()?;
            entry.called()?;
            entry.exceptions()?;
            if !self.allows_plain_http {
                entry.check_secrets()?;
            }
            Ok::<(), super::InvalidSource>(())
        };
        all().map_err(|why| format!("spec: {why}"))
    }
}

impl FoundSources {
    fn note(&self, removed_sources: RemovedSources, notes: &mut Vec<String>) {
        match (&self.error, &self.objects) {
            (Some(why), _) => notes.push(format!("sourcesFromCRD: {why}")),
            (None, None) => notes.push(format!("sourcesFromCRD: no {} read", NAMES.qualified)),
            (None, Some(objects)) => {
                if objects.is_empty() && removed_sources == RemovedSources::Delete {
                    notes.push(NONE_LEFT.to_owned());
                }
            }
        }
        if !self.held.is_empty() {
            let names = self.held.join(", ");
            notes.push(format!(
                "sourcesFromCRD: missing since the CRD was replaced, not deleted: {names}; their \
                 mirrors stay: create these Sources again, and delete those that you do not need"
            ));
        }
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

fn invalid(message: String) -> Refusal {
    let reason = INVALID;
    Refusal { reason, message }
}

impl Refusal {
    /// For a spec that does not go together with the others.
    pub(super) const fn incompatible(message: String) -> Self {
        let reason = INCOMPATIBLE;
        Self { reason, message }
    }

    /// Returns whether what was in effect before stays in effect. A source of the same name
    /// that is configured elsewhere replaces it.
    fn keeps_former(&self) -> bool {
        self.reason != NAME_TAKEN
    }
}

impl Verdict {
    /// Notes that the spec does not go together with the others.
    pub(super) fn refuse(&mut self, message: &str) {
        self.in_effect = None;
        if self.refusal.is_none() {
            self.refusal = Some(Refusal::incompatible(format!("spec: {message}")));
        }
    }

    /// Returns a warning about a spec that is not in effect.
    pub(super) fn note(&self) -> Option<String> {
        let Self {
            name, in_effect, ..
        } = self;
        let refusal = self.refusal.as_ref()?;
        let rest = match in_effect {
            Some(generation) => format!("generation {generation} stays in effect"),
            None if refusal.keeps_former() => "its mirrors stay".to_owned(),
            None => "it has no effect".to_owned(),
        };
        let message = &refusal.message;
        Some(format!("Source {name} is not accepted, {rest}: {message}"))
    }
}

impl SourceObject {
    fn verdict(&self) -> Verdict {
        Verdict {
            name: self.name.clone(),
            uid: self.uid.clone(),
            generation: self.generation,
            refusal: None,
            in_effect: Some(self.generation),
        }
    }
}

#[cfg(test)]
mod tests;
