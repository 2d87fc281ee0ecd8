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

    /// The plural that stands in paths.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Endpoints => "endpoints",
        }
    }

    /// The singular that discovery reports.
    #[must_use]
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Services => "service",
            Self::EndpointSlices => "endpointslice",
            Self::Endpoints => "endpoints",
        }
    }

    /// The abbreviation that kubectl accepts, where there is one.
    #[must_use]
    pub const fn short_name(self) -> Option<&'static str> {
        match self {
            Self::Services => Some("svc"),
            Self::EndpointSlices => None,
            Self::Endpoints => Some("ep"),
        }
    }

    /// The object's `kind`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Services => "Service",
            Self::EndpointSlices => "EndpointSlice",
            Self::Endpoints => "Endpoints",
        }
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub const fn group(self) -> &'static str {
        match self {
            Self::Services | Self::Endpoints => "",
            Self::EndpointSlices => "discovery.k8s.io",
        }
    }

    /// The object's `apiVersion`.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Services | Self::Endpoints => "v1",
            Self::EndpointSlices => "discovery.k8s.io/v1",
        }
    }

    /// Where the API version of this resource is rooted.
    #[must_use]
    pub const fn root(self) -> &'static str {
        match self {
            Self::Services | Self::Endpoints => "/api/v1",
            Self::EndpointSlices => "/apis/discovery.k8s.io/v1",
        }
    }

    /// `services`, or `endpointslices.discovery.k8s.io`: how messages name it.
    #[must_use]
    pub const fn qualified(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices.discovery.k8s.io",
            Self::Endpoints => "endpoints",
        }
    }

    /// How every single object of this resource begins, as Go encodes it.
    #[must_use]
    pub const fn object_head(self) -> &'static str {
        match self {
            Self::Services => r#"{"kind":"Service","apiVersion":"v1","#,
            Self::EndpointSlices => {
                r#"{"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","#
            }
            Self::Endpoints => r#"{"kind":"Endpoints","apiVersion":"v1","#,
        }
    }

    /// The path of the collection, in one namespace or in all.
    #[must_use]
    pub fn collection(self, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => {
                format!("{}/namespaces/{namespace}/{}", self.root(), self.plural())
            }
            None => format!("{}/{}", self.root(), self.plural()),
        }
    }

    /// The resource of that plural under that root, if it is served.
    #[must_use]
    pub fn find(root: &str, plural: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource| resource.root() == root && resource.plural() == plural)
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
