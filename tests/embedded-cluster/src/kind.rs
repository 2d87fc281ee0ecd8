//! What is served, and what sets it apart.

use std::fmt;

use emitter_cache::ResourceDescriptor;
use emitter_cache::descriptor::{NAMESPACES, SERVICE_EXPORTS, select_nothing};
use emitter_cache::fields::FieldFilter;
use emitter_cache::protobuf::Message;
use proto_types::Resource;
use proto_types::multicluster::Version;
use proto_types::resource::ApiResource;

use crate::{rows, schema};

/// A served resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `configmaps`.
    ConfigMaps,
    /// `endpoints`.
    Endpoints,
    /// `events` of the core group: the same objects as [`Self::Events`].
    CoreEvents,
    /// `namespaces`.
    Namespaces,
    /// `secrets`.
    Secrets,
    /// `services`.
    Services,
    /// `leases` of `coordination.k8s.io`.
    Leases,
    /// `endpointslices` of `discovery.k8s.io`.
    EndpointSlices,
    /// `events` of `events.k8s.io`: the same objects as [`Self::CoreEvents`].
    Events,
    /// `serviceexports` of `multicluster.x-k8s.io`, as if their CRD were installed.
    ServiceExports,
    /// `serviceimports` of `multicluster.x-k8s.io`, as if their CRD were installed.
    ServiceImports,
}

impl Kind {
    /// Every kind, in the order in which discovery lists them.
    pub const ALL: [Self; 11] = [
        Self::ConfigMaps,
        Self::Endpoints,
        Self::CoreEvents,
        Self::Namespaces,
        Self::Secrets,
        Self::Services,
        Self::Leases,
        Self::EndpointSlices,
        Self::Events,
        Self::ServiceExports,
        Self::ServiceImports,
    ];

    /// How its objects are stored, written and shown.
    #[must_use]
    pub fn form(self) -> &'static ResourceDescriptor {
        match self {
            Self::ConfigMaps => &CONFIG_MAPS,
            Self::Endpoints => Resource::Endpoints.into(),
            Self::CoreEvents => &CORE_EVENTS,
            Self::Namespaces => &NAMESPACES,
            Self::Secrets => &SECRETS,
            Self::Services => Resource::Services.into(),
            Self::Leases => &LEASES,
            Self::EndpointSlices => Resource::EndpointSlices.into(),
            Self::Events => &EVENTS,
            Self::ServiceExports => &SERVICE_EXPORTS,
            Self::ServiceImports => &SERVICE_IMPORTS,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn names(self) -> &'static ApiResource {
        self.form().names
    }

    /// Its fields in protobuf, which custom resources do not have.
    pub(crate) fn message(self) -> Option<Message> {
        self.form().protobuf
    }

    /// Returns whether it is defined by a CRD.
    pub(crate) const fn is_custom(self) -> bool {
        matches!(self, Self::ServiceExports | Self::ServiceImports)
    }

    /// Whether its objects are in namespaces.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespaces)
    }

    /// Whether an object's status is written apart from the rest.
    #[must_use]
    pub const fn has_status(self) -> bool {
        self.is_custom() || matches!(self, Self::Services | Self::Namespaces)
    }

    /// The version of its API, without the group.
    #[must_use]
    pub fn version(self) -> &'static str {
        let version = self.names().api_version.rsplit('/').next();
        version.unwrap_or_default()
    }

    /// The kind of that plural under that root, if it is served.
    #[must_use]
    pub fn find(root: &str, plural: &str) -> Option<Self> {
        let is_it = |kind: &Self| kind.names().root == root && kind.names().plural == plural;
        Self::ALL.into_iter().find(is_it)
    }

    /// The kind of an object that says what it is.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let is_it = |it: &Self| it.names().api_version == api_version && it.names().kind == kind;
        Self::ALL.into_iter().find(is_it)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.names().plural)
    }
}

const CORE: ApiResource = ApiResource {
    plural: "",
    singular: "",
    short: None,
    kind: "",
    group: "",
    api_version: "v1",
    root: "/api/v1",
    qualified: "",
    object_head: "",
};

static CONFIG_MAPS: ResourceDescriptor = ResourceDescriptor {
    names: &ApiResource {
        plural: "configmaps",
        singular: "configmap",
        short: Some("cm"),
        kind: "ConfigMap",
        qualified: "configmaps",
        object_head: r#"{"kind":"ConfigMap","apiVersion":"v1","#,
        ..CORE
    },
    package: "core",
    keep: FieldFilter::Whole,
    selectable: &[],
    select: select_nothing,
    empty_tail: "}",
    columns: include_str!("columns/configmaps.json").trim_ascii_end(),
    cells: rows::config_map,
    protobuf: Some(schema::CONFIG_MAP),
    warning: None,
};

static SECRETS: ResourceDescriptor = ResourceDescriptor {
    names: &ApiResource {
        plural: "secrets",
        singular: "secret",
        short: None,
        kind: "Secret",
        qualified: "secrets",
        object_head: r#"{"kind":"Secret","apiVersion":"v1","#,
        ..CORE
    },
    package: "core",
    keep: FieldFilter::Whole,
    selectable: &["type"],
    select: rows::select_secret,
    empty_tail: "}",
    columns: include_str!("columns/secrets.json").trim_ascii_end(),
    cells: rows::secret,
    protobuf: Some(schema::SECRET),
    warning: None,
};

static LEASES: ResourceDescriptor = ResourceDescriptor {
    names: &ApiResource {
        plural: "leases",
        singular: "lease",
        short: None,
        kind: "Lease",
        group: "coordination.k8s.io",
        api_version: "coordination.k8s.io/v1",
        root: "/apis/coordination.k8s.io/v1",
        qualified: "leases.coordination.k8s.io",
        object_head: r#"{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","#,
    },
    package: "coordination",
    keep: FieldFilter::Whole,
    selectable: &[],
    select: select_nothing,
    empty_tail: r#","spec":{}}"#,
    columns: include_str!("columns/leases.json").trim_ascii_end(),
    cells: rows::lease,
    protobuf: Some(schema::LEASE),
    warning: None,
};

static CORE_EVENTS: ResourceDescriptor = ResourceDescriptor {
    names: &ApiResource {
        plural: "events",
        singular: "event",
        short: Some("ev"),
        kind: "Event",
        qualified: "events",
        object_head: r#"{"kind":"Event","apiVersion":"v1","#,
        ..CORE
    },
    package: "core",
    keep: FieldFilter::Whole,
    selectable: rows::CORE_EVENT_FIELDS,
    select: rows::select_core_event,
    empty_tail: r#","involvedObject":{},"source":{},"firstTimestamp":null,"lastTimestamp":null,"eventTime":null,"reportingComponent":"","reportingInstance":""}"#,
    columns: include_str!("columns/events.json").trim_ascii_end(),
    cells: rows::event,
    protobuf: Some(schema::CORE_EVENT),
    warning: None,
};

static EVENTS: ResourceDescriptor = ResourceDescriptor {
    names: &ApiResource {
        plural: "events",
        singular: "event",
        short: Some("ev"),
        kind: "Event",
        group: "events.k8s.io",
        api_version: "events.k8s.io/v1",
        root: "/apis/events.k8s.io/v1",
        qualified: "events.events.k8s.io",
        object_head: r#"{"kind":"Event","apiVersion":"events.k8s.io/v1","#,
    },
    package: "core",
    keep: FieldFilter::Whole,
    selectable: rows::EVENT_FIELDS,
    select: rows::select_event,
    empty_tail: r#","eventTime":null,"regarding":{},"deprecatedSource":{}}"#,
    columns: include_str!("columns/events.json").trim_ascii_end(),
    cells: rows::event,
    protobuf: Some(schema::EVENT),
    warning: None,
};

static SERVICE_IMPORTS: ResourceDescriptor = ResourceDescriptor {
    names: Version::V1Beta1.imports(),
    package: "v1beta1",
    keep: FieldFilter::Whole,
    selectable: &[],
    select: select_nothing,
    empty_tail: "}",
    columns: include_str!("columns/serviceimports.json").trim_ascii_end(),
    cells: rows::service_import,
    protobuf: None,
    warning: None,
};

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn a_kind_is_found_by_its_path_and_by_its_name() {
        for kind in Kind::ALL {
            let names = kind.names();
            assert_eq!(Kind::find(names.root, names.plural), Some(kind));
            assert_eq!(Kind::of(names.api_version, names.kind), Some(kind));
            let head = format!(
                r#"{{"kind":"{}","apiVersion":"{}","#,
                names.kind, names.api_version
            );
            assert_eq!(names.object_head, head);
        }
    }

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        for kind in Kind::ALL {
            let form = kind.form();
            let columns: Vec<serde_json::Value> = serde_json::from_str(form.columns).unwrap();
            let cells = (form.cells)(b"{}", jiff::Timestamp::UNIX_EPOCH);
            assert_eq!(columns.len(), cells.len(), "{kind}");
            let fields = (form.select)(b"{}").unwrap();
            assert_eq!(form.selectable.len(), fields.len(), "{kind}");
            let has_fields = kind.message().is_some_and(|it| !it.is_empty());
            assert_eq!(has_fields, !kind.is_custom(), "{kind}");
        }
    }
}
