//! Next step after a watch or a request that ended.

use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::request::RequestError;
use super::state::{State, Step};
use super::{Event, Failure, FailureCause, Scope, Verb, Watcher, server};

impl Watcher {
    /// A watch ended as it should, but it may have done so too soon.
    pub(super) fn ended(&mut self, had_events: bool) -> Option<Event> {
        let again = self.watch_again();
        if let State::Watching { watch, .. } = &self.state
            && watch.age() < server::LEAST_WATCH
        {
            self.comparison.ended();
        }
        if self.ends() {
            self.begin(again);
            return None;
        }
        if had_events {
            // Not growing, for its events are what we want.
            self.wait(self.delays.first(), again);
            return None;
        }
        self.failed(Verb::Watch, FailureCause::Brief.into(), again)
    }

    /// Returns whether the watch that ends now held long enough to count as a success.
    pub(super) fn ends(&mut self) -> bool {
        let State::Watching { watch, .. } = &self.state else {
            return false;
        };
        let has_held = watch.age() >= self.server.limits.shortest_watch;
        if has_held {
            self.delays.reset();
            self.has_expired = false;
        }
        has_held
    }

    /// History does not reach back far enough, or is of another view. That is ordinary once; again
    /// before a watch held, it would go on indefinitely.
    pub(super) fn expired(&mut self, verb: Verb, why: FailureCause) -> Option<Event> {
        if self.has_expired {
            return self.failed(verb, why.into(), Step::List);
        }
        debug!(resource = %self.scope().resource, ?verb, %why, "listing again");
        self.has_expired = true;
        self.begin(Step::List);
        None
    }

    pub(super) fn failed(
        &mut self,
        verb: Verb,
        trouble: RequestError,
        then: Step,
    ) -> Option<Event> {
        self.comparison.failed();
        let RequestError { cause, retry_after } = trouble;
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

    pub(super) fn wait(&mut self, delay: Duration, then: Step) {
        let until = Instant::now() + delay;
        self.state = State::Waiting { until, then };
    }

    pub(super) fn watch_again(&self) -> Step {
        self.known
            .position
            .map_or(Step::List, |from| Step::Watch { from })
    }
}
