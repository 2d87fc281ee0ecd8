//! Lists and watches the objects of a namespace.
//!
//! An object that is deleted counts for some seconds more, and until there is
//! [evidence](super::declared) that it was deleted alone.

use std::collections::BTreeMap;
use std::time::Duration;

use proto_types::RawObject;
use proto_types::evidence::Ruling;
use runtime::{Event, FailureCause, Limits, Scope, Watcher};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::definition::{crd, not_served, recorded};
use super::{Known, Set};
use crate::config::{ObjectKind, ObjectPlace, RecordKey};

/// Interval between attempts to read what is not served. The CRD may come at any time.
const RETRY: Duration = Duration::from_secs(10);

/// Watcher of objects.
pub(super) struct Watch {
    kind: ObjectKind,
    client: kube::Client,
    scope: Scope,
    reader: Watcher,
    /// UID of the CRD, as it was before the watcher began.
    crd: Option<Box<str>>,
    /// Record of the Sources that were declared before a restart, until it is read.
    record: Option<RecordKey>,
    set: watch::Sender<Set>,
}

/// An object, as the API server writes it.
#[derive(Deserialize)]
struct Document {
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    creation_timestamp: String,
}

impl Watch {
    /// Watcher of a place, and what it reads.
    pub(super) fn new(
        client: kube::Client,
        place: &ObjectPlace,
        record: Option<RecordKey>,
    ) -> (Self, watch::Receiver<Set>) {
        let (set, read) = watch::channel(Set {
            is_recalled: record.is_none(),
            ..Set::default()
        });
        let scope = Scope {
            resource: place.kind.names(),
            namespace: Some(place.namespace.to_string()),
            selector: place.selector.clone(),
        };
        let watch = Self {
            kind: place.kind,
            reader: reader(&client, &scope),
            client,
            scope,
            crd: None,
            record,
            set,
        };
        (watch, read)
    }

    /// Reads indefinitely.
    pub(super) async fn run(mut self) {
        self.recall().await;
        self.read_crd().await;
        let mut recall_at = Instant::now() + RETRY;
        loop {
            let recall = self.record.as_ref().map(|_| recall_at);
            let due = self.set.borrow().declared.due();
            tokio::select! {
                event = self.reader.next() => {
                    let is_list = matches!(event, Event::Listed(_));
                    self.take(event);
                    if is_list {
                        self.read_crd().await;
                    }
                }
                () = at(due) => self.evaluate().await,
                () = at(recall) => {
                    self.recall().await;
                    recall_at = Instant::now() + RETRY;
                }
            }
        }
    }

    /// Reads the record of the Sources that were declared before a restart.
    async fn recall(&mut self) {
        let Some(key) = &self.record else {
            return;
        };
        match recorded(&self.client, self.kind, key).await {
            Ok(text) => {
                self.record = None;
                self.set.send_modify(|it| {
                    it.declared.recall(&text);
                    it.is_recalled = true;
                    if let Some(objects) = it.objects.take() {
                        it.note_missing(&objects);
                        it.objects = Some(objects);
                    }
                });
            }
            Err(why) => self.fails(Some(why)),
        }
    }

    /// Reads which CRD is served. What was listed under another one is no evidence.
    async fn read_crd(&mut self) {
        if let Ok(uid) = crd(&self.client, self.kind).await {
            self.serves(uid);
        }
    }

    fn serves(&mut self, uid: Box<str>) {
        if self.crd.as_ref() != Some(&uid) {
            self.crd = Some(uid);
            self.reader = reader(&self.client, &self.scope);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Listed(listing) => {
                let found = listing.objects.iter();
                let found = found.filter_map(|it| read(self.kind, it));
                let found: BTreeMap<_, _> = found.collect();
                self.list(found, listing.ruling);
            }
            Event::Applied(object) => {
                if let Some((name, known)) = read(self.kind, &object) {
                    self.set.send_modify(|it| {
                        it.declared.seen(&name, self.crd.as_deref());
                        it.objects.get_or_insert_default().insert(name, known);
                    });
                }
            }
            Event::Deleted(object) => self.set.send_modify(|it| {
                it.declared.missing(object.key.name(), Instant::now());
            }),
            Event::Connected => self.fails(None),
            Event::Progress(_) => {}
            Event::Failed(failure) => match &failure.cause {
                // A watch that ends is opened again at once.
                FailureCause::Cut(_) | FailureCause::Brief => {}
                FailureCause::NotServed(_) => self.fails(Some(not_served(self.kind))),
                _ => {
                    let name = self.kind.names().qualified;
                    self.fails(Some(format!("cannot read {name}: {failure}")));
                }
            },
        }
    }

    fn list(&self, mut found: BTreeMap<Box<str>, Known>, ruling: Ruling) {
        self.set.send_modify(|it| {
            for name in found.keys() {
                it.declared.seen(name, self.crd.as_deref());
            }
            if matches!(ruling, Ruling::Replace | Ruling::Rewound) {
                it.note_missing(&found);
            }
            let before = it.objects.take().unwrap_or_default();
            for (name, known) in before {
                found.entry(name).or_insert(known);
            }
            it.error = None;
            it.objects = Some(found);
        });
    }

    fn fails(&self, error: Option<String>) {
        let plural = self.kind.plural();
        self.set.send_if_modified(|it| {
            if it.error == error {
                return false;
            }
            match &error {
                Some(why) => warn!(why, "{plural} cannot be read; those that were read stay"),
                None => info!("{plural} are read again"),
            }
            it.error = error;
            true
        });
    }

    /// Judges the objects that are missing, if the CRD can be read.
    async fn evaluate(&mut self) {
        let uid = match crd(&self.client, self.kind).await {
            Ok(uid) => uid,
            Err(why) => {
                self.fails(Some(why));
                self.set
                    .send_modify(|it| it.declared.postpone(Instant::now()));
                return;
            }
        };
        self.fails(None);
        let plural = self.kind.plural();
        self.set.send_modify(|it| {
            let (deleted, held) = it.declared.evaluate(&uid, Instant::now());
            if !deleted.is_empty() {
                info!(
                    names = deleted.join(", "),
                    "{plural} were deleted, or are not selected any more"
                );
            }
            if !held.is_empty() {
                let names = held.join(", ");
                warn!(
                    names,
                    "{plural} are missing since the CRD was replaced; they stay in effect"
                );
            }
            if let Some(objects) = &mut it.objects {
                objects.retain(|name, _| !deleted.contains(name));
            }
        });
        self.serves(uid);
    }
}

fn reader(client: &kube::Client, scope: &Scope) -> Watcher {
    let limits = Limits {
        longest_delay: RETRY,
        ..Limits::default()
    };
    Watcher::new(client.clone(), scope.clone(), limits)
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

pub(super) fn read(kind: ObjectKind, object: &RawObject) -> Option<(Box<str>, Known)> {
    let document: Document = serde_json::from_slice(&object.json).ok()?;
    let known = Known {
        uid: object.uid.clone(),
        resource_version: document.metadata.resource_version,
        generation: document.metadata.generation,
        created: document.metadata.creation_timestamp,
        spec: kind.spec(document.spec, &document.status),
        status: match kind {
            ObjectKind::Source => document.status,
            ObjectKind::ClusterProfile => Value::Null,
        },
    };
    Some((object.key.name().into(), known))
}
