//! A Service as far as a mirror shows it: read from either side, and written.

mod unexpected;

use serde_json::{Map, Value, json};

use crate::wire;

pub use unexpected::clear_pod_selector;

/// Content of a Service that a mirror shows. Defaults of the API server are filled in, so that
/// source and mirror can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSpec {
    /// Kind of access.
    pub kind: ServiceKind,
    /// Its ports, in order.
    pub ports: Box<[ServicePort]>,
    /// Session affinity.
    pub affinity: Affinity,
    /// `true` if endpoints get DNS names before they are ready.
    pub publish_not_ready: bool,
    /// Preference of kube-proxy for endpoints.
    pub traffic_distribution: Option<Box<str>>,
}

/// Kind of access to a Service. An API server cannot change one into another without loss, so the
/// mirror is deleted and created again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceKind {
    /// By a virtual address.
    Virtual(Families),
    /// By the addresses of its endpoints.
    Headless(Families),
    /// By another name.
    External(Box<str>),
}

/// The address families of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// The source has none; the local API server chooses.
    Unstated,
    /// One.
    Single(Family),
    /// Both, where the cluster has both. The first is the primary one.
    Dual(Family),
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Session affinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// It does not.
    None,
    /// It does for that many seconds.
    ClientIp(u32),
}

/// One port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, empty if it is the only one.
    pub name: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// The number.
    pub port: u16,
    /// The endpoints' port.
    pub target: Target,
    /// Application protocol.
    pub app_protocol: Option<Box<str>>,
}

/// The endpoints' port, by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A number.
    Number(u16),
    /// A name that endpoints resolve.
    Name(Box<str>),
}

/// Default of the API server for affinity without a timeout: three hours.
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;

/// Fields that an API server fills in, or that a mirror keeps as they are. All others are
/// written as the source has them, or removed.
const FIELDS_OF_SERVER: [&str; 5] = [
    "clusterIP",
    "clusterIPs",
    "ipFamilies",
    "ipFamilyPolicy",
    "selector",
];

/// Default of the API server for `internalTrafficPolicy`.
const DEFAULT_TRAFFIC_POLICY: &str = "Cluster";

impl ServiceSpec {
    /// Reads a source Service.
    pub(crate) fn of_source(spec: wire::ServiceSpec) -> Self {
        let families = match spec.families().as_slice() {
            [] => Families::Unstated,
            [only] => Families::Single(*only),
            [primary, ..] => Families::Dual(*primary),
        };
        Self::read(spec, families)
    }

    /// Reads a Service of the local cluster.
    pub(crate) fn observed(spec: wire::ServiceSpec) -> Self {
        // On a cluster with one family, a Service that prefers two has one.
        let families = match (spec.families().first(), spec.ip_family_policy.as_deref()) {
            (None, _) => Families::Unstated,
            (Some(family), Some("PreferDualStack" | "RequireDualStack")) => Families::Dual(*family),
            (Some(family), _) => Families::Single(*family),
        };
        Self::read(spec, families)
    }

    fn read(spec: wire::ServiceSpec, families: Families) -> Self {
        let kind = match (spec.service_type.as_deref(), spec.cluster_ip.as_deref()) {
            (Some("ExternalName"), _) => {
                ServiceKind::External(spec.external_name.unwrap_or_default())
            }
            (_, Some("None")) => ServiceKind::Headless(families),
            (_, _) => ServiceKind::Virtual(families),
        };
        let seconds = spec
            .session_affinity_config
            .and_then(|config| config.client_ip?.timeout_seconds);
        let affinity = match spec.session_affinity.as_deref() {
            Some("ClientIP") => Affinity::ClientIp(seconds.unwrap_or(DEFAULT_AFFINITY_SECONDS)),
            Some(_) | None => Affinity::None,
        };
        let ports = spec.ports.unwrap_or_default();
        Self {
            kind,
            ports: ports.into_iter().map(ServicePort::read).collect(),
            affinity,
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
            traffic_distribution: spec.traffic_distribution,
        }
    }

    /// Returns whether a mirror that shows `observed` needs no write.
    pub(crate) fn agrees(&self, observed: &Self) -> bool {
        let kinds = match (&self.kind, &observed.kind) {
            (ServiceKind::Virtual(wanted), ServiceKind::Virtual(observed))
            | (ServiceKind::Headless(wanted), ServiceKind::Headless(observed)) => {
                wanted.agrees(*observed)
            }
            (wanted, observed) => wanted == observed,
        };
        kinds
            && self.ports == observed.ports
            && self.affinity == observed.affinity
            && self.publish_not_ready == observed.publish_not_ready
            && self.traffic_distribution == observed.traffic_distribution
    }

    /// Returns whether an API server refuses to change `observed` into this.
    pub(crate) fn must_replace(&self, observed: &Self) -> bool {
        match (&self.kind, &observed.kind) {
            (ServiceKind::Virtual(wanted), ServiceKind::Virtual(observed))
            | (ServiceKind::Headless(wanted), ServiceKind::Headless(observed)) => {
                match (wanted, observed) {
                    // The primary family stays for life.
                    (
                        Families::Single(wanted),
                        Families::Single(observed) | Families::Dual(observed),
                    ) => wanted != observed,
                    (Families::Unstated | Families::Dual(_), _) | (_, Families::Unstated) => false,
                }
            }
            (ServiceKind::External(_), ServiceKind::External(_)) => false,
            (ServiceKind::Virtual(_) | ServiceKind::Headless(_) | ServiceKind::External(_), _) => {
                true
            }
        }
    }

    /// Puts this into a `spec`, which may hold what others wrote.
    pub(crate) fn write(&self, spec: &mut Map<String, Value>) {
        let selector = spec.get("selector").and_then(Value::as_object);
        if !selector.is_some_and(|it| unexpected::selects_no_pod(it.keys().map(String::as_str))) {
            spec.remove("selector");
        }
        spec.retain(|field, _| FIELDS_OF_SERVER.contains(&field.as_str()));
        match &self.kind {
            ServiceKind::External(name) => {
                spec.insert("type".to_owned(), json!("ExternalName"));
                spec.insert("externalName".to_owned(), json!(name));
            }
            ServiceKind::Virtual(families) | ServiceKind::Headless(families) => {
                spec.insert("type".to_owned(), json!("ClusterIP"));
                families.write(spec);
            }
        }
        if matches!(self.kind, ServiceKind::Headless(_)) {
            spec.insert("clusterIP".to_owned(), json!("None"));
        }
        let ports: Vec<_> = self.ports.iter().map(ServicePort::written).collect();
        put(spec, "ports", (!ports.is_empty()).then_some(json!(ports)));
        self.affinity.write(spec);
        let early = self.publish_not_ready.then_some(json!(true));
        put(spec, "publishNotReadyAddresses", early);
        let distribution = self.traffic_distribution.as_ref().map(|it| json!(it));
        put(spec, "trafficDistribution", distribution);
    }
}

impl ServiceKind {
    /// The first IP family, if it is set.
    #[must_use]
    pub const fn family(&self) -> Option<Family> {
        match self {
            Self::Virtual(families) | Self::Headless(families) => match families {
                Families::Unstated => None,
                Families::Single(family) | Families::Dual(family) => Some(*family),
            },
            Self::External(_) => None,
        }
    }

    /// For people.
    #[must_use]
    pub fn describe(&self) -> &str {
        match self {
            Self::Virtual(_) => "with a virtual address",
            Self::Headless(_) => "headless",
            Self::External(_) => "as another name",
        }
    }
}

impl Families {
    fn agrees(self, observed: Self) -> bool {
        match (self, observed) {
            (Self::Unstated, _) | (Self::Dual(_), Self::Dual(_)) => true,
            (Self::Single(wanted), Self::Single(observed)) => wanted == observed,
            (Self::Single(_) | Self::Dual(_), _) => false,
        }
    }

    fn write(self, spec: &mut Map<String, Value>) {
        match self {
            Self::Unstated => {}
            Self::Single(family) => {
                spec.insert("ipFamilyPolicy".to_owned(), json!("SingleStack"));
                spec.insert("ipFamilies".to_owned(), json!([family.as_str()]));
                // The second address goes with its family.
                if let Some(Value::Array(addresses)) = spec.get_mut("clusterIPs") {
                    addresses.truncate(1);
                }
            }
            Self::Dual(_) => {
                spec.insert("ipFamilyPolicy".to_owned(), json!("PreferDualStack"));
            }
        }
    }
}

impl Family {
    /// As Kubernetes spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }
}

impl Affinity {
    fn write(self, spec: &mut Map<String, Value>) {
        let (affinity, config) = match self {
            Self::None => ("None", None),
            Self::ClientIp(seconds) => {
                let config = json!({"clientIP": {"timeoutSeconds": seconds}});
                ("ClientIP", Some(config))
            }
        };
        spec.insert("sessionAffinity".to_owned(), json!(affinity));
        put(spec, "sessionAffinityConfig", config);
    }
}

impl ServicePort {
    fn read(port: wire::ServicePort) -> Self {
        let target = match port.target_port {
            Some(wire::Target::Number(number)) if number != 0 => Target::Number(number),
            Some(wire::Target::Name(name)) if !name.is_empty() => Target::Name(name),
            Some(_) | None => Target::Number(port.port),
        };
        Self {
            name: port.name,
            protocol: port.protocol.unwrap_or_else(|| "TCP".into()),
            port: port.port,
            target,
            app_protocol: port.app_protocol,
        }
    }

    fn written(&self) -> Value {
        let mut port = Map::new();
        if !self.name.is_empty() {
            port.insert("name".to_owned(), json!(self.name));
        }
        port.insert("protocol".to_owned(), json!(self.protocol));
        port.insert("port".to_owned(), json!(self.port));
        let target = match &self.target {
            Target::Number(number) => json!(number),
            Target::Name(name) => json!(name),
        };
        port.insert("targetPort".to_owned(), target);
        let spoken = self.app_protocol.as_ref().map(|it| json!(it));
        put(&mut port, "appProtocol", spoken);
        Value::Object(port)
    }
}

impl wire::ServiceSpec {
    fn families(&self) -> Vec<Family> {
        let families = self.ip_families.iter().flatten();
        families
            .filter_map(|family| match &**family {
                "IPv4" => Some(Family::V4),
                "IPv6" => Some(Family::V6),
                _ => None,
            })
            .collect()
    }

    /// Returns whether it is reached from outside of its cluster too.
    pub(crate) fn is_exposed(&self) -> bool {
        let service_type = self.service_type.as_deref();
        matches!(service_type, Some("NodePort" | "LoadBalancer"))
    }
}

fn put(object: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => object.insert(field.to_owned(), value),
        None => object.remove(field),
    };
}
