//! Follows one resource of one cluster: lists it, watches it from there, and
//! does so again whenever the server, or the way to it, fails.
//!
//! [`Reader`] is a state machine that its owner pulls; nothing runs in between,
//! and there is no queue. Invariants:
//!
//! * Only [`Event::Listed`] and [`Event::Deleted`] say that an object is not there.
//! * Revisions do not go back, except with a [`Listing`] that says so.
//! * No answer makes it ask again at once without end.

mod delay;
mod event;
mod failure;
mod identity;
mod limits;
mod server;
mod state;
mod view;
mod watch;

use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use proto_types::evidence::{Evidence, Ruling};
use proto_types::{ObjectKey, RawObject, Revision};
use tokio::time::Instant;
use tracing::debug;

use delay::Delays;
use server::{Server, Trouble};
use state::{State, Step};
use view::ViewName;
use watch::{Heard, Watch};

pub use event::{Event, Listing, Scope};
pub use failure::{Cause, Failure, Verb};
pub use identity::{Guard, Identity};
pub use limits::Limits;

// A lagging replica catches up within seconds, and each attempt already waits
// 3 s at the server.
const ATTEMPTS_BEHIND: u32 = 3;

/// Reads one scope, for ever.
pub struct Reader {
    server: Server,
    state: State,
    delays: Delays,
    /// Everything up to here has been told.
    progress: Option<Revision>,
    /// The last event, to know it again.
    last: Option<(Revision, ObjectKey, Discriminant<Event>)>,
    /// How often in a row the server lagged behind `progress`.
    n_behind: u32,
    /// Which view all that was told is of, if the server says so.
    view: Option<ViewName>,
    /// Whether history was too short since a watch last held, or of another view.
    has_expired: bool,
}

impl Reader {
    /// A reader of that scope, which has asked nothing yet.
    #[must_use]
    pub fn new(client: kube::Client, scope: Scope, limits: Limits) -> Self {
        let server = Server {
            client,
            scope: Arc::new(scope),
            limits,
            guard: None,
            poll_every: None,
        };
        Self {
            state: server.clone().begin(Step::List { at_least: None }),
            delays: Delays::new(&limits),
            server,
            progress: None,
            last: None,
            n_behind: 0,
            view: None,
            has_expired: false,
        }
    }

    /// The same, which lists first what was at a revision, and tells what happened
    /// since. Where the server does not know any more, it lists the present.
    #[must_use]
    pub fn beginning_at(mut self, revision: Revision) -> Self {
        self.begin(Step::ListAt { revision });
        self
    }

    /// The same, as long as the guard wants to go on with the server.
    #[must_use]
    pub fn guarded(mut self, guard: Guard) -> Self {
        self.server.guard = Some(guard);
        self.begin(Step::List { at_least: None });
        self
    }

    /// The same, which asks again after that time where a list has no revision, and so
    /// cannot be watched from. Without this, such a list is none.
    #[must_use]
    pub fn polling(mut self, every: Duration) -> Self {
        self.server.poll_every = Some(every);
        self.begin(Step::List { at_least: None });
        self
    }

    /// What is followed.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.server.scope
    }

    /// Lists what is there now, as soon as it may ask: what it told is doubted. Such a
    /// list comes of the server's storage and not of what it remembers.
    pub fn list_again(&mut self) {
        let step = Step::List { at_least: None };
        match &mut self.state {
            State::Waiting { then, .. } => *then = step,
            State::Listing { .. } | State::Opening { .. } | State::Watching(_) => self.begin(step),
        }
    }

    /// The next event. A dropped call loses nothing: the next one goes on.
    pub async fn next(&mut self) -> Event {
        loop {
            let event = match &mut self.state {
                State::Waiting { until, then } => {
                    let then = *then;
                    tokio::time::sleep_until(*until).await;
                    self.begin(then);
                    None
                }
                State::Listing { list, at_least } => {
                    let at_least = *at_least;
                    let page = list.as_mut().await;
                    self.listed(page, at_least)
                }
                State::Opening { watch } => {
                    let watch = watch.as_mut().await;
                    self.opened(watch)
                }
                State::Watching(watch) => {
                    let heard = watch.next().await;
                    self.heard(heard)
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

    fn listed(
        &mut self,
        page: Result<server::Page, Trouble>,
        at_least: Option<Revision>,
    ) -> Option<Event> {
        match page {
            Ok(server::Page {
                revision,
                objects,
                view,
            }) => {
                self.view = view;
                let rewound = self.progress.is_some_and(|progress| revision < progress);
                self.progress = Some(revision);
                self.last = None;
                self.n_behind = 0;
                match self.server.poll_every.filter(|_| revision.is_zero()) {
                    None => self.begin(Step::Watch { from: revision }),
                    Some(every) => {
                        // There is nothing to come back behind.
                        self.progress = None;
                        self.delays.reset();
                        self.wait(every, Step::List { at_least: None });
                    }
                }
                Some(Event::Listed(Listing {
                    revision,
                    objects,
                    evidence: Evidence::confirmed(revision),
                    ruling: match rewound {
                        true => Ruling::Rewound,
                        false => Ruling::Replace,
                    },
                }))
            }
            Err(Trouble {
                cause: Cause::Expired,
                ..
            }) => self.expired(Verb::List, Cause::Expired, None),
            Err(trouble) => {
                let is_behind = matches!(trouble.cause, Cause::Behind(_));
                self.n_behind += u32::from(is_behind);
                // Whoever stays behind for so long has lost its history.
                let at_least = at_least.filter(|_| self.n_behind < ATTEMPTS_BEHIND);
                self.failed(Verb::List, trouble, Step::List { at_least })
            }
        }
    }

    fn opened(&mut self, watch: Result<Watch, Trouble>) -> Option<Event> {
        match watch {
            // What left the view meanwhile, its history does not tell.
            Ok(watch) if *watch.view() != self.view => {
                self.expired(Verb::Watch, Cause::OtherView, self.progress)
            }
            Ok(watch) => {
                self.state = State::Watching(Box::new(watch));
                Some(Event::Connected)
            }
            Err(Trouble {
                cause: Cause::Expired,
                ..
            }) => self.expired(Verb::Watch, Cause::Expired, self.progress),
            Err(trouble) => {
                let then = if matches!(trouble.cause, Cause::Refused { .. }) {
                    // Perhaps it is the revision that the server does not like.
                    Step::List {
                        at_least: self.progress,
                    }
                } else {
                    self.watch_again()
                };
                self.failed(Verb::Watch, trouble, then)
            }
        }
    }

    fn heard(&mut self, heard: Heard) -> Option<Event> {
        match heard {
            Heard::Applied(object) => self.told(Event::Applied, object),
            Heard::Deleted(object) => self.told(Event::Deleted, object),
            Heard::Bookmark(revision) => match self.progress {
                // A watch waits at a revision that its server may never reach.
                Some(progress) if revision < progress => self.broke(Trouble::behind(revision)),
                _ => {
                    self.progress = Some(revision);
                    Some(Event::Progress(revision))
                }
            },
            Heard::End { had_events } => self.ended(had_events),
            Heard::Trouble(trouble) => self.broke(trouble),
        }
    }

    fn broke(&mut self, trouble: Trouble) -> Option<Event> {
        self.ends();
        if trouble.cause == Cause::Expired {
            return self.expired(Verb::Watch, Cause::Expired, self.progress);
        }
        let then = if matches!(trouble.cause, Cause::Cut(_)) {
            self.watch_again()
        } else {
            // What the server said, or that it says nothing, may come of the
            // revision, and come again: a list tells.
            Step::List {
                at_least: self.progress,
            }
        };
        self.failed(Verb::Watch, trouble, then)
    }

    /// An object changed. Whoever resumes gets only what is newer, so that an
    /// older revision means nothing but that this server counts in its own way;
    /// the same event twice, though, is one.
    fn told(&mut self, event: fn(RawObject) -> Event, object: RawObject) -> Option<Event> {
        let (revision, key) = (object.revision, object.key.clone());
        let event = event(object);
        let this = Some((revision, key, discriminant(&event)));
        if self.last == this {
            return None;
        }
        self.last = this;
        self.progress = self.progress.max(Some(revision));
        Some(event)
    }

    /// A watch ended as it should, but it may have done so too soon.
    fn ended(&mut self, had_events: bool) -> Option<Event> {
        let again = self.watch_again();
        if self.ends() {
            self.begin(again);
            return None;
        }
        if had_events {
            // Not growing, for its events are what we want.
            self.wait(self.delays.first(), again);
            return None;
        }
        self.failed(Verb::Watch, Cause::Brief.into(), again)
    }

    /// Whether the watch that ends here held long enough to be a success.
    fn ends(&mut self) -> bool {
        let State::Watching(watch) = &self.state else {
            return false;
        };
        let has_held = watch.age() >= self.server.limits.shortest_watch;
        if has_held {
            self.delays.reset();
            self.has_expired = false;
        }
        has_held
    }

    /// History does not reach back far enough, or is of another view. That is ordinary
    /// once; again before a watch held, it would go on for ever.
    fn expired(&mut self, verb: Verb, why: Cause, at_least: Option<Revision>) -> Option<Event> {
        let step = Step::List { at_least };
        if self.has_expired {
            return self.failed(verb, why.into(), step);
        }
        debug!(resource = %self.scope().resource, ?verb, %why, "listing again");
        self.has_expired = true;
        self.begin(step);
        None
    }

    fn failed(&mut self, verb: Verb, trouble: Trouble, then: Step) -> Option<Event> {
        let Trouble { cause, retry_after } = trouble;
        let retry_in = self.delays.next(retry_after);
        self.wait(retry_in, then);
        let Scope {
            resource,
            namespace,
            ..
        } = self.scope();
        Some(Event::Failed(Failure {
            verb,
            resource,
            namespace: namespace.clone(),
            cause,
            retry_in,
        }))
    }

    fn wait(&mut self, delay: Duration, then: Step) {
        let until = Instant::now() + delay;
        self.state = State::Waiting { until, then };
    }

    fn watch_again(&self) -> Step {
        match self.progress {
            Some(from) => Step::Watch { from },
            None => Step::List { at_least: None },
        }
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("scope", self.scope())
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
