//! What a request is about, in the words in which Kubernetes decides about rights.
//!
//! The rules are those of `k8s.io/apiserver`'s `RequestInfo`: they read any path of the
//! API, served or not.

use http::Method;
use proto_types::FieldSelector;

use super::Asked;

/// What is to be done with what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// `get`, `list`, `watch` and so on; of a path that names no resource the method.
    pub verb: String,
    /// The path, as it was asked.
    pub path: String,
    /// What it names, where it is a path of the API.
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

impl Attributes {
    /// What a request is about; its path has been percent-decoded.
    #[must_use]
    pub fn of(asked: &Asked, method: &Method, path: &str) -> Self {
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
        let verb = verb(asked, method, is_watch_path, &mut target);
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

    /// Whether it is a watch.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.target.is_some() && self.verb == "watch"
    }

    /// Whether it asks what nobody needs a right for whom this server knows: what there
    /// is, of which version, whether it works, and which cluster this is.
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

    /// Whether it asks for numbers about everybody.
    #[must_use]
    pub fn is_metrics(&self) -> bool {
        self.target.is_none() && self.path.trim_end_matches('/') == "/metrics"
    }

    /// Whether it reads a resource that consumers are given.
    #[must_use]
    pub fn reads_what_is_served(&self) -> bool {
        let is_read = matches!(self.verb.as_str(), "get" | "list" | "watch");
        let is_served = self.target.as_ref().is_some_and(|target| {
            let root = match target.group.as_str() {
                "" => format!("/api/{}", target.version),
                group => format!("/apis/{group}/{}", target.version),
            };
            let resource = super::route::find(&root, &target.resource);
            let is_whole = matches!(target.subresource.as_str(), "" | "status");
            is_whole && (resource.is_some() || target.resource == "namespaces")
        });
        is_read && is_served
    }
}

impl Target {
    /// What follows group and version.
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

fn verb(asked: &Asked, method: &Method, is_watch_path: bool, target: &mut Target) -> &'static str {
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
    let name = object_name(asked);
    match verb {
        "get" => {
            target.name = name.unwrap_or_default();
            match asked.query.flag("watch") {
                Some(true) => "watch",
                Some(false) | None => "list",
            }
        }
        "delete" => {
            target.name = name.unwrap_or_default();
            "deletecollection"
        }
        verb => verb,
    }
}

/// The only object that a collection is asked for, if its field selector says so.
fn object_name(asked: &Asked) -> Option<String> {
    let fields: FieldSelector = asked.query.get("fieldSelector")?.parse().ok()?;
    fields.exact("metadata.name").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Asked, Attributes, Method};

    fn read(method: &str, uri: &str) -> String {
        let request = http::Request::get(uri).body(()).unwrap();
        let asked = Asked::new(&request);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let it = Attributes::of(&asked, &method, request.uri().path());
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
