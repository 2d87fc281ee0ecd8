//! Headers of all responses: the connection to the upstream, and the view of the client.
//!
//! By the first a client notices that the served data grow old. By the second it notices that the
//! history is of another view than its list: no event reports objects that left the view because of
//! another selector or of fewer permissions.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use emitter_cache::{Fields, ViewFilter};
use http::{HeaderName, HeaderValue};
use proto_types::LabelSelector;
use proto_types::evidence::Read;
use runtime::upstream;

use crate::consumers::Caller;
use crate::health::UpstreamHealth;

const VIEW: HeaderName = HeaderName::from_static("heliograph-view");

/// Export settings. Replicas with the same settings are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Export {
    selector: String,
    namespace: Option<String>,
    fields: String,
}

/// Headers of all responses.
#[derive(Debug)]
pub struct ResponseHeaders {
    /// Connection to the upstream.
    pub health: Arc<UpstreamHealth>,
    /// Export settings.
    pub export: Export,
}

impl Export {
    /// Returns the export settings of these flags.
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

    /// Returns the name of a view, which discloses nothing else of it.
    fn view(&self, grant: &ViewFilter) -> String {
        // Without a seed: another replica must send the same value.
        let mut hasher = DefaultHasher::new();
        (self, grant).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Adds the headers to a response.
pub async fn apply(
    State(settings): State<Arc<ResponseHeaders>>,
    mut request: Request,
    next: Next,
) -> Response {
    request
        .extensions_mut()
        .insert(Arc::clone(&settings.health));
    let caller = request.extensions().get::<Caller>();
    let grant = caller.map(|it| it.grant.clone()).unwrap_or_default();
    let mut response = next.run(request).await;
    let read = response.extensions().get::<Read>().map(|read| match read {
        Read::Confirmed => upstream::CONFIRMED,
        Read::Cached | Read::Resumed => upstream::CACHED,
    });
    let headers = response.headers_mut();
    headers.extend(settings.health.status().headers());
    let view = HeaderValue::try_from(settings.export.view(&grant)).ok();
    for (name, value) in [(VIEW, view), (upstream::READ, read)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use emitter_cache::view_filter::{Rules, ServiceIndex};

    use super::*;

    fn export(selector: &str, fields: &Fields) -> Export {
        Export::new(Some(&selector.parse().unwrap()), false, (None, fields))
    }

    fn only(namespace: &str) -> ViewFilter {
        let rules = Rules {
            namespaces: Some([namespace.to_owned()].into()),
            ..Rules::default()
        };
        ViewFilter::new(rules, Arc::<ServiceIndex>::default())
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
            all.view(&ViewFilter::default()),
            all.view(&only("x")),
            all.view(&only("y")),
            export("a=c", &Fields::All).view(&ViewFilter::default()),
            export("a=b", &needed).view(&ViewFilter::default()),
            Export::new(
                Some(&"a=b".parse().unwrap()),
                false,
                (Some("x"), &Fields::All),
            )
            .view(&ViewFilter::default()),
            Export::new(Some(&"a=b".parse().unwrap()), true, (None, &Fields::All))
                .view(&ViewFilter::default()),
        ];
        for (i, view) in views.iter().enumerate() {
            assert!(!views[..i].contains(view), "{i}: {views:?}");
        }
    }
}
