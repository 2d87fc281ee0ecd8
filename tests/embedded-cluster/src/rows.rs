//! What kubectl prints of the kinds that an emitter does not know, and what field
//! selectors may name.

use emitter_cache::table::cells::{Metadata, read};
use emitter_cache::table::human_duration;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

type Selected = serde_json::Result<Vec<Box<str>>>;

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Plain {
    metadata: Metadata,
    data: Map<String, Value>,
    binary_data: Map<String, Value>,
    #[serde(rename = "type")]
    secret_type: String,
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    holder_identity: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    phase: String,
}

pub(crate) fn config_map(json: &[u8], now: Timestamp) -> Vec<Value> {
    let it: Plain = read(json);
    let n_entries = it.data.len() + it.binary_data.len();
    vec![
        json!(it.metadata.name),
        json!(n_entries),
        json!(it.metadata.age(now)),
    ]
}

pub(crate) fn secret(json: &[u8], now: Timestamp) -> Vec<Value> {
    let it: Plain = read(json);
    vec![
        json!(it.metadata.name),
        json!(it.secret_type),
        json!(it.data.len()),
        json!(it.metadata.age(now)),
    ]
}

pub(crate) fn lease(json: &[u8], now: Timestamp) -> Vec<Value> {
    let it: Plain = read(json);
    vec![
        json!(it.metadata.name),
        json!(it.spec.holder_identity),
        json!(it.metadata.age(now)),
    ]
}

pub(crate) fn service_import(json: &[u8], now: Timestamp) -> Vec<Value> {
    let it: Import = read(json);
    let ips = Value::from(it.spec.ips).to_string();
    vec![
        json!(it.metadata.name),
        json!(it.spec.import_type),
        json!(ips),
        json!(it.metadata.age(now)),
    ]
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Import {
    metadata: Metadata,
    spec: ImportSpec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ImportSpec {
    #[serde(rename = "type")]
    import_type: String,
    ips: Vec<String>,
}

/// Of either group, whose fields have different names for the same.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Event {
    metadata: Metadata,
    #[serde(alias = "regarding")]
    involved_object: Reference,
    #[serde(alias = "note")]
    message: String,
    reason: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(alias = "deprecatedSource")]
    source: Source,
    #[serde(alias = "reportingController")]
    reporting_component: String,
    #[serde(alias = "deprecatedFirstTimestamp")]
    first_timestamp: Option<Timestamp>,
    #[serde(alias = "deprecatedLastTimestamp")]
    last_timestamp: Option<Timestamp>,
    event_time: Option<Timestamp>,
    #[serde(alias = "deprecatedCount")]
    count: i64,
    series: Option<Series>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Reference {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    api_version: String,
    resource_version: String,
    field_path: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    component: String,
    host: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Series {
    count: i64,
    last_observed_time: Option<Timestamp>,
}

impl Event {
    fn object(&self) -> String {
        let kind = self.involved_object.kind.to_lowercase();
        match self.involved_object.name.as_str() {
            "" => kind,
            name => format!("{kind}/{name}"),
        }
    }

    fn reporter(&self) -> &str {
        match self.source.component.as_str() {
            "" => &self.reporting_component,
            component => component,
        }
    }

    fn source(&self) -> String {
        match self.source.host.as_str() {
            "" => self.reporter().to_owned(),
            host => format!("{}, {host}", self.reporter()),
        }
    }
}

pub(crate) fn event(json: &[u8], now: Timestamp) -> Vec<Value> {
    let it: Event = read(json);
    let ago = |time: Option<Timestamp>| {
        time.map_or_else(
            || "<unknown>".to_owned(),
            |time| human_duration(now.as_second() - time.as_second()),
        )
    };
    let first = it.first_timestamp.or(it.event_time);
    let (last, count) = match &it.series {
        Some(series) => (series.last_observed_time, series.count),
        // An event that is told of once has no count in the newer group.
        None => (it.last_timestamp.or(first), it.count.max(1)),
    };
    vec![
        json!(ago(last)),
        json!(it.event_type),
        json!(it.reason),
        json!(it.object()),
        json!(it.involved_object.field_path),
        json!(it.source()),
        json!(it.message.trim()),
        json!(ago(first)),
        json!(count),
        json!(it.metadata.name),
    ]
}

pub(crate) fn select_secret(json: &[u8]) -> Selected {
    let it: Plain = serde_json::from_slice(json)?;
    Ok(vec![it.secret_type.into()])
}

pub(crate) const CORE_EVENT_FIELDS: &[&str] = &[
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

pub(crate) const EVENT_FIELDS: &[&str] = &[
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

pub(crate) fn select_core_event(json: &[u8]) -> Selected {
    let it: Event = serde_json::from_slice(json)?;
    let source = it.reporter().into();
    let mut fields = about(it.involved_object);
    fields.extend([
        it.reason.into(),
        it.reporting_component.into(),
        source,
        it.event_type.into(),
    ]);
    Ok(fields)
}

pub(crate) fn select_event(json: &[u8]) -> Selected {
    let it: Event = serde_json::from_slice(json)?;
    let mut fields = about(it.involved_object);
    fields.extend([
        it.reason.into(),
        it.reporting_component.into(),
        it.event_type.into(),
    ]);
    Ok(fields)
}

fn about(it: Reference) -> Vec<Box<str>> {
    [
        it.kind,
        it.namespace,
        it.name,
        it.uid,
        it.api_version,
        it.resource_version,
        it.field_path,
    ]
    .map(Into::into)
    .into()
}
