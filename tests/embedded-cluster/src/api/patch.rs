//! Patches, in the forms that clients send them.

use bytes::Bytes;
use proto_types::Status;
use serde_json::Value;

use super::strategic;
use crate::Kind;
use crate::body::{self, unsupported};

/// A patch that was read.
pub(super) enum Patch {
    /// RFC 6902: operations.
    Json(json_patch::Patch),
    /// RFC 7386: what is said replaces what is there.
    Merge(Value),
    /// The same, with lists that are merged.
    Strategic(Value),
    /// What is to be so, whatever was.
    Apply(Value),
}

impl Patch {
    /// Reads a patch of that media type.
    pub(super) fn parse(media_type: &str, body: &Bytes) -> Result<Self, Status> {
        let unreadable =
            |why: serde_json::Error| Status::bad_request(format!("error decoding patch: {why}"));
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            "application/json-patch+json" => Ok(Self::Json(
                serde_json::from_slice(body).map_err(unreadable)?,
            )),
            "application/merge-patch+json" => Ok(Self::Merge(
                serde_json::from_slice(body).map_err(unreadable)?,
            )),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic(
                serde_json::from_slice(body).map_err(unreadable)?,
            )),
            APPLY => {
                let decoded = body::yaml(body);
                let unreadable = |why| Status::bad_request(format!("error decoding YAML: {why}"));
                Ok(Self::Apply(decoded.map_err(unreadable)?))
            }
            _ => Err(unsupported(&ACCEPTED)),
        }
    }

    /// What the patch makes of an object.
    pub(super) fn merged(&self, kind: Kind, old: &Value) -> Result<Value, Status> {
        let mut new = old.clone();
        match self {
            Self::Json(patch) => json_patch::patch(&mut new, patch).map_err(|why| {
                let message = format!(
                    "the server rejected our request due to an error in our request: {why}"
                );
                Status::failure(422, "Invalid", message)
            })?,
            // Who owns what decides about the last, elsewhere.
            Self::Merge(patch) | Self::Apply(patch) => json_patch::merge(&mut new, patch),
            Self::Strategic(patch) => strategic::merge(kind, &mut new, patch),
        }
        Ok(new)
    }
}

/// The media type of server-side apply.
pub(super) const APPLY: &str = "application/apply-patch+yaml";

const ACCEPTED: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    APPLY,
];
