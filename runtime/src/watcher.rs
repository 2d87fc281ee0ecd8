//! Follows one resource of one cluster: lists it, watches it from there, and
//! does so again whenever the server, or the way to it, fails.
//!
//! [`Watcher`] is a state machine that its owner pulls; nothing runs in between,
//! and there is no queue. Invariants:
//!
//! * Only a [`Listing`] whose ruling allows it, and [`Event::Deleted`], make an object absent.
//! * Resource versions do not go back, except with a [`Listing`] whose ruling is a rewind.
//! * No sequence of responses leads to requests at once without end.

mod budget;
mod comparison;
mod delay;
mod event;
mod failure;
mod formers;
mod identity;
mod limits;
mod objection;
mod options;
mod origin;
mod replica_search;
mod request;
mod retry;
mod server;
mod state;
mod switch;
mod view;
mod watch;

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;

use proto_types::evidence::{Known, Objection, Ruling, evaluate};
use proto_types::{ObjectKey, RawObject, ResourceVersion};

use budget::Held;
use comparison::Comparison;
use delay::Delays;
use objection::{cause_of_objection, cause_of_weakness};
use origin::Origin;
use request::RequestError;
use server::{Page, Server};
use state::{State, Step, WatchStep, news};
use watch::{Watch, WatchItem};

pub use budget::{Amount, Budget};
pub use event::{Event, Listing, Scope};
pub use failure::{Failure, FailureCause, Verb};
pub use formers::MAX_BYTES_OF_ALL as MAX_FORMER_BYTES;
pub use identity::{Accepted, Before, IdentityCheck, ReportedIdentity, ServerHeaders, Verifier};
pub use limits::Limits;

/// Reads one scope, indefinitely.
pub struct Watcher {
    server: Server,
    state: State,
    delays: Delays,
    /// Known identity and position; every event up to the position was returned.
    known: Known,
    /// The last event, to recognize a repetition.
    last: Option<(ResourceVersion, ObjectKey, Discriminant<Event>)>,
    /// `true` if a watch expired, or had another view, since a watch last held.
    has_expired: bool,
    /// The event after the last one.
    pending: Option<Event>,
    /// Objects that were reported and not deleted since, if their memory is limited.
    held: Held,
    comparison: Comparison,
}

impl Watcher {
    /// A watcher of that scope, before its first request.
    #[must_use]
    pub fn new(client: kube::Client, scope: Scope, limits: Limits) -> Self {
        let server = Server {
            verifier: Verifier::new(client.clone(), limits, None),
            client,
            scope: Arc::new(scope),
            limits,
            poll_every: None,
            budget: None,
            formers: Arc::default(),
        };
        Self {
            state: server.clone().begin(Step::List),
            delays: Delays::new(&limits),
            server,
            known: Known::default(),
            last: None,
            has_expired: false,
            pending: None,
            held: Held::default(),
            comparison: Comparison::new(),
        }
    }

    /// Returns the watched scope.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.server.scope
    }

    /// Lists again as soon as the delay allows it, by a new connection. A kube-apiserver
    /// reads with a quorum for it.
    pub fn list_again(&mut self) {
        let step = Step::ListByNewConnection;
        match &mut self.state {
            State::Waiting { then, .. } => *then = step,
            State::Listing { .. } | State::Opening { .. } | State::Watching { .. } => {
                self.begin(step);
            }
        }
    }

    /// The next event. A dropped call loses no event: the next call continues.
    pub async fn next(&mut self) -> Event {
        if let Some(event) = self.pending.take() {
            return event;
        }
        loop {
            let event = match &mut self.state {
                State::Waiting { until, then } => {
                    let then = *then;
                    tokio::time::sleep_until(*until).await;
                    self.begin(then);
                    None
                }
                State::Listing { list } => {
                    let page = list.as_mut().await;
                    self.listed(page)
                }
                State::Opening { watch } => {
                    let watch = watch.as_mut().await;
                    self.opened(watch)
                }
                State::Watching { watch, search } => {
                    let due = self.comparison.due();
                    match news(watch, search.as_mut(), due).await {
                        WatchStep::Item(heard) => self.heard(heard),
                        WatchStep::Found(watch) => self.found(watch),
                        WatchStep::Due => {
                            self.ends();
                            self.comparison.begin();
                            self.begin(Step::List);
                            None
                        }
                    }
                }
            };
            if let Some(event) = event {
                return event;
            }
        }
    }

    fn begin(&mut self, step: Step) {
        self.state = self.server.clone().begin(step);
    }

    /// Decides what an answer may change.
    fn evaluate(&mut self, origin: &Origin) -> Ruling {
        self.known.expected.clone_from(&origin.expected);
        let ruling = evaluate(&self.known, &origin.evidence);
        self.known = self.known.after(&origin.evidence, &ruling);
        ruling
    }

    fn listed(&mut self, page: Result<Page, RequestError>) -> Option<Event> {
        let page = match page {
            Ok(page) => page,
            Err(trouble) if trouble.cause == FailureCause::Expired => {
                return self.expired(Verb::List, FailureCause::Expired);
            }
            Err(trouble) => {
                let step = match trouble.cause {
                    FailureCause::Disconnected(_) => Step::ListByNewConnection,
                    _ => Step::List,
                };
                return self.failed(Verb::List, trouble, step);
            }
        };
        let ruling = self.evaluate(&page.origin);
        let mut is_comparison = false;
        match ruling {
            Ruling::Replace | Ruling::Rewound => {
                self.last = None;
                is_comparison = self.comparison.listed();
                self.held.replace(page.share, &page.objects);
                self.server.formers.lock().listed();
                self.follow(page.revision);
            }
            Ruling::AddOnly(weakness) => {
                self.held.add(page.share, &page.objects);
                let why = cause_of_weakness(weakness, &page.origin.evidence);
                self.pending = self.failed(Verb::List, why.into(), Step::ListByNewConnection);
            }
            Ruling::Ignore(objection) => {
                if objection == Objection::Rewinding && self.known.older == 1 {
                    // The server is reachable; the next watch confirms it.
                    self.delays.reset();
                }
                let why = cause_of_objection(objection, &page.origin.evidence);
                return self.failed(Verb::List, why.into(), Step::ListByNewConnection);
            }
        }
        Some(Event::Listed(Listing {
            revision: page.revision,
            objects: page.objects,
            evidence: page.origin.evidence,
            ruling,
            is_comparison,
        }))
    }

    /// Goes on after a list: by a watch, or by another list where there is nothing to watch
    /// from.
    fn follow(&mut self, from: ResourceVersion) {
        match self.server.poll_every.filter(|_| from.is_zero()) {
            None => self.begin(Step::Watch { from }),
            Some(every) => {
                self.delays.reset();
                self.wait(every, Step::List);
            }
        }
    }

    fn opened(&mut self, watch: Result<Watch, RequestError>) -> Option<Event> {
        let watch = match watch {
            Ok(watch) => watch,
            Err(trouble) if trouble.cause == FailureCause::Expired => {
                return self.expired(Verb::Watch, FailureCause::Expired);
            }
            Err(trouble) => {
                let then = if matches!(
                    trouble.cause,
                    FailureCause::Refused { .. } | FailureCause::Behind(_)
                ) {
                    // It may be the resource version that the server rejects or does not have.
                    Step::List
                } else {
                    self.watch_again()
                };
                return self.failed(Verb::Watch, trouble, then);
            }
        };
        match self.evaluate(watch.origin()) {
            Ruling::Replace | Ruling::Rewound | Ruling::AddOnly(_) => {
                self.comparison
                    .resumed(&self.server.limits, watch.origin().tier);
                self.state = State::watching(Box::new(watch));
                Some(Event::Connected)
            }
            // What left the view in the meantime, its history does not contain.
            Ruling::Ignore(Objection::OtherView) => {
                self.expired(Verb::Watch, FailureCause::OtherView)
            }
            // A server that starts may not report its cluster identity yet. Its history is as good
            // as before, and a list would tell only what came of it.
            Ruling::Ignore(Objection::UnknownCluster) => {
                let why = cause_of_objection(Objection::UnknownCluster, &watch.origin().evidence);
                self.failed(Verb::Watch, why.into(), self.watch_again())
            }
            Ruling::Ignore(objection) => {
                let why = cause_of_objection(objection, &watch.origin().evidence);
                self.failed(Verb::Watch, why.into(), Step::ListByNewConnection)
            }
        }
    }

    fn heard(&mut self, heard: WatchItem) -> Option<Event> {
        match heard {
            WatchItem::Applied(object) => match self.held.apply(&object) {
                Ok(()) => self.applied(object),
                Err(cause) => self.broke(cause.into()),
            },
            WatchItem::Deleted(object) => {
                self.held.remove(&object.key);
                self.server.formers.lock().remove(&object.key);
                self.changed(Event::Deleted, object)
            }
            WatchItem::Bookmark(revision) => {
                self.search(false);
                self.reached(revision)
            }
            WatchItem::DisconnectedBookmark(revision) => {
                self.search(true);
                self.reached(revision)
            }
            // Bookmarks are optional: a quiet watch is opened again before it counts as dead.
            WatchItem::Quiet => {
                let from = self.known.position;
                self.begin(from.map_or(Step::List, |from| Step::Probe { from }));
                None
            }
            WatchItem::End { had_events } => self.ended(had_events),
            WatchItem::Failed(trouble) => self.broke(trouble),
        }
    }

    /// Records that everything up to that resource version was reported.
    fn reached(&mut self, revision: ResourceVersion) -> Option<Event> {
        match self.known.position {
            // A watch waits at a resource version that its server may never reach.
            Some(progress) if revision < progress => self.broke(RequestError::behind(revision)),
            _ => {
                self.known.advance(revision);
                Some(Event::Progress(revision))
            }
        }
    }

    fn broke(&mut self, trouble: RequestError) -> Option<Event> {
        self.ends();
        if trouble.cause == FailureCause::Expired {
            return self.expired(Verb::Watch, FailureCause::Expired);
        }
        let then = if matches!(trouble.cause, FailureCause::Cut(_)) {
            self.watch_again()
        } else {
            // The error may come of the resource version, and come again.
            Step::List
        };
        self.failed(Verb::Watch, trouble, then)
    }

    /// Reports the change of an object. A watch that resumes gets only newer changes, so an older
    /// resource version means only that this server counts in its own way. The same event twice is
    /// one.
    fn changed(&mut self, event: fn(RawObject) -> Event, object: RawObject) -> Option<Event> {
        let (revision, key) = (object.revision, object.key.clone());
        let event = event(object);
        let this = Some((revision, key, discriminant(&event)));
        if self.last == this {
            return None;
        }
        self.last = this;
        self.search(false);
        self.known.advance(revision);
        Some(event)
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("scope", self.scope())
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
