//! The last state of members, recorded on the global Service itself: a reflector that starts while
//! a member is disconnected gets from it what the member contributes.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::member::Member;
use super::mode::SyndicateMode;
use crate::service::{Families, Family, ServiceKind, ServiceSpec};
use crate::wire;

/// Last known state of one member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MemberRecord {
    /// Creation time of its Service.
    pub(crate) created: Option<Box<str>>,
    /// Content of its Service; `None` if it was too long to be recorded.
    pub(crate) spec: Option<ServiceSpec>,
    /// `true` if it requested the endpoints of the local cluster first.
    pub(crate) local_first: bool,
    /// Its failover order.
    pub(crate) failover: Option<Box<str>>,
    /// Failover threshold that it requested.
    pub(crate) failover_min: Option<Box<str>>,
    /// Mode while a workload moved.
    pub(crate) mode: SyndicateMode,
}

/// All that was written down. Members mostly have the same values, which are written once.
#[derive(Serialize, Deserialize)]
struct Record {
    members: Vec<Entry>,
    specs: Vec<Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    cluster: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    created: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    spec: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    local_first: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    failover: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    failover_min: Option<Box<str>>,
    #[serde(skip_serializing_if = "str::is_empty", default)]
    mode: Box<str>,
}

/// An API server takes 256 KiB of annotations altogether.
const MAX_RECORD: usize = 128 << 10;

/// Records the state of the members.
pub(crate) fn written(members: &[Member<'_>]) -> String {
    let mut specs: Vec<(&ServiceSpec, Value)> = Vec::new();
    let entries = members.iter().map(|member| {
        let known = specs.iter().position(|(it, _)| **it == *member.spec);
        let spec = known.unwrap_or_else(|| {
            specs.push((&member.spec, encoded(&member.spec)));
            specs.len() - 1
        });
        Entry {
            cluster: member.name.as_str().into(),
            created: member.created.clone(),
            spec: Some(spec),
            local_first: member.local_first,
            failover: member.failover.clone(),
            failover_min: member.failover_min.clone(),
            mode: member.mode.as_str().into(),
        }
    });
    let mut record = Record {
        members: entries.collect(),
        specs: Vec::new(),
    };
    record.specs = specs.into_iter().map(|(_, spec)| spec).collect();
    let text = json!(record).to_string();
    if text.len() <= MAX_RECORD {
        return text;
    }
    for entry in &mut record.members {
        entry.spec = None;
    }
    record.specs.clear();
    json!(record).to_string()
}

/// Returns the recorded state of one member.
pub(crate) fn read(text: &str, cluster: &str) -> Option<MemberRecord> {
    let Record { members, specs } = serde_json::from_str(text).ok()?;
    let entry = members.into_iter().find(|it| *it.cluster == *cluster)?;
    let spec = entry.spec.and_then(|i| specs.get(i));
    Some(MemberRecord {
        created: entry.created,
        spec: spec.and_then(decoded),
        local_first: entry.local_first,
        failover: entry.failover,
        failover_min: entry.failover_min,
        mode: SyndicateMode::parse(&entry.mode).unwrap_or_default(),
    })
}

/// Returns the clusters that were written down, in their order.
pub(crate) fn clusters(text: &str) -> Vec<Box<str>> {
    let record = serde_json::from_str::<Record>(text);
    let members = record.map(|it| it.members).unwrap_or_default();
    members.into_iter().map(|it| it.cluster).collect()
}

fn encoded(spec: &ServiceSpec) -> Value {
    let mut object = Map::new();
    spec.write(&mut object);
    if let ServiceKind::Virtual(Families::Dual(primary))
    | ServiceKind::Headless(Families::Dual(primary)) = &spec.kind
    {
        let second = match primary {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        };
        let families = json!([primary.as_str(), second.as_str()]);
        object.insert("ipFamilies".to_owned(), families);
    }
    Value::Object(object)
}

fn decoded(spec: &Value) -> Option<ServiceSpec> {
    let spec = wire::ServiceSpec::deserialize(spec).ok()?;
    Some(ServiceSpec::of_source(spec))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::{MemberRecord, SyndicateMode, read, written};
    use crate::plan::global::member::Member;
    use crate::service::{
        Affinity, Families, Family, ServiceKind, ServicePort, ServiceSpec, Target,
    };

    fn port(i: u16) -> ServicePort {
        ServicePort {
            name: format!("a-port-with-a-long-name-{i}").into(),
            protocol: "TCP".into(),
            port: i,
            target: Target::Name("x".into()),
            app_protocol: Some("h2c".into()),
        }
    }

    fn spec(kind: ServiceKind, n_ports: u16) -> ServiceSpec {
        ServiceSpec {
            kind,
            ports: (1..=n_ports).map(port).collect(),
            affinity: Affinity::ClientIp(7),
            publish_not_ready: true,
            traffic_distribution: Some("PreferSameZone".into()),
        }
    }

    #[test]
    fn a_record_is_read_back() {
        let families = [
            Families::Unstated,
            Families::Single(Family::V6),
            Families::Dual(Family::V6),
        ];
        let kinds = families.map(|it| [ServiceKind::Virtual(it), ServiceKind::Headless(it)]);
        for kind in kinds.as_flattened() {
            let names = ["east", "west"].map(|it| it.parse().unwrap());
            let spec = spec(kind.clone(), 2);
            let members = names.each_ref().map(|name| Member {
                name: Cow::Borrowed(name),
                created: Some("2026-01-01T00:00:00Z".into()),
                spec: Cow::Borrowed(&spec),
                local_first: true,
                failover: Some("here".into()),
                failover_min: Some("2".into()),
                mode: SyndicateMode::Union,
                serves: true,
                rank: None,
                content: None,
            });
            let text = written(&members);
            let remembered = MemberRecord {
                created: Some("2026-01-01T00:00:00Z".into()),
                spec: Some(spec.clone()),
                local_first: true,
                failover: Some("here".into()),
                failover_min: Some("2".into()),
                mode: SyndicateMode::Union,
            };
            assert_eq!(read(&text, "west"), Some(remembered), "{text}");
            assert_eq!(read(&text, "north"), None);
            assert_eq!(text.matches("\"ports\"").count(), 1, "{text}");
        }
        assert_eq!(read("nonsense", "west"), None);
    }

    #[test]
    fn a_record_has_a_limit_and_names_the_members_nevertheless() {
        let name = Cow::Owned("east".parse().unwrap());
        let spec = spec(ServiceKind::Virtual(Families::Unstated), 3000);
        let text = written(&[Member {
            name,
            created: None,
            spec: Cow::Borrowed(&spec),
            local_first: false,
            failover: None,
            failover_min: None,
            mode: SyndicateMode::Plain,
            serves: true,
            rank: None,
            content: None,
        }]);
        let nothing = MemberRecord {
            created: None,
            spec: None,
            local_first: false,
            failover: None,
            failover_min: None,
            mode: SyndicateMode::Plain,
        };
        assert_eq!(read(&text, "east"), Some(nothing));
    }
}
