//! Namespaces of a source that are opted out by their labels.
//!
//! Services of a source are not used before that is known: an opted-out Service would exist in the
//! local cluster for a moment. A source that serves no namespaces, such as an emitter, excludes
//! them by its selector.

use std::collections::BTreeSet;

use proto_types::label::{NOT_REPLICATED, SYNDICATE_LABEL};
use proto_types::resource::NAMESPACES;
use proto_types::{LabelSelector, RawObject};
use reflector_planner::{SourceName, Update};
use runtime::{Event, Failure, FailureCause, Scope, Watcher};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::endpoints_api::lacks_namespaces;
use super::{ConnectionState, InformerEvent, WatchTarget};

/// Follows a source's namespaces.
pub(crate) struct OptOuts {
    feed: WatchTarget,
    source: SourceName,
    reader: Watcher,
    client: kube::Client,
    namespaces: BTreeSet<Box<str>>,
    /// Error for which they are not watched now.
    lost: Option<String>,
}

impl OptOuts {
    /// Returns the scope: namespaces that opt out.
    pub(crate) fn scope() -> Scope {
        let selector = format!("{SYNDICATE_LABEL}={NOT_REPLICATED}");
        let selector: Result<LabelSelector, _> = selector.parse();
        Scope {
            resource: &NAMESPACES,
            namespace: None,
            selector: selector.expect("a label and its value are a selector"),
        }
    }

    /// Those of a source, for the watch of its Services.
    pub(crate) fn new(
        feed: WatchTarget,
        source: SourceName,
        reader: Watcher,
        client: kube::Client,
    ) -> Self {
        Self {
            feed,
            source,
            reader,
            client,
            namespaces: BTreeSet::new(),
            lost: None,
        }
    }

    /// Watches until the receiver is dropped. Raises `known` at the first list.
    pub(crate) async fn follow(
        mut self,
        sender: mpsc::Sender<InformerEvent>,
        known: watch::Sender<bool>,
    ) {
        loop {
            let event = tokio::select! {
                event = self.reader.next() => event,
                () = sender.closed() => return,
            };
            let is_known = *known.borrow();
            let heard = match self.handle(event) {
                // Only a source that serves no namespaces has none that opt out.
                OptOutEvent::Failure(failure)
                    if !is_known
                        && matches!(failure.cause, FailureCause::NotServed(_))
                        && lacks_namespaces(&self.client).await =>
                {
                    OptOutEvent::Namespaces
                }
                heard => heard,
            };
            let news = match heard {
                OptOutEvent::Namespaces => self.event(),
                OptOutEvent::Nothing => continue,
                OptOutEvent::Failure(failure) if is_known => {
                    self.note(Some(failure.to_string()));
                    continue;
                }
                OptOutEvent::Failure(failure) => self.feed.lost(failure),
            };
            let is_told = news.update.as_ref();
            let is_told = is_told.is_some_and(|it| matches!(it, Update::OptedOut(..)));
            if sender.send(news).await.is_err() {
                return;
            }
            if is_told {
                self.note(None);
                known.send_replace(true);
            }
        }
    }

    fn handle(&mut self, event: Event) -> OptOutEvent {
        match event {
            Event::Listed(listing) => {
                if listing.ruling.absences_count() {
                    self.namespaces.clear();
                }
                self.namespaces.extend(listing.objects.iter().map(name));
            }
            Event::Applied(object) => {
                self.namespaces.insert(name(&object));
            }
            Event::Deleted(object) => {
                self.namespaces.remove(&name(&object));
            }
            Event::Progress(_) | Event::Connected => return OptOutEvent::Nothing,
            Event::Failed(failure) => match failure.cause {
                FailureCause::Cut(_) | FailureCause::Brief => return OptOutEvent::Nothing,
                _ => return OptOutEvent::Failure(failure),
            },
        }
        OptOutEvent::Namespaces
    }

    fn event(&self) -> InformerEvent {
        let (source, namespaces) = (self.source.clone(), self.namespaces.clone());
        InformerEvent {
            feed: self.feed.clone(),
            sign: ConnectionState::Unrelated,
            update: Some(Update::OptedOut(source, namespaces)),
        }
    }

    /// Says once that they are not followed, and once that they are again.
    fn note(&mut self, lost: Option<String>) {
        let source = &self.source;
        match (&lost, &self.lost) {
            (Some(why), None) => warn!(
                %source,
                why, "cannot tell which namespaces opt out; those known before still do"
            ),
            (None, Some(_)) => info!(%source, "which namespaces opt out is known again"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.lost = lost;
    }
}

enum OptOutEvent {
    Namespaces,
    Nothing,
    Failure(Failure),
}

fn name(namespace: &RawObject) -> Box<str> {
    namespace.key.name().into()
}
