//! Paths, as a kube-apiserver reads them.

use emitter_cache::Scope;
use proto_types::ObjectKey;
use proto_types::multicluster::Version;
use proto_types::resource::ApiResource;

use crate::attributes::find;

/// Target of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// A collection, to list or watch.
    Collection {
        /// Resource.
        resource: &'static ApiResource,
        /// Scope.
        scope: Scope,
        /// Deprecated form of a watch in the path, which is still served.
        watch: WatchPath,
    },
    /// One object, to get.
    Object {
        /// Resource.
        resource: &'static ApiResource,
        /// Key of the object.
        key: ObjectKey,
    },
    /// The namespaces, to list or watch.
    Namespaces(WatchPath),
    /// One namespace, to get.
    Namespace(String),
    /// `/api`.
    CoreVersions,
    /// `/apis`.
    Groups,
    /// `/apis/discovery.k8s.io` or another group.
    Group(String),
    /// `/api/v1` or `/apis/discovery.k8s.io/v1`, for example, by their root.
    Resources(&'static str),
    /// `/version`.
    Version,
    /// `/openapi/…`, whose documents are the upstream's.
    OpenApi,
    /// `/openapi/v3/…`, which is answered by an empty 404 where there is none.
    OpenApiOfVersion,
    /// `/`.
    Root,
    /// Nothing, within an API that is served: answered with a `Status`.
    UnknownResource,
    /// Nothing at all: answered as plain text.
    Unknown,
}

/// Form of a watch in the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchPath {
    /// It does not; the query may.
    No,
    /// `…/watch/…`.
    All,
    /// `…/watch/…/name`: of one object.
    One(String),
}

impl Route {
    /// Reads a path that has been percent-decoded. Slashes at its end do not count.
    #[must_use]
    pub(super) fn parse(path: &str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.starts_with('/') {
            return Self::Unknown;
        }
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        match parts.as_slice() {
            [""] => Self::Root,
            ["version"] => Self::Version,
            ["openapi", "v3", _, ..] => Self::OpenApiOfVersion,
            ["openapi", ..] => Self::OpenApi,
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            [
                "apis",
                group @ ("discovery.k8s.io" | "multicluster.x-k8s.io"),
            ] => Self::Group((*group).to_owned()),
            ["api", "v1", rest @ ..] => Self::under("/api/v1", rest),
            ["apis", "discovery.k8s.io", "v1", rest @ ..] => {
                Self::under("/apis/discovery.k8s.io/v1", rest)
            }
            ["apis", "multicluster.x-k8s.io", "v1beta1", rest @ ..] => {
                Self::under(Version::V1Beta1.exports().root, rest)
            }
            ["apis", "discovery.k8s.io" | "multicluster.x-k8s.io", ..] | ["api", ..] => {
                Self::UnknownResource
            }
            _ => Self::Unknown,
        }
    }

    fn under(root: &'static str, rest: &[&str]) -> Self {
        match rest {
            [] => Self::Resources(root),
            ["watch", rest @ ..] => Self::watch(root, rest),
            ["namespaces", namespace, plural] => {
                Self::collection(root, plural, Some(namespace), WatchPath::No)
            }
            // The status of a Service is part of the Service.
            ["namespaces", namespace, plural, name]
            | ["namespaces", namespace, plural @ "services", name, "status"] => find(root, plural)
                .map_or(Self::UnknownResource, |resource| {
                    let key = ObjectKey::new(namespace, name);
                    Self::Object { resource, key }
                }),
            ["namespaces"] if root == "/api/v1" => Self::Namespaces(WatchPath::No),
            ["namespaces", name] if root == "/api/v1" => Self::Namespace((*name).to_owned()),
            [plural] => Self::collection(root, plural, None, WatchPath::No),
            _ => Self::UnknownResource,
        }
    }

    fn watch(root: &str, rest: &[&str]) -> Self {
        match rest {
            ["namespaces"] if root == "/api/v1" => Self::Namespaces(WatchPath::All),
            ["namespaces", name] if root == "/api/v1" => {
                Self::Namespaces(WatchPath::One((*name).to_owned()))
            }
            [plural] => Self::collection(root, plural, None, WatchPath::All),
            ["namespaces", namespace, plural] => {
                Self::collection(root, plural, Some(namespace), WatchPath::All)
            }
            ["namespaces", namespace, plural, name] => {
                let one = WatchPath::One((*name).to_owned());
                Self::collection(root, plural, Some(namespace), one)
            }
            _ => Self::UnknownResource,
        }
    }

    fn collection(root: &str, plural: &str, namespace: Option<&str>, watch: WatchPath) -> Self {
        // `…/namespaces//services` are those of all namespaces.
        let scope = match namespace {
            None | Some("") => Scope::Cluster,
            Some(namespace) => Scope::Namespace(namespace.to_owned()),
        };
        find(root, plural).map_or(Self::UnknownResource, |resource| Self::Collection {
            resource,
            scope,
            watch,
        })
    }
}

#[cfg(test)]
mod tests {
    use proto_types::Resource;

    use super::{ObjectKey, Route, Scope, Version, WatchPath};

    fn collection(resource: Resource, namespace: Option<&str>, watch: WatchPath) -> Route {
        let scope = namespace.map_or(Scope::Cluster, |it| Scope::Namespace(it.to_owned()));
        Route::Collection {
            resource: resource.names(),
            scope,
            watch,
        }
    }

    #[test]
    fn paths_are_read_as_a_kube_apiserver_reads_them() {
        let check = |path: &str, route: Route| assert_eq!(Route::parse(path), route, "{path}");
        let services = Resource::Services;
        check(
            "/api/v1/services",
            collection(services, None, WatchPath::No),
        );
        check(
            "/api/v1/services/",
            collection(services, None, WatchPath::No),
        );
        check(
            "/api/v1/namespaces/a/endpoints",
            collection(Resource::Endpoints, Some("a"), WatchPath::No),
        );
        check(
            "/apis/discovery.k8s.io/v1/watch/namespaces/a/endpointslices/x",
            collection(
                Resource::EndpointSlices,
                Some("a"),
                WatchPath::One("x".to_owned()),
            ),
        );
        check(
            "/api/v1/watch/services",
            collection(services, None, WatchPath::All),
        );
        let web = Route::Object {
            resource: services.names(),
            key: ObjectKey::new("a", "web"),
        };
        check("/api/v1/namespaces/a/services/web", web.clone());
        check("/api/v1/namespaces/a/services/web/status", web);
        check("/api/v1/endpointslices", Route::UnknownResource);
        check("/api/v1/pods", Route::UnknownResource);
        check("/api/v1/namespaces", Route::Namespaces(WatchPath::No));
        check("/api/v1/namespaces/a/", Route::Namespace("a".to_owned()));
        check(
            "/api/v1/watch/namespaces/a",
            Route::Namespaces(WatchPath::One("a".to_owned())),
        );
        check(
            "/apis/discovery.k8s.io/v1/namespaces",
            Route::UnknownResource,
        );
        check("/apis/apps/v1/deployments", Route::Unknown);
        check("/apis/discovery.k8s.io/v2", Route::UnknownResource);
        check(
            "/apis/multicluster.x-k8s.io/v1beta1/namespaces/a/serviceexports/web",
            Route::Object {
                resource: Version::V1Beta1.exports(),
                key: ObjectKey::new("a", "web"),
            },
        );
        check(
            "/apis/multicluster.x-k8s.io/v1beta1/serviceimports",
            Route::UnknownResource,
        );
        check("/", Route::Root);
        check("/apis/", Route::Groups);
    }

    #[test]
    fn empty_parts_of_a_path_count_except_at_its_end() {
        let everywhere = collection(Resource::Services, None, WatchPath::No);
        for (path, route) in [
            ("//api/v1/services", Route::Unknown),
            ("//", Route::Unknown),
            ("/api//v1/services", Route::UnknownResource),
            ("/api/v9", Route::UnknownResource),
            ("/api/v1/namespaces//services", everywhere),
        ] {
            assert_eq!(Route::parse(path), route, "{path}");
        }
    }
}
