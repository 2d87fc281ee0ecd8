//! State of the connection to the upstream, by resource.

use std::collections::BTreeMap;

use parking_lot::RwLock;
use runtime::upstream::{Disconnected, UpstreamStatus};
use tokio::time::Instant;

/// Connection to the upstream, by what is followed of it.
#[derive(Debug)]
pub struct UpstreamHealth {
    started: Instant,
    parts: RwLock<BTreeMap<&'static str, Part>>,
}

#[derive(Debug)]
struct Part {
    /// Last contact.
    heard: Instant,
    /// Reason of a lost connection.
    lost: Option<String>,
}

impl Default for UpstreamHealth {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            parts: RwLock::default(),
        }
    }
}

impl UpstreamHealth {
    /// Notes a contact: that part is connected.
    pub fn mark_connected(&self, part: &'static str) {
        let heard = Instant::now();
        self.parts.write().insert(part, Part { heard, lost: None });
    }

    /// Notes a lost connection, for that reason.
    pub fn mark_disconnected(&self, part: &'static str, why: String) {
        let mut parts = self.parts.write();
        let heard = parts.get(part).map_or(self.started, |it| it.heard);
        let lost = Some(why);
        parts.insert(part, Part { heard, lost });
    }

    /// Notes that the upstream is disconnected itself, since its last contact.
    pub fn mark_upstream_disconnected(&self, part: &'static str, lost: Disconnected) {
        let heard = Instant::now().checked_sub(lost.age);
        let heard = heard.unwrap_or(self.started);
        let lost = Some(lost.why);
        self.parts.write().insert(part, Part { heard, lost });
    }

    /// Returns whether a part of the upstream is disconnected.
    #[must_use]
    pub fn is_disconnected(&self) -> bool {
        self.parts.read().values().any(|it| it.lost.is_some())
    }

    /// Returns the connection state that responses report.
    pub(crate) fn status(&self) -> UpstreamStatus {
        let parts = self.parts.read();
        let lost = parts.values().filter(|it| it.lost.is_some());
        // What one part loses the others lose too, in nearly the same words.
        let Some(first) = lost.clone().next() else {
            return UpstreamStatus::Connected;
        };
        let age = lost.map(|it| it.heard.elapsed()).max();
        UpstreamStatus::Disconnected(Disconnected {
            why: first.lost.clone().unwrap_or_default(),
            age: age.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn disconnected(why: &str, seconds: u64) -> UpstreamStatus {
        UpstreamStatus::Disconnected(Disconnected {
            why: why.to_owned(),
            age: Duration::from_secs(seconds),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_upstream_is_connected_when_all_of_it_is() {
        let health = UpstreamHealth::default();
        assert_eq!(health.status(), UpstreamStatus::Connected);
        health.mark_connected("services");
        tokio::time::advance(Duration::from_secs(7)).await;
        health.mark_connected("endpointslices");
        health.mark_disconnected("services", "no connection".to_owned());
        health.mark_disconnected("endpointslices", "no connection either".to_owned());
        assert_eq!(health.status(), disconnected("no connection either", 7));
        health.mark_connected("endpointslices");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(health.status(), disconnected("no connection", 9));
        health.mark_connected("services");
        assert_eq!(health.status(), UpstreamStatus::Connected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_of_an_upstream_passes_on() {
        let health = UpstreamHealth::default();
        health.mark_connected("services");
        let lost = Disconnected {
            why: "no connection".to_owned(),
            age: Duration::from_secs(40),
        };
        tokio::time::advance(Duration::from_secs(60)).await;
        health.mark_upstream_disconnected("behind", lost);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(health.status(), disconnected("no connection", 45));
    }
}
