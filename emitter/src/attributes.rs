//! Attributes of a request, in the words of Kubernetes authorization.
//!
//! The rules are those of `k8s.io/apiserver`'s `RequestInfo`: they read any path of the
//! API, served or not.

use http::Method;
use proto_types::multicluster::Version;
use proto_types::resource::ApiResource;
use proto_types::{FieldSelector, Resource};

/// Verb and target of a request, for authorization.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// `get`, `list`, `watch` and so on; of a path that names no resource the method.
    pub verb: String,
    /// The path of the request.
    pub path: String,
    /// Resource or object, if the path is one of the API.
    pub target: Option<Target>,
}

/// A resource, or one object of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Target {
    /// Empty for the core group.
    pub group: String,
    /// The group's version.
    pub version: String,
    /// The namespace; empty for all.
    pub namespace: String,
    /// The plural.
    pub resource: String,
    /// Such as `status`; mostly empty.
    pub subresource: String,
    /// The object; empty for a collection.
    pub name: String,
}

/// Parameters of a request that decide its verb and its object.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parameters<'a> {
    /// Value of `watch`.
    pub is_watch: bool,
    /// Value of `fieldSelector`.
    pub field_selector: Option<&'a str>,
}

impl Attributes {
    /// Returns the attributes of a request with that percent-decoded path.
    #[must_use]
    pub fn of(parameters: Parameters<'_>, method: &Method, path: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return Self::of_path(method, path),
        };
        let (is_watch_path, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            rest => (false, rest),
        };
        let mut target = Target {
            group: group.to_owned(),
            version: version.to_owned(),
            ..Target::default()
        };
        target.read(rest);
        let verb = verb(parameters, method, is_watch_path, &mut target);
        Self {
            verb: verb.to_owned(),
            path: path.to_owned(),
            target: Some(target),
        }
    }

    fn of_path(method: &Method, path: &str) -> Self {
        Self {
            verb: method.as_str().to_ascii_lowercase(),
            path: path.to_owned(),
            target: None,
        }
    }

    /// Returns whether it is a watch.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.target.is_some() && self.verb == "watch"
    }

    /// Returns whether every authenticated client may send the request: discovery, version, health
    /// and cluster identity.
    #[must_use]
    pub fn is_for_everybody(&self) -> bool {
        let Some(target) = &self.target else {
            return !self.is_metrics();
        };
        let names = (target.group.as_str(), target.resource.as_str());
        let is_identity = match names {
            ("", "namespaces") => target.name == "kube-system",
            ("about.k8s.io", "clusterproperties") => true,
            _ => false,
        };
        is_identity && matches!(self.verb.as_str(), "get" | "list")
    }

    /// Returns whether it requests metrics.
    #[must_use]
    pub fn is_metrics(&self) -> bool {
        self.target.is_none() && self.path.trim_end_matches('/') == "/metrics"
    }

    /// Returns whether it reads a resource that consumers are given.
    #[must_use]
    pub fn reads_what_is_served(&self) -> bool {
        let is_read = matches!(self.verb.as_str(), "get" | "list" | "watch");
        let is_served = self.target.as_ref().is_some_and(|target| {
            let root = match target.group.as_str() {
                "" => format!("/api/{}", target.version),
                group => format!("/apis/{group}/{}", target.version),
            };
            let resource = find(&root, &target.resource);
            let is_whole = matches!(target.subresource.as_str(), "" | "status");
            is_whole && (resource.is_some() || target.resource == "namespaces")
        });
        is_read && is_served
    }
}

impl Target {
    /// Reads the part of the path after group and version.
    fn read(&mut self, rest: &[&str]) {
        let rest = match rest {
            ["namespaces", namespace, rest @ ..]
                if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) =>
            {
                (*namespace).clone_into(&mut self.namespace);
                rest
            }
            // The namespace itself is in the namespace of its name.
            ["namespaces", namespace, ..] => {
                (*namespace).clone_into(&mut self.namespace);
                rest
            }
            rest => rest,
        };
        let part = |i: usize| rest.get(i).copied().unwrap_or_default().to_owned();
        self.resource = part(0);
        self.name = part(1);
        self.subresource = part(2);
    }
}

fn verb(
    parameters: Parameters<'_>,
    method: &Method,
    is_watch_path: bool,
    target: &mut Target,
) -> &'static str {
    let verb = match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    };
    if is_watch_path {
        return "watch";
    }
    if !target.name.is_empty() {
        return verb;
    }
    let name = object_name(parameters);
    match verb {
        "get" => {
            target.name = name.unwrap_or_default();
            match parameters.is_watch {
                true => "watch",
                false => "list",
            }
        }
        "delete" => {
            target.name = name.unwrap_or_default();
            "deletecollection"
        }
        verb => verb,
    }
}

/// Returns the resource of that plural under a root. It may be one that is not served here.
pub(crate) fn find(root: &str, plural: &str) -> Option<&'static ApiResource> {
    let exports = Version::V1Beta1.exports();
    let is_exports = root == exports.root && plural == exports.plural;
    let found = Resource::find(root, plural).map(Resource::names);
    found.or_else(|| is_exports.then_some(exports))
}

/// The only object that is requested of a collection, if its field selector names one.
fn object_name(parameters: Parameters<'_>) -> Option<String> {
    let fields: FieldSelector = parameters.field_selector?.parse().ok()?;
    fields.exact("metadata.name").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::Method;
    use crate::api::RequestContext;

    fn read(method: &str, uri: &str) -> String {
        let request = http::Request::get(uri).body(()).unwrap();
        let asked = RequestContext::new(&request);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let it = asked.attributes(&method, request.uri().path());
        match it.target {
            None => format!("{} {}", it.verb, it.path),
            Some(to) => format!(
                "{} {}/{} {}:{}/{}/{}",
                it.verb, to.group, to.version, to.namespace, to.resource, to.name, to.subresource
            ),
        }
    }

    #[test]
    fn requests_are_read_as_a_kube_apiserver_reads_them() {
        for (method, uri, expected) in [
            ("GET", "/version", "get /version"),
            ("POST", "/api", "post /api"),
            (
                "GET",
                "/apis/discovery.k8s.io/v1",
                "get /apis/discovery.k8s.io/v1",
            ),
            ("GET", "/api/v1/services", "list /v1 :services//"),
            ("GET", "/api/v1/services?watch=1", "watch /v1 :services//"),
            (
                "GET",
                "/api/v1/services?watch=false",
                "list /v1 :services//",
            ),
            ("GET", "/api/v1/watch/services", "watch /v1 :services//"),
            (
                "GET",
                "/api/v1/namespaces/a/services/x",
                "get /v1 a:services/x/",
            ),
            (
                "GET",
                "/api/v1/namespaces/a/services/x?watch=1",
                "get /v1 a:services/x/",
            ),
            (
                "GET",
                "/api/v1/namespaces/a/services/x/status",
                "get /v1 a:services/x/status",
            ),
            ("GET", "/api/v1/namespaces/a", "get /v1 a:namespaces/a/"),
            ("GET", "/api/v1/namespaces", "list /v1 :namespaces//"),
            (
                "DELETE",
                "/api/v1/namespaces/a/services",
                "deletecollection /v1 a:services//",
            ),
            (
                "PATCH",
                "/api/v1/namespaces/a/services/x",
                "patch /v1 a:services/x/",
            ),
            (
                "GET",
                "/apis/discovery.k8s.io/v1/endpointslices?fieldSelector=metadata.name%3Dx",
                "list discovery.k8s.io/v1 :endpointslices/x/",
            ),
        ] {
            assert_eq!(read(method, uri), expected, "{method} {uri}");
        }
    }
}
