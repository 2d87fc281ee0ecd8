//! Rejection of access configurations that lack what they name.
//!
//! A key without a value reads as an absent key, and an absent key grants more than a
//! present one. A file that is being edited must not grant anything.

use serde_json::Value;

/// Rejects a document without content, and every key or list item without a value.
pub(super) fn check(text: &str) -> Result<(), String> {
    let document = match text.trim().is_empty() {
        true => Value::Null,
        false => serde_saphyr::from_str(text).map_err(|why| why.to_string())?,
    };
    let is_empty = match &document {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
    };
    if is_empty {
        return Err("it is empty; write `consumers: []` to deny access to all clients".to_owned());
    }
    match missing(&document) {
        Some(path) => Err(format!(
            "{path} has no value; give it a value or remove the key"
        )),
        None => Ok(()),
    }
}

/// Returns the path of the first value that is null.
fn missing(value: &Value) -> Option<String> {
    let below = |name: String, value: &Value| {
        let rest = missing(value)?;
        let dot = if rest.is_empty() || rest.starts_with('[') {
            ""
        } else {
            "."
        };
        Some(format!("{name}{dot}{rest}"))
    };
    match value {
        Value::Null => Some(String::new()),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| below(name.clone(), value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, value)| below(format!("[{i}]"), value)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
