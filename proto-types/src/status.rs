//! `Status`: the body of every refusal, as `k8s.io/apimachinery` writes it.

use serde::{Deserialize, Serialize};

use crate::ResourceVersion;
use crate::quote::quote;
use crate::resource::ApiResource;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Status {
    /// For people.
    pub message: String,
    /// For programs.
    pub reason: String,
    /// Object and causes of the rejection.
    pub details: Option<Box<Details>>,
    /// The HTTP status code.
    pub code: u16,
    /// With an expired list, a token that resumes it inconsistently.
    pub continue_token: String,
}

/// As it is on the wire: fields in the order in which Go encodes them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Box<Details>>,
    #[serde(default)]
    code: u16,
}

#[derive(Default, Serialize, Deserialize)]
struct WireMeta {
    #[serde(default, rename = "continue", skip_serializing_if = "String::is_empty")]
    continue_token: String,
}

impl From<Wire> for Status {
    fn from(wire: Wire) -> Self {
        Self {
            message: wire.message,
            reason: wire.reason,
            details: wire.details,
            code: wire.code,
            continue_token: wire.metadata.continue_token,
        }
    }
}

impl From<Status> for Wire {
    fn from(status: Status) -> Self {
        Self {
            kind: "Status".to_owned(),
            api_version: "v1".to_owned(),
            metadata: WireMeta {
                continue_token: status.continue_token,
            },
            status: "Failure".to_owned(),
            message: status.message,
            reason: status.reason,
            details: status.details,
            code: status.code,
        }
    }
}

/// Object and causes of a [`Status`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The resource's group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource, or the kind of what did not validate.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The parts that did not validate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// Delay in seconds before a retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One reason among several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatusCause {
    /// For programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The field it is about.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Status {
    /// A failure with that code, reason and message, and nothing else.
    #[must_use]
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            reason: reason.to_owned(),
            details: None,
            code,
            continue_token: String::new(),
        }
    }

    /// The same, about something.
    #[must_use]
    pub fn about(mut self, details: Details) -> Self {
        self.details = Some(Box::new(details));
        self
    }

    /// The object does not exist.
    #[must_use]
    pub fn not_found(names: impl Into<&'static ApiResource>, name: &str) -> Self {
        let names = names.into();
        let message = format!("{} {} not found", names.qualified, quote(name));
        Self::failure(404, "NotFound", message).about(Details {
            name: name.to_owned(),
            group: names.group.to_owned(),
            kind: names.plural.to_owned(),
            ..Details::default()
        })
    }

    /// The request itself is wrong.
    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    /// A watch asked for a resource version that history no longer reaches. `oldest` is the oldest
    /// resource version from which a watch could start.
    #[must_use]
    pub fn too_old(asked: ResourceVersion, oldest: ResourceVersion) -> Self {
        let message = format!("too old resource version: {asked} ({oldest})");
        Self::failure(410, "Expired", message)
    }

    /// A request asked for a resource version that this server has not seen yet.
    #[must_use]
    pub fn too_large(asked: ResourceVersion, current: ResourceVersion) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self::failure(504, "Timeout", message).about(Details {
            causes: vec![StatusCause {
                reason: "ResourceVersionTooLarge".to_owned(),
                message: "Too large resource version".to_owned(),
                field: String::new(),
            }],
            retry_after_seconds: Some(1),
            ..Details::default()
        })
    }

    /// Come back later.
    #[must_use]
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(429, "TooManyRequests", message).about(Details {
            retry_after_seconds: Some(retry_after_seconds),
            ..Details::default()
        })
    }

    /// As JSON, in Go's field order and with Go's escapes.
    #[must_use]
    pub fn to_json(&self) -> String {
        let json = serde_json::to_string(self).expect("a struct of strings and numbers encodes");
        escape_html(&json)
    }
}

/// Escapes in JSON text what Go's encoder escapes and serde's does not.
#[must_use]
pub fn escape_html(json: &str) -> String {
    if !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return json.to_owned();
    }
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::{ResourceVersion, Status};
    use crate::Resource;

    #[test]
    fn not_found_reads_as_a_kube_apiserver_writes_it() {
        assert_eq!(
            Status::not_found(Resource::Services, "x").to_json(),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"services \"x\" not found","reason":"NotFound","details":{"name":"x","kind":"services"},"code":404}"#
        );
        assert_eq!(
            Status::not_found(Resource::EndpointSlices, "x").to_json(),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"endpointslices.discovery.k8s.io \"x\" not found","reason":"NotFound","details":{"name":"x","group":"discovery.k8s.io","kind":"endpointslices"},"code":404}"#
        );
    }

    #[test]
    fn expiry_has_no_details() {
        assert_eq!(
            Status::too_old(ResourceVersion::new(1), ResourceVersion::new(12345)).to_json(),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 1 (12345)","reason":"Expired","code":410}"#
        );
    }

    #[test]
    fn angle_brackets_are_escaped_as_go_escapes_them() {
        assert!(
            Status::bad_request("a<b&c")
                .to_json()
                .contains(r"a\u003cb\u0026c")
        );
    }
}
