//! The kinds that Heliograph reads, serves and writes.

use std::fmt;

/// A served resource. A closed list: a new kind must be thought through everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// `services` of the core group.
    Services,
    /// `endpointslices` of `discovery.k8s.io`.
    EndpointSlices,
    /// `endpoints` of the core group, deprecated since Kubernetes 1.33.
    Endpoints,
}

impl Resource {
    /// Every resource, in the order in which discovery lists them.
    pub const ALL: [Self; 3] = [Self::Services, Self::EndpointSlices, Self::Endpoints];

    /// Returns the names.
    #[must_use]
    pub const fn names(self) -> &'static ApiResource {
        match self {
            Self::Services => &SERVICES,
            Self::EndpointSlices => &ENDPOINT_SLICES,
            Self::Endpoints => &ENDPOINTS,
        }
    }

    /// The plural that stands in paths.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        self.names().plural
    }

    /// The singular that discovery reports.
    #[must_use]
    pub const fn singular(self) -> &'static str {
        self.names().singular
    }

    /// The abbreviation that kubectl accepts, where there is one.
    #[must_use]
    pub const fn short_name(self) -> Option<&'static str> {
        self.names().short
    }

    /// The object's `kind`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        self.names().kind
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        self.names().group
    }

    /// The object's `apiVersion`.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        self.names().api_version
    }

    /// Returns the root path of the API version.
    #[must_use]
    pub const fn root(self) -> &'static str {
        self.names().root
    }

    /// `services`, or `endpointslices.discovery.k8s.io`: how messages name it.
    #[must_use]
    pub const fn qualified(self) -> &'static str {
        self.names().qualified
    }

    /// Returns the beginning of every single object, as Go encodes it.
    #[must_use]
    pub const fn object_head(self) -> &'static str {
        self.names().object_head
    }

    /// The path of the collection, in one namespace or in all.
    #[must_use]
    pub fn collection(self, namespace: Option<&str>) -> String {
        self.names().collection(namespace)
    }

    /// The resource of that plural under that root, if it is served.
    #[must_use]
    pub fn find(root: &str, plural: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource| resource.root() == root && resource.plural() == plural)
    }
}

/// Names of a resource in paths, documents and messages.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ApiResource {
    /// The plural that stands in paths.
    pub plural: &'static str,
    /// The singular that discovery reports.
    pub singular: &'static str,
    /// The abbreviation that kubectl accepts, where there is one.
    pub short: Option<&'static str>,
    /// The object's `kind`.
    pub kind: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The object's `apiVersion`.
    pub api_version: &'static str,
    /// Root path of the API version.
    pub root: &'static str,
    /// `services`, or `endpointslices.discovery.k8s.io`: how messages name it.
    pub qualified: &'static str,
    /// Beginning of every single object, as Go encodes it.
    pub object_head: &'static str,
}

const SERVICES: ApiResource = ApiResource {
    plural: "services",
    singular: "service",
    short: Some("svc"),
    kind: "Service",
    group: "",
    api_version: "v1",
    root: "/api/v1",
    qualified: "services",
    object_head: r#"{"kind":"Service","apiVersion":"v1","#,
};

const ENDPOINT_SLICES: ApiResource = ApiResource {
    plural: "endpointslices",
    singular: "endpointslice",
    short: None,
    kind: "EndpointSlice",
    group: "discovery.k8s.io",
    api_version: "discovery.k8s.io/v1",
    root: "/apis/discovery.k8s.io/v1",
    qualified: "endpointslices.discovery.k8s.io",
    object_head: r#"{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","#,
};

const ENDPOINTS: ApiResource = ApiResource {
    plural: "endpoints",
    singular: "endpoints",
    short: Some("ep"),
    kind: "Endpoints",
    group: "",
    api_version: "v1",
    root: "/api/v1",
    qualified: "endpoints",
    object_head: r#"{"kind":"Endpoints","apiVersion":"v1","#,
};

/// Names of namespaces, of which no object is mirrored.
pub static NAMESPACES: ApiResource = ApiResource {
    plural: "namespaces",
    singular: "namespace",
    short: Some("ns"),
    kind: "Namespace",
    group: "",
    api_version: "v1",
    root: "/api/v1",
    qualified: "namespaces",
    object_head: r#"{"kind":"Namespace","apiVersion":"v1","#,
};

impl ApiResource {
    /// The path of the collection, in one namespace or in all.
    #[must_use]
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let Self { root, plural, .. } = self;
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{plural}"),
        }
    }
}

impl From<Resource> for &'static ApiResource {
    fn from(resource: Resource) -> Self {
        resource.names()
    }
}

impl fmt::Display for ApiResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural())
    }
}

#[cfg(test)]
mod tests {
    use super::Resource;

    #[test]
    fn a_resource_is_found_by_its_own_path() {
        for resource in Resource::ALL {
            assert_eq!(
                Resource::find(resource.root(), resource.plural()),
                Some(resource)
            );
        }
        assert_eq!(Resource::find("/api/v1", "endpointslices"), None);
    }

    #[test]
    fn an_object_head_spells_kind_and_version() {
        for resource in Resource::ALL {
            let head = format!(
                r#"{{"kind":"{}","apiVersion":"{}","#,
                resource.kind(),
                resource.api_version()
            );
            assert_eq!(resource.object_head(), head);
        }
    }
}
