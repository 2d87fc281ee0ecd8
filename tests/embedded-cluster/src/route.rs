//! Paths, as a kube-apiserver reads them.

use emitter::api::WatchPath;
use emitter_cache::Scope;
use proto_types::ObjectKey;

use crate::Kind;
use crate::write::Part;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// A collection.
    Collection {
        kind: Kind,
        scope: Scope,
        watch: WatchPath,
    },
    /// One object, or a part of it.
    Object {
        kind: Kind,
        key: ObjectKey,
        part: Part,
    },
    /// What there is to discover.
    Document(Document),
    /// A probe.
    Probe,
    /// Nothing, within an API that is served: answered with a `Status`.
    UnknownResource,
    /// Nothing at all: answered as plain text.
    Unknown,
}

/// What is not a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    /// `/`.
    Root,
    /// `/version`.
    Version,
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/discovery.k8s.io`.
    Group(&'static str),
    /// `/api/v1`, by its root.
    Resources(&'static str),
    /// `/openapi/v3`.
    Schemas,
    /// `/openapi/v3/api/v1`, by its root.
    Schema(&'static str),
}

impl Route {
    /// Reads a path that has been percent-decoded. Slashes at its end do not count.
    pub(crate) fn parse(path: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            [""] => Self::Document(Document::Root),
            ["version"] => Self::Document(Document::Version),
            ["healthz" | "livez" | "readyz", ..] => Self::Probe,
            ["openapi", "v3"] => Self::Document(Document::Schemas),
            ["openapi", "v3", rest @ ..] => {
                let root = known_root(&format!("/{}", rest.join("/")));
                root.map_or(Self::Unknown, |root| Self::Document(Document::Schema(root)))
            }
            ["api"] => Self::Document(Document::CoreVersions),
            ["apis"] => Self::Document(Document::Groups),
            ["api", "v1", rest @ ..] => Self::under("/api/v1", rest),
            ["apis", group, rest @ ..] => Self::group(group, rest),
            _ => Self::Unknown,
        }
    }

    fn group(group: &str, rest: &[&str]) -> Self {
        let of_group = |kind: &Kind| kind.names().group == group;
        let Some(kind) = Kind::ALL.into_iter().find(of_group) else {
            return Self::Unknown;
        };
        match rest {
            [] => Self::Document(Document::Group(kind.names().group)),
            [version, rest @ ..] if *version == kind.version() => {
                Self::under(kind.names().root, rest)
            }
            _ => Self::UnknownResource,
        }
    }

    fn under(root: &'static str, rest: &[&str]) -> Self {
        let found = match rest {
            [] => return Self::Document(Document::Resources(root)),
            ["watch", rest @ ..] => Self::watched(root, rest),
            // Namespaces come first: what follows them may be one of their own parts.
            ["namespaces", name] => Self::object(root, "namespaces", "", name, Part::Main),
            ["namespaces", name, "status"] => {
                Self::object(root, "namespaces", "", name, Part::Status)
            }
            ["namespaces", name, "finalize"] => {
                Self::object(root, "namespaces", "", name, Part::Main)
            }
            ["namespaces", namespace, plural] => {
                Self::collection(root, plural, Some(namespace), WatchPath::No)
            }
            ["namespaces", namespace, plural, name] => {
                Self::object(root, plural, namespace, name, Part::Main)
            }
            ["namespaces", namespace, plural, name, "status"] => {
                Self::object(root, plural, namespace, name, Part::Status)
            }
            [plural] => Self::collection(root, plural, None, WatchPath::No),
            _ => None,
        };
        found.unwrap_or(Self::UnknownResource)
    }

    fn watched(root: &str, rest: &[&str]) -> Option<Self> {
        let one = |name: &str| WatchPath::One(name.to_owned());
        match rest {
            ["namespaces", name] => Self::collection(root, "namespaces", None, one(name)),
            ["namespaces", namespace, plural] => {
                Self::collection(root, plural, Some(namespace), WatchPath::All)
            }
            ["namespaces", namespace, plural, name] => {
                Self::collection(root, plural, Some(namespace), one(name))
            }
            [plural] => Self::collection(root, plural, None, WatchPath::All),
            _ => None,
        }
    }

    fn collection(
        root: &str,
        plural: &str,
        namespace: Option<&str>,
        watch: WatchPath,
    ) -> Option<Self> {
        let kind = Kind::find(root, plural)?;
        let scope = match (kind.is_namespaced(), namespace) {
            (true, Some(namespace)) => Scope::Namespace(namespace.to_owned()),
            (true, None) => Scope::Cluster,
            // What is in no namespace has a key with an empty one.
            (false, None) => Scope::Namespace(String::new()),
            (false, Some(_)) => return None,
        };
        Some(Self::Collection { kind, scope, watch })
    }

    fn object(root: &str, plural: &str, namespace: &str, name: &str, part: Part) -> Option<Self> {
        let kind = Kind::find(root, plural)?;
        let fits = kind.is_namespaced() != namespace.is_empty();
        let has_part = part == Part::Main || kind.has_status();
        (fits && has_part).then(|| Self::Object {
            kind,
            key: ObjectKey::new(namespace, name),
            part,
        })
    }
}

fn known_root(path: &str) -> Option<&'static str> {
    let mut roots = Kind::ALL.into_iter().map(|kind| kind.names().root);
    roots.find(|root| *root == path)
}

#[cfg(test)]
mod tests {
    use super::{Document, Kind, ObjectKey, Part, Route, Scope, WatchPath};

    #[test]
    fn paths_lead_where_they_lead_in_a_kube_apiserver() {
        let check = |path: &str, route: Route| assert_eq!(Route::parse(path), route, "{path}");
        let object = |kind, namespace, name, part| Route::Object {
            kind,
            key: ObjectKey::new(namespace, name),
            part,
        };
        let collection = |kind, scope| Route::Collection {
            kind,
            scope,
            watch: WatchPath::No,
        };
        let in_demo = Scope::Namespace("demo".to_owned());
        check(
            "/api/v1/namespaces/demo/services",
            collection(Kind::Services, in_demo),
        );
        check(
            "/api/v1/services/",
            collection(Kind::Services, Scope::Cluster),
        );
        let nowhere = Scope::Namespace(String::new());
        check("/api/v1/namespaces", collection(Kind::Namespaces, nowhere));
        check(
            "/api/v1/namespaces/demo",
            object(Kind::Namespaces, "", "demo", Part::Main),
        );
        check(
            "/api/v1/namespaces/demo/services/web/status",
            object(Kind::Services, "demo", "web", Part::Status),
        );
        check(
            "/apis/coordination.k8s.io/v1/namespaces/demo/leases/l",
            object(Kind::Leases, "demo", "l", Part::Main),
        );
        check("/api/v1/pods", Route::UnknownResource);
        check(
            "/api/v1/namespaces/demo/configmaps/c/status",
            Route::UnknownResource,
        );
        check(
            "/apis/multicluster.x-k8s.io/v1beta1/namespaces/demo/serviceimports/web/status",
            object(Kind::ServiceImports, "demo", "web", Part::Status),
        );
        check(
            "/apis/multicluster.x-k8s.io/v1/serviceimports",
            Route::UnknownResource,
        );
        check("/apis/apps/v1/deployments", Route::Unknown);
        check("/openapi/v2", Route::Unknown);
        let schema = Route::Document(Document::Schema("/apis/events.k8s.io/v1"));
        check("/openapi/v3/apis/events.k8s.io/v1", schema);
    }
}
