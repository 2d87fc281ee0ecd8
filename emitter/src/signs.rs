//! What is said with every answer, beside the answer: whether the upstream is heard, and
//! which view it is that the consumer sees.
//!
//! Whoever follows us sees by the first that what we serve grows old, and by the second
//! that history is of another view than what it listed: what left when we began anew with
//! another selector, or when its grant became narrower, no event tells.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use emitter_cache::{Fields, Grant};
use http::{HeaderName, HeaderValue};
use parking_lot::RwLock;
use proto_types::LabelSelector;
use proto_types::evidence::Read;
use runtime::upstream::{self, Disconnected, Said};
use tokio::time::Instant;

use crate::consumers::Caller;

const VIEW: HeaderName = HeaderName::from_static("heliograph-view");

/// Connection to the upstream, by what is followed of it.
#[derive(Debug)]
pub struct Health {
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

/// What is exported. Replicas that export the same are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Export {
    selector: String,
    namespace: Option<String>,
    fields: String,
}

/// What is said with every answer.
#[derive(Debug)]
pub struct Signs {
    /// Whether the upstream is heard.
    pub health: Arc<Health>,
    /// What is exported.
    pub export: Export,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            parts: RwLock::default(),
        }
    }
}

impl Health {
    /// Notes a contact: that part is connected.
    pub fn hear(&self, part: &'static str) {
        let heard = Instant::now();
        self.parts.write().insert(part, Part { heard, lost: None });
    }

    /// Notes a lost connection, for that reason.
    pub fn lose(&self, part: &'static str, why: String) {
        let mut parts = self.parts.write();
        let heard = parts.get(part).map_or(self.started, |it| it.heard);
        let lost = Some(why);
        parts.insert(part, Part { heard, lost });
    }

    /// Notes that the upstream is disconnected itself, since its last contact.
    pub fn lose_behind(&self, part: &'static str, lost: Disconnected) {
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

    fn said(&self) -> Said {
        let parts = self.parts.read();
        let lost = parts.values().filter(|it| it.lost.is_some());
        // What one part loses the others lose too, in nearly the same words.
        let Some(first) = lost.clone().next() else {
            return Said::Connected;
        };
        let age = lost.map(|it| it.heard.elapsed()).max();
        Said::Disconnected(Disconnected {
            why: first.lost.clone().unwrap_or_default(),
            age: age.unwrap_or_default(),
        })
    }
}

impl Export {
    /// What these flags let out.
    #[must_use]
    pub fn new(
        selector: Option<&LabelSelector>,
        service_exports: bool,
        (namespace, fields): (Option<&str>, &Fields),
    ) -> Self {
        let mut selector = selector.map(ToString::to_string).unwrap_or_default();
        if service_exports {
            selector.push_str(" or exported");
        }
        Self {
            selector,
            namespace: namespace.map(str::to_owned),
            fields: format!("{fields:?}"),
        }
    }

    /// The name of what somebody sees of it, which tells nothing else of it.
    fn view(&self, grant: &Grant) -> String {
        // Without a seed: another replica must say the same.
        let mut hasher = DefaultHasher::new();
        (self, grant).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Says it.
pub async fn say(State(signs): State<Arc<Signs>>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Arc::clone(&signs.health));
    let caller = request.extensions().get::<Caller>();
    let grant = caller.map(|it| it.grant.clone()).unwrap_or_default();
    let mut response = next.run(request).await;
    let read = response.extensions().get::<Read>().map(|read| match read {
        Read::Confirmed => upstream::CONFIRMED,
        Read::Cached | Read::Resumed => upstream::CACHED,
    });
    let headers = response.headers_mut();
    headers.extend(signs.health.said().headers());
    let view = HeaderValue::try_from(signs.export.view(&grant)).ok();
    for (name, value) in [(VIEW, view), (upstream::READ, read)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use emitter_cache::grant::{Owners, Rules};

    use super::*;

    fn export(selector: &str, fields: &Fields) -> Export {
        Export::new(Some(&selector.parse().unwrap()), false, (None, fields))
    }

    fn only(namespace: &str) -> Grant {
        let rules = Rules {
            namespaces: Some([namespace.to_owned()].into()),
            ..Rules::default()
        };
        Grant::new(rules, Arc::<Owners>::default())
    }

    #[test]
    fn a_view_has_another_name_where_something_else_is_seen() {
        let needed = Fields::Needed {
            annotations: Vec::new(),
        };
        let all = export("a=b", &Fields::All);
        assert_eq!(
            all.view(&only("x")),
            export("a=b", &Fields::All).view(&only("x"))
        );
        let views = [
            all.view(&Grant::default()),
            all.view(&only("x")),
            all.view(&only("y")),
            export("a=c", &Fields::All).view(&Grant::default()),
            export("a=b", &needed).view(&Grant::default()),
            Export::new(
                Some(&"a=b".parse().unwrap()),
                false,
                (Some("x"), &Fields::All),
            )
            .view(&Grant::default()),
            Export::new(Some(&"a=b".parse().unwrap()), true, (None, &Fields::All))
                .view(&Grant::default()),
        ];
        for (i, view) in views.iter().enumerate() {
            assert!(!views[..i].contains(view), "{i}: {views:?}");
        }
    }

    fn disconnected(why: &str, seconds: u64) -> Said {
        Said::Disconnected(Disconnected {
            why: why.to_owned(),
            age: Duration::from_secs(seconds),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_upstream_is_connected_when_all_of_it_is() {
        let health = Health::default();
        assert_eq!(health.said(), Said::Connected);
        health.hear("services");
        tokio::time::advance(Duration::from_secs(7)).await;
        health.hear("endpointslices");
        health.lose("services", "no connection".to_owned());
        health.lose("endpointslices", "no connection either".to_owned());
        assert_eq!(health.said(), disconnected("no connection either", 7));
        health.hear("endpointslices");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(health.said(), disconnected("no connection", 9));
        health.hear("services");
        assert_eq!(health.said(), Said::Connected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_of_an_upstream_passes_on() {
        let health = Health::default();
        health.hear("services");
        let lost = Disconnected {
            why: "no connection".to_owned(),
            age: Duration::from_secs(40),
        };
        tokio::time::advance(Duration::from_secs(60)).await;
        health.lose_behind("behind", lost);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(health.said(), disconnected("no connection", 45));
    }
}
