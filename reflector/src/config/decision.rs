//! Decisions on objects of the local cluster that are sources.
//!
//! An object can be wrong, or go badly together with the others. Neither stops another
//! source: the object is refused with a reason, and the spec that was in effect before stays in
//! effect.

use reflector_planner::SourceName;
use serde_json::Value;

use super::file::RemovedSources;
use super::{ObjectKind, SourceEntry};

/// Objects of one kind, as the API server has them.
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

/// An object, as far as it describes the access to a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceObject {
    /// Its name.
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

/// Decision on an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Name of the source.
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

/// There is another source of that name, which takes precedence.
const NAME_TAKEN: &str = "NameTaken";
/// A value is wrong.
const INVALID: &str = "Invalid";
/// A file is named that may not be named.
pub(super) const FILE_REFUSED: &str = "FileNotAllowed";
/// The spec alone is valid, but not with the others.
const INCOMPATIBLE: &str = "Incompatible";

impl FoundSources {
    /// Adds a source for each valid object, and returns the decisions.
    pub(super) fn decide(
        &self,
        kind: ObjectKind,
        entries: &mut Vec<SourceEntry>,
        entry: impl Fn(&SourceObject, &Value, &[SourceEntry]) -> Result<SourceEntry, Refusal>,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for object in self.objects.iter().flatten() {
            let current = match object.refused.clone() {
                None => entry(object, &object.spec, entries),
                Some(refusal) => Err(refusal),
            };
            let mut verdict = object.verdict(kind);
            let accepted = match current {
                Ok(entry) => Some(entry),
                Err(refusal) => {
                    let former = object.former.as_ref().filter(|_| refusal.keeps_former());
                    let former = former.and_then(|it| {
                        let entry = entry(object, &it.spec, entries).ok()?;
                        Some((it.generation, entry))
                    });
                    verdict.in_effect = former.as_ref().map(|(generation, _)| *generation);
                    verdict.refusal = Some(refusal);
                    former.map(|(_, entry)| entry)
                }
            };
            if let Some(entry) = accepted {
                verdict.name = entry.name.as_str().into();
                entries.push(entry);
            }
            verdicts.push(verdict);
        }
        verdicts
    }

    /// Returns whether an object may exist that is not known.
    pub(super) fn lacks_some(&self) -> bool {
        self.objects.as_ref().is_none_or(Vec::is_empty) || self.lacks_some
    }

    /// Adds warnings about objects that are not read, missing or held.
    pub(super) fn note(
        &self,
        kind: ObjectKind,
        removed_sources: RemovedSources,
        notes: &mut Vec<String>,
    ) {
        let (key, plural) = (kind.key(), kind.plural());
        match (&self.error, &self.objects) {
            (Some(why), _) => notes.push(format!("{key}: {why}")),
            (None, None) => {
                notes.push(format!("{key}: no {} read", kind.names().qualified));
            }
            // All objects at once go by accident, as with the CRD.
            (None, Some(objects)) => {
                if objects.is_empty() && removed_sources == RemovedSources::Delete {
                    notes.push(format!(
                        "{key}: there is no {}, and with removedSources: delete the mirrors of \
                         all of them would be deleted: they stay; remove {key} to delete them",
                        kind.names().kind
                    ));
                }
            }
        }
        if !self.held.is_empty() {
            let names = self.held.join(", ");
            notes.push(format!(
                "{key}: missing since the CRD was replaced, not deleted: {names}; their mirrors \
                 stay: create these {plural} again, and delete those that you do not need"
            ));
        }
    }
}

/// Refuses an object whose name another source has.
pub(super) fn check_free(
    name: &SourceName,
    others: &[SourceEntry],
    message: impl FnOnce() -> String,
) -> Result<(), Refusal> {
    if others.iter().any(|it| it.name == *name) {
        return Err(Refusal {
            reason: NAME_TAKEN,
            message: message(),
        });
    }
    Ok(())
}

/// Checks what needs no other source. Returns the error and, if it is about the name, `true`.
pub(super) fn check_alone(
    entry: &SourceEntry,
    allows_plain_http: bool,
) -> Result<(), (bool, String)> {
    if entry.name.as_str() == "local" {
        return Err((true, "local is reserved".to_owned()));
    }
    let all = || {
        entry.clone().check()?;
        entry.imported()?;
        entry.called()?;
        entry.exceptions()?;
        if !allows_plain_http {
            entry.check_secrets()?;
        }
        Ok::<(), super::InvalidSource>(())
    };
    all().map_err(|why| (false, why.to_string()))
}

/// Refusal of an object with a wrong value.
pub(super) const fn invalid(message: String) -> Refusal {
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
            let place = match self.kind {
                ObjectKind::Source => "spec",
                ObjectKind::ClusterProfile => "clusterProfiles.defaults",
            };
            self.refusal = Some(Refusal::incompatible(format!("{place}: {message}")));
        }
    }

    /// Returns a warning about a spec that is not in effect.
    pub(super) fn note(&self) -> Option<String> {
        let Self {
            kind,
            name,
            in_effect,
            ..
        } = self;
        let refusal = self.refusal.as_ref()?;
        let rest = match in_effect {
            Some(generation) if *kind == ObjectKind::Source => {
                format!("generation {generation} stays in effect")
            }
            Some(_) => "the former URL stays in effect".to_owned(),
            None if refusal.keeps_former() => "its mirrors stay".to_owned(),
            None => "it has no effect".to_owned(),
        };
        let message = &refusal.message;
        let kind = kind.names().kind;
        Some(format!("{kind} {name} is not accepted, {rest}: {message}"))
    }

    /// Returns whether a source is missing among the entries, of which mirrors may exist.
    pub(super) fn lacks_source(&self) -> bool {
        let refusal = self.refusal.as_ref();
        self.in_effect.is_none() && refusal.is_some_and(Refusal::keeps_former)
    }
}

impl SourceObject {
    fn verdict(&self, kind: ObjectKind) -> Verdict {
        Verdict {
            kind,
            name: self.name.clone(),
            uid: self.uid.clone(),
            generation: self.generation,
            refusal: None,
            in_effect: Some(self.generation),
        }
    }
}
