//! Desired objects of one import: the derived Service, EndpointSlices and the ServiceImport.

use proto_types::{Labels, ObjectKey};
use reflector_planner::service::{
    Affinity, Families, ServiceKind, ServicePort, ServiceSpec, Target,
};
use reflector_planner::slice::EndpointSliceSpec;
use serde_json::{Value, json};

use crate::id::ClusterId;
use crate::local::{DerivedObject, ImportObject};
use crate::merge::{ImportType, Merged};
use crate::name;
use crate::ports::ImportPort;

/// Desired state of one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Desired<T> {
    /// The object exists and shows this.
    Present(T),
    /// The object does not exist.
    Absent,
    /// The object stays as it is.
    Unchanged,
}

/// Desired derived Service.
#[derive(Debug, Clone, PartialEq)]
pub struct Derived {
    /// Fields that follow the import.
    pub spec: ServiceSpec,
    /// Internal traffic policy.
    pub internal_traffic_policy: Box<str>,
}

/// Desired ServiceImport.
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// `spec`.
    pub spec: Value,
    /// Exported labels.
    pub labels: Labels,
    /// Exported annotations.
    pub annotations: Labels,
    /// The derived Service; none for a headless import.
    pub derived: Option<ObjectKey>,
    /// Clusters that export it now, which a new import records.
    pub exporters: Vec<ClusterId>,
}

/// Desired copy of an EndpointSlice.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// The cluster of its endpoints.
    pub cluster: ClusterId,
    /// The EndpointSlice that it copies.
    pub source: ObjectKey,
    /// Service that its endpoints serve.
    pub attachment: Attachment,
    /// Endpoints and ports.
    pub spec: EndpointSliceSpec,
}

/// Service that the endpoints of a copied EndpointSlice serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attachment {
    /// The derived Service of that name.
    Service(ObjectKey),
    /// None, because the import is headless.
    Headless,
    /// None, because other clusters serve first.
    Standby,
}

/// Returns the derived Service of an import.
pub(crate) fn derived_service(merged: &Merged, observed: Option<&DerivedObject>) -> Derived {
    let port = |it: &ImportPort| ServicePort {
        name: it.name.clone(),
        protocol: it.protocol.clone(),
        port: it.port,
        target: Target::Number(it.port),
        app_protocol: it.app_protocol.clone(),
    };
    // An address is constant for the life of the import, and so is its first family.
    let families = match (merged.families, observed) {
        (Families::Single(_), Some(observed)) => match observed.spec.kind {
            ServiceKind::Virtual(it @ Families::Single(_)) => it,
            _ => merged.families,
        },
        (families, _) => families,
    };
    Derived {
        spec: ServiceSpec {
            kind: ServiceKind::Virtual(families),
            ports: merged.ports.iter().map(port).collect(),
            affinity: merged.affinity,
            publish_not_ready: merged.publish_not_ready,
            traffic_distribution: merged.traffic_distribution.clone(),
        },
        internal_traffic_policy: merged.internal_traffic_policy.clone(),
    }
}

/// Returns the import, once its derived Service has an address.
pub(crate) fn wanted_import<'a>(
    key: &ObjectKey,
    merged: &Merged,
    derived: Option<&DerivedObject>,
    exporters: impl Iterator<Item = &'a ClusterId>,
) -> Desired<Import> {
    let (ips, families) = match (merged.import_type, derived) {
        (ImportType::Headless, _) => (Vec::new(), headless_families(merged.families)),
        (ImportType::ClusterSetIp, Some(derived)) if has_addresses(derived) => {
            (derived.cluster_ips.clone(), derived.families.clone())
        }
        (ImportType::ClusterSetIp, _) => return Desired::Unchanged,
    };
    let is_headless = merged.import_type == ImportType::Headless;
    Desired::Present(Import {
        spec: import_spec(merged, &ips, &families),
        labels: merged.labels.clone(),
        annotations: merged.annotations.clone(),
        derived: (!is_headless).then(|| name::derived_service(key)),
        exporters: exporters.cloned().collect(),
    })
}

/// Returns whether a Service has one valid address for each of its families.
fn has_addresses(derived: &DerivedObject) -> bool {
    let is_address = |it: &String| it.parse::<std::net::IpAddr>().is_ok();
    !derived.cluster_ips.is_empty()
        && derived.cluster_ips.len() == derived.families.len()
        && derived.cluster_ips.iter().all(is_address)
}

fn headless_families(families: Families) -> Vec<String> {
    match families {
        Families::Unstated => Vec::new(),
        Families::Single(family) => vec![family.as_str().to_owned()],
        Families::Dual(family) => {
            let all = ["IPv4", "IPv6"].into_iter();
            let others = all.filter(|it| *it != family.as_str());
            std::iter::once(family.as_str())
                .chain(others)
                .map(str::to_owned)
                .collect()
        }
    }
}

fn import_spec(merged: &Merged, ips: &[String], families: &[String]) -> Value {
    let port = |it: &ImportPort| {
        let mut port = json!({"port": it.port, "protocol": it.protocol});
        if !it.name.is_empty() {
            port["name"] = json!(it.name);
        }
        if let Some(spoken) = &it.app_protocol {
            port["appProtocol"] = json!(spoken);
        }
        port
    };
    let ports: Vec<_> = merged.ports.iter().map(port).collect();
    let mut spec = json!({
        "type": merged.import_type.as_str(),
        "ports": ports,
        "internalTrafficPolicy": merged.internal_traffic_policy,
    });
    match merged.affinity {
        Affinity::None => spec["sessionAffinity"] = json!("None"),
        Affinity::ClientIp(seconds) => {
            spec["sessionAffinity"] = json!("ClientIP");
            spec["sessionAffinityConfig"] = json!({"clientIP": {"timeoutSeconds": seconds}});
        }
    }
    if let Some(distribution) = &merged.traffic_distribution {
        spec["trafficDistribution"] = json!(distribution);
    }
    if !ips.is_empty() {
        spec["ips"] = json!(ips);
    }
    if !families.is_empty() {
        spec["ipFamilies"] = json!(families);
    }
    if let Some(selectors) = &merged.selectors {
        spec["clusterSelectors"] = selectors.written.clone();
    }
    spec
}

/// Returns the ports that an import has now.
pub(crate) fn shown_ports(import: &ImportObject) -> Vec<ImportPort> {
    let ports = import.spec.get("ports").and_then(Value::as_array);
    let text = |port: &Value, field: &str| port.get(field).and_then(Value::as_str).map(Box::from);
    let read = |port: &Value| {
        Some(ImportPort {
            name: text(port, "name").unwrap_or_default(),
            protocol: text(port, "protocol").unwrap_or_else(|| "TCP".into()),
            port: port.get("port")?.as_u64()?.try_into().ok()?,
            app_protocol: text(port, "appProtocol"),
        })
    };
    ports.into_iter().flatten().filter_map(read).collect()
}
