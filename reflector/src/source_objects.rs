//! Objects of the local cluster that are sources: reads them, hands them to the configuration, and
//! writes the status of those of the CRD `Source`.
//!
//! ```text
//!  API server ─▶ watch ─▶ Set ─▶ reload (Config) ─▶ Verdicts ─▶ publish ─▶ API server
//!                          └────────────────────────────────────▶│
//!                                     controller (Status) ───────┘
//! ```

mod conditions;
mod declared;
mod definition;
mod propagation;
mod publish;
mod record;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::time::Duration;

use proto_types::RawObject;
use reflector_planner::Index;
use runtime::Tasks;
use serde_json::Value;
use tokio::sync::watch as channel;
use tokio::time::Instant;

use crate::config::{
    Args, Former, FoundSources, ObjectKind, ObjectPlace, RecordKey, SourceObject, Verdict,
};
use crate::queries::{Mirrored, QueryChannels};
use crate::write::Writer;

use declared::Declared;
use publish::Publisher;
use watch::Watch;

/// Sources as the API server has them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Set {
    /// By name; `None` before they are read.
    objects: Option<BTreeMap<Box<str>, Known>>,
    /// Reason why they cannot be read now.
    error: Option<String>,
    /// Declared deletions.
    declared: Declared,
    /// `true` if the deletions that were declared before a restart are known.
    is_recalled: bool,
}

/// One Source.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    uid: Box<str>,
    resource_version: String,
    generation: i64,
    /// Time of its creation, as the API server writes it.
    created: String,
    spec: Value,
    status: Value,
}

/// Sources that are objects of one kind, for the configuration.
pub(crate) struct SourceObjects {
    place: ObjectPlace,
    set: channel::Receiver<Set>,
    seen: FoundSources,
    /// Specs that were accepted last, by UID.
    accepted: HashMap<Box<str>, Former>,
    verdicts: channel::Sender<Vec<Verdict>>,
}

/// A start without Sources would leave their mirrors without updates.
const AT_START: Duration = Duration::from_secs(10);

impl SourceObjects {
    /// Begins to read the objects of a place, and waits until they are read or cannot be.
    pub(crate) async fn start(
        client: kube::Client,
        (place, record): (ObjectPlace, Option<RecordKey>),
        tasks: &mut Tasks,
    ) -> Self {
        let (watch, mut set) = Watch::new(client, &place, record);
        let shutdown = tasks.shutdown().clone();
        tasks.spawn(place.kind.plural(), async move {
            tokio::select! {
                () = watch.run() => {}
                () = shutdown.cancelled() => {}
            }
            Ok::<(), Infallible>(())
        });
        let is_read = |it: &Set| it.objects.is_some() || it.error.is_some();
        let _ = tokio::time::timeout(AT_START, set.wait_for(is_read)).await;
        Self {
            place,
            set,
            seen: FoundSources::default(),
            accepted: HashMap::new(),
            verdicts: channel::Sender::new(Vec::new()),
        }
    }

    /// Writes the record of the objects from now on, and the status of Sources.
    pub(crate) fn publish(
        &self,
        record: Option<RecordKey>,
        (writer, questions): (Writer, QueryChannels),
        tasks: &mut Tasks,
    ) {
        let shutdown = tasks.shutdown().clone();
        if self.place.kind == ObjectKind::ClusterProfile {
            let recording = record::run(record, self.set.clone(), writer);
            tasks.spawn("record of ClusterProfiles", async move {
                tokio::select! {
                    () = recording => shutdown.cancelled().await,
                    () = shutdown.cancelled() => {}
                }
                Ok::<(), Infallible>(())
            });
            return;
        }
        let namespace = self.place.namespace.as_str();
        let parts = (self.set.clone(), self.verdicts.subscribe());
        let publisher = Publisher::new((namespace, record), parts, writer, questions);
        tasks.spawn("status of sources", async move {
            tokio::select! {
                () = publisher.run() => {}
                () = shutdown.cancelled() => {}
            }
            Ok::<(), Infallible>(())
        });
    }

    /// Returns whether there is something that [`fill`](Self::fill) did not have before.
    pub(crate) fn has_changed(&mut self) -> bool {
        if !self.set.has_changed().unwrap_or(false) {
            return false;
        }
        let set = self.set.borrow_and_update();
        let now = set.found(&self.accepted);
        drop(set);
        let is_new = now != self.seen;
        self.seen = now;
        is_new
    }

    /// Hands the Sources to a configuration.
    pub(crate) fn fill(&mut self, args: &mut Args) {
        let set = self.set.borrow_and_update();
        self.seen = set.found(&self.accepted);
        drop(set);
        args.found(self.place.kind).clone_from(&self.seen);
    }

    /// Hands other specs of the objects to a configuration.
    pub(crate) fn fill_with(&self, objects: Vec<SourceObject>, args: &mut Args) {
        args.found(self.place.kind).objects = Some(objects);
    }

    /// Returns the Sources with the specs that were accepted before, for those that were
    /// refused and have none in effect; `None` if there are none of these.
    pub(crate) fn with_former(&self, verdicts: &[Verdict]) -> Option<Vec<SourceObject>> {
        let mut objects = self.seen.objects.clone()?;
        let mut is_other = false;
        for object in &mut objects {
            let verdict = verdicts.iter().find(|it| it.uid == object.uid);
            let verdict = verdict.filter(|it| it.in_effect.is_none());
            if let Some(verdict) = verdict.filter(|_| object.former.is_some()) {
                object.refused.clone_from(&verdict.refusal);
                is_other = true;
            }
        }
        is_other.then_some(objects)
    }

    /// Takes note of what became of the Sources.
    pub(crate) fn decided(&mut self, verdicts: &[Verdict]) {
        let objects = self.seen.objects.iter().flatten();
        let find = |object: &SourceObject| verdicts.iter().find(|it| it.uid == object.uid);
        let mut accepted = HashMap::new();
        for object in objects {
            let is_accepted = find(object).is_some_and(|it| it.refusal.is_none());
            let current = || Former {
                generation: object.generation,
                spec: object.spec.clone(),
            };
            let former = if is_accepted {
                Some(current())
            } else {
                object.former.clone()
            };
            accepted.extend(former.map(|it| (object.uid.clone(), it)));
        }
        self.accepted = accepted;
        self.verdicts.send_if_modified(|it| {
            let is_new = *it != verdicts;
            verdicts.clone_into(it);
            is_new
        });
    }
}

impl Set {
    /// Returns its objects for the configuration.
    fn found(&self, accepted: &HashMap<Box<str>, Former>) -> FoundSources {
        let known = self.objects.as_ref();
        let has_object = |name| known.is_some_and(|it| it.contains_key(name));
        FoundSources {
            objects: objects(self, accepted),
            error: self.error.clone(),
            held: self.declared.held().iter().cloned().collect(),
            lacks_some: !self.is_recalled || !self.declared.names().all(has_object),
        }
    }

    /// Returns what is to be recorded; `None` before the former record is read.
    fn record(&self) -> Option<String> {
        self.is_recalled.then(|| self.declared.record())
    }

    /// Notes which Sources are missing in a list.
    fn note_missing(&mut self, list: &BTreeMap<Box<str>, Known>) {
        let declared: Vec<_> = self.declared.names().cloned().collect();
        for name in declared.iter().filter(|it| !list.contains_key(*it)) {
            self.declared.missing(name, Instant::now());
        }
    }
}

/// Returns objects of a file for the configuration.
pub(crate) fn found<'a>(
    kind: ObjectKind,
    read: impl Iterator<Item = &'a RawObject>,
) -> FoundSources {
    let known: BTreeMap<_, _> = read.filter_map(|it| watch::read(kind, it)).collect();
    let set = Set {
        objects: (!known.is_empty()).then_some(known),
        is_recalled: true,
        ..Set::default()
    };
    set.found(&HashMap::new())
}

/// Returns the Sources, the oldest first, so that a new one displaces none.
fn objects(set: &Set, accepted: &HashMap<Box<str>, Former>) -> Option<Vec<SourceObject>> {
    let mut all: Vec<_> = set.objects.as_ref()?.iter().collect();
    all.sort_by(|(name, it), (other_name, other)| {
        (&it.created, name).cmp(&(&other.created, other_name))
    });
    let objects = all.into_iter().map(|(name, known)| {
        let former = accepted.get(&known.uid);
        SourceObject {
            name: name.clone(),
            uid: known.uid.clone(),
            generation: known.generation,
            spec: known.spec.clone(),
            former: former.filter(|it| it.spec != known.spec).cloned(),
            refused: None,
        }
    });
    Some(objects.collect())
}

/// Counts the mirror Services of each source.
pub(crate) fn mirrored(index: &Index) -> Mirrored {
    let mut mirrored = Mirrored::new();
    for (_, service) in index.local().services() {
        if let Some(source) = &service.owner.source {
            *mirrored.entry(source.as_str().into()).or_default() += 1;
        }
    }
    mirrored
}

#[cfg(test)]
mod tests;
