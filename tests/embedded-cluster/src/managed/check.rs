//! What cannot be applied: fields that nobody knows, and elements that cannot be told
//! apart.

use proto_types::Status;
use serde_json::Value;

use super::shape::{self, Inside, Shape};
use crate::Kind;
use crate::decode::decode;
use crate::metadata::text;

/// Refuses a configuration of which it is not clear what it says.
pub(crate) fn check(kind: Kind, config: &Value) -> Result<(), Status> {
    let names = kind.names();
    let said = |field: &str| config[field].as_str().unwrap_or_default();
    let (version, said_kind) = (said("apiVersion"), said("kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let it = format!("{group}/{version}, Kind={said_kind}");
    if said("apiVersion") != names.api_version || said_kind != names.kind {
        return Err(Status::bad_request(format!("invalid object type: {it}")));
    }
    if !config["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let wrongs = match decode(kind, config.clone()) {
        Ok(decoded) => {
            let unknown = decoded.unknown.into_iter();
            let unknown = unknown.map(|it| format!(".{it}: field not declared in schema"));
            let mut wrongs: Vec<String> = unknown.collect();
            elements(shape::of(kind), config, "", &mut wrongs);
            wrongs
        }
        Err(status) => vec![status.message],
    };
    let wrongs = match wrongs.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        all => format!("errors:\n  {}", all.join("\n  ")),
    };
    let (namespace, name) = (text(config, "namespace"), text(config, "name"));
    let message =
        format!("failed to create typed patch object ({namespace}/{name}; {it}): {wrongs}");
    Err(Status::failure(500, "", message))
}

fn elements(shape: Shape, value: &Value, path: &str, wrongs: &mut Vec<String>) {
    match shape.inside([Some(value), None]) {
        Inside::Nothing => {}
        Inside::Object => {
            for (name, value) in value.as_object().into_iter().flatten() {
                elements(shape.field(name), value, &format!("{path}.{name}"), wrongs);
            }
        }
        Inside::List => {
            let mut seen = Vec::new();
            let items = value.as_array().into_iter().flatten();
            for (i, element) in items.enumerate() {
                let step = shape.step(i, element);
                match seen.contains(&step) {
                    true => wrongs.push(format!("{path}: duplicate entries for key {step}")),
                    false => seen.push(step),
                }
            }
        }
    }
}
