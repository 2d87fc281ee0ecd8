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
use runtime::upstream::{self, Said};

use crate::consumers::Caller;

const VIEW: HeaderName = HeaderName::from_static("heliograph-view");

/// Whether the upstream is heard, by what is followed of it.
#[derive(Debug, Default)]
pub struct Health {
    lost: RwLock<BTreeMap<&'static str, String>>,
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

impl Health {
    /// It is heard.
    pub fn hear(&self, resource: &'static str) {
        if self.lost.read().contains_key(resource) {
            self.lost.write().remove(resource);
        }
    }

    /// It is not, for that reason.
    pub fn lose(&self, resource: &'static str, why: String) {
        self.lost.write().insert(resource, why);
    }

    fn said(&self) -> Said {
        let lost = self.lost.read();
        // What one loses the others lose too, in nearly the same words.
        match lost.values().next() {
            Some(why) => Said::Lost(why.clone()),
            None => Said::Followed,
        }
    }
}

impl Export {
    /// What these flags let out.
    #[must_use]
    pub fn new(selector: &LabelSelector, namespace: Option<&str>, fields: &Fields) -> Self {
        Self {
            selector: selector.to_string(),
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
pub async fn say(State(signs): State<Arc<Signs>>, request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Caller>();
    let grant = caller.map(|it| it.grant.clone()).unwrap_or_default();
    let mut response = next.run(request).await;
    let view = HeaderValue::try_from(signs.export.view(&grant)).ok();
    let upstream = signs.health.said().header();
    for (name, value) in [(VIEW, view), (upstream::HEADER, upstream)] {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use emitter_cache::grant::{Owners, Rules};

    use super::*;

    fn export(selector: &str, fields: &Fields) -> Export {
        Export::new(&selector.parse().unwrap(), None, fields)
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
            Export::new(&"a=b".parse().unwrap(), Some("x"), &Fields::All).view(&Grant::default()),
        ];
        for (i, view) in views.iter().enumerate() {
            assert!(!views[..i].contains(view), "{i}: {views:?}");
        }
    }

    #[test]
    fn the_upstream_is_heard_when_all_of_it_is() {
        let health = Health::default();
        assert_eq!(health.said(), Said::Followed);
        health.lose("services", "no connection".to_owned());
        health.lose("endpointslices", "no connection either".to_owned());
        health.hear("endpointslices");
        assert_eq!(health.said(), Said::Lost("no connection".to_owned()));
        health.hear("services");
        assert_eq!(health.said(), Said::Followed);
    }
}
