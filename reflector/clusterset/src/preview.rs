//! Writes of all imports, in advance: each is performed on the state alone, until none is due.

use proto_types::{ObjectKey, RawObject, Resource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{Action, Request, actions};
use crate::api::Version;
use crate::explain::{ImportExplanation, explain};
use crate::export::{Export, ExportedService};
use crate::known::Change;
use crate::local::Observed;
use crate::plan::plan;
use crate::state::ClusterSet;
use crate::update::Update;

/// Writes for one import, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportPreview {
    /// Writes in their order.
    pub actions: Vec<ImportAction>,
    /// State of each cluster, conflicts and problems.
    #[serde(flatten)]
    pub explanation: ImportExplanation,
}

/// A write of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportAction {
    /// `create`, `update` or `delete`.
    pub action: String,
    /// Kind of the object, with `/status` for a write of its status.
    pub kind: String,
    /// Namespace and name.
    pub object: String,
}

/// Turns of one import until nothing is due: Service, import, status.
const MAX_TURNS: usize = 8;

/// Addresses for documentation (RFC 5737, RFC 3849): those that the API server assigns are not
/// known in advance.
const ADDRESSES: [(&str, &str); 2] = [("IPv4", "192.0.2.1"), ("IPv6", "2001:db8::1")];

/// Returns the writes of all imports, in the order of their names. Imports without writes,
/// conflicts and problems are left out.
#[must_use]
pub fn previews(mut set: ClusterSet, version: Version, now: &str) -> Vec<ImportPreview> {
    let mut keys: Vec<_> = set.keys().into_iter().collect();
    keys.sort();
    let previews = keys.iter().filter_map(|key| {
        let actions = rehearse(&mut set, key, version, now);
        let explanation = explain(&set, key, &plan(&set, key)?, &[]);
        let is_quiet = explanation.problems.is_empty() && explanation.conflicts.is_empty();
        (!is_quiet || !actions.is_empty()).then_some(ImportPreview {
            actions,
            explanation,
        })
    });
    previews.collect()
}

/// Performs what is due for an import until nothing is.
fn rehearse(
    set: &mut ClusterSet,
    key: &ObjectKey,
    version: Version,
    now: &str,
) -> Vec<ImportAction> {
    let mut writes = Vec::new();
    for turn in 0..MAX_TURNS {
        let Some(plan) = plan(set, key) else {
            return writes;
        };
        let due = actions(set, key, &plan, version, now);
        if due.is_empty() {
            return writes;
        }
        for action in due {
            perform(set, &action, turn);
            let write = ImportAction::from(&action);
            if !writes.contains(&write) {
                writes.push(write);
            }
        }
    }
    writes
}

impl From<&Action> for ImportAction {
    fn from(action: &Action) -> Self {
        let kind = action.resource.kind;
        let (action_name, kind) = match &action.request {
            Request::Create(_) => ("create", kind.to_owned()),
            Request::Update(_) => ("update", kind.to_owned()),
            Request::UpdateStatus(_) => ("update", format!("{kind}/status")),
            Request::Delete(_) => ("delete", kind.to_owned()),
        };
        Self {
            action: action_name.to_owned(),
            kind,
            object: action.key.to_string(),
        }
    }
}

fn perform(set: &mut ClusterSet, action: &Action, turn: usize) {
    let object = match &action.request {
        Request::Create(body) | Request::Update(body) | Request::UpdateStatus(body) => {
            stored(action, body, turn)
        }
        Request::Delete(_) => None,
    };
    let key = &action.key;
    let local = set.settings().local.clone();
    let update = match (action.resource.plural, &object) {
        ("serviceimports", it) => Update::Imports(change(key, it, |it| Some(Observed::import(it)))),
        ("serviceexports", it) => {
            Update::Exports(local, change(key, it, |it| Some(Export::read(it))))
        }
        ("services", it) => {
            let service = change(key, it, |it| Some(ExportedService::read(it)));
            set.update(Update::Services(local, service));
            Update::Derived(change(key, it, Observed::derived))
        }
        (_, it) => Update::Copies(change(key, it, Observed::slice)),
    };
    set.update(update);
}

fn change<T>(
    key: &ObjectKey,
    object: &Option<RawObject>,
    read: impl FnOnce(&RawObject) -> Option<T>,
) -> Change<ObjectKey, T> {
    match object.as_ref().and_then(read) {
        Some(object) => Change::Applied(key.clone(), object),
        None => Change::Deleted(key.clone()),
    }
}

/// Returns an object as the API server would store it.
fn stored(action: &Action, body: &[u8], turn: usize) -> Option<RawObject> {
    let mut object: Value = serde_json::from_slice(body).ok()?;
    object["metadata"]["resourceVersion"] = json!(format!("{}", turn + 1));
    if object["metadata"]["uid"].is_null() {
        object["metadata"]["uid"] = json!("not-created-yet");
    }
    let is_service = action.resource.plural == Resource::Services.plural();
    if is_service && object["spec"]["clusterIPs"].is_null() {
        let families = object["spec"]["ipFamilies"].as_array().cloned();
        let families = families.unwrap_or_else(|| vec![json!("IPv4")]);
        let address = |family: &Value| {
            let mut known = ADDRESSES.iter();
            known.find(|it| family == it.0).map(|it| it.1)
        };
        let addresses: Vec<_> = families.iter().filter_map(address).collect();
        object["spec"]["clusterIP"] = json!(addresses.first());
        object["spec"]["clusterIPs"] = json!(addresses);
        object["spec"]["ipFamilies"] = json!(families);
    }
    RawObject::parse(action.resource, &object.to_string().into()).ok()
}
