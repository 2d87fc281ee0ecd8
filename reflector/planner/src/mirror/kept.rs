//! Objects of the local cluster, as far as an update must start from them.

use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
}

/// Copies an object without `managedFields`, which is as long as the rest: the API server keeps
/// that itself, and an update leaves it out.
pub(super) fn kept(json: &[u8]) -> Bytes {
    let outline = serde_json::from_slice::<Outline<'_>>(json).ok();
    match outline.and_then(|it| it.metadata.managed_fields) {
        Some(fields) => {
            let Range { start, end } = span(json, fields.get());
            [&json[..start], b"[]", &json[end..]].concat().into()
        }
        None => Bytes::copy_from_slice(json),
    }
}

/// Returns the range of a borrowed part of `json`.
fn span(json: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - json.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::kept;

    #[test]
    fn the_record_of_who_set_what_is_not_kept() {
        let kept = |json: &str| String::from_utf8(kept(json.as_bytes()).to_vec()).unwrap();
        let record = r#"[{"manager":"a","fieldsV1":{"f:x":{"managedFields":1}}}]"#;
        let object = |fields: &str| {
            format!(
                r#"{{"metadata":{{"name":"a","managedFields":{fields},"uid":"u"}},"managedFields":[2]}}"#
            )
        };
        assert_eq!(kept(&object(record)), object("[]"));
        for other in [
            r#"{"metadata":{"name":"a"}}"#,
            r#"{"metadata":1}"#,
            "no JSON",
        ] {
            assert_eq!(kept(other), other);
        }
    }
}
