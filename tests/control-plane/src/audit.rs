//! What was asked of an API server, and by whom.
//!
//! Invariant: a request is one event, whatever it is: a watch when it starts, everything
//! else when it is answered.

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// Who asked.
    pub user: String,
    /// The plural, such as `services`; empty for paths that are no resource.
    pub resource: String,
    /// Where.
    pub namespace: String,
    /// Which.
    pub name: String,
    /// The path and query.
    pub uri: String,
    /// The HTTP status.
    pub code: u16,
}

impl AuditEvent {
    /// Whether it changed something, or tried to.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

/// Every request when it is answered; a watch when it starts and when it ends.
pub(crate) const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    #[serde(rename = "auditID")]
    id: String,
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: ObjectRef,
    #[serde(rename = "requestURI")]
    request_uri: String,
    #[serde(default)]
    response_status: ResponseStatus,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ObjectRef {
    resource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ResponseStatus {
    code: u16,
}

/// Reads what has been written of a log so far.
pub(crate) fn read(log: &Path) -> anyhow::Result<Vec<AuditEvent>> {
    let text = std::fs::read_to_string(log).context("cannot read the audit log")?;
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Vec<AuditEvent>> {
    // The last line may be only half written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut events = Vec::new();
    let mut seen = HashSet::new();
    for line in whole.lines() {
        let line: Line =
            serde_json::from_str(line).context("cannot read a line of the audit log")?;
        if seen.insert(line.id.clone()) {
            events.push(AuditEvent::from(line));
        }
    }
    Ok(events)
}

impl From<Line> for AuditEvent {
    fn from(line: Line) -> Self {
        Self {
            verb: line.verb,
            user: line.user.username,
            resource: line.object_ref.resource,
            namespace: line.object_ref.namespace,
            name: line.object_ref.name,
            uri: line.request_uri,
            code: line.response_status.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"auditID":"1","stage":"ResponseStarted","requestURI":"/api/v1/services?watch=1","verb":"watch","user":{"username":"emitter"},"objectRef":{"resource":"services","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200}}
{"auditID":"2","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/demo/services/web","verb":"patch","user":{"username":"reflector"},"objectRef":{"resource":"services","namespace":"demo","name":"web"},"responseStatus":{"code":403}}
{"auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/services?watch=1","verb":"watch","user":{"username":"emitter"},"objectRef":{"resource":"services","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200}}
{"auditID":"3","stage":"ResponseComplete","requestURI":"/livez","verb":"get","user":{"username":"admin"}}
{"auditID":"4","sta"#;

    #[test]
    fn a_watch_that_has_ended_is_one_event() {
        let events = parse(LOG).unwrap();
        let seen: Vec<(&str, &str, u16)> = (events.iter())
            .map(|it| (it.verb.as_str(), it.resource.as_str(), it.code))
            .collect();
        let wanted = [
            ("watch", "services", 200),
            ("patch", "services", 403),
            ("get", "", 0),
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn only_what_can_change_something_is_a_write() {
        let events = parse(LOG).unwrap();
        let writes: Vec<&str> = (events.iter())
            .filter(|it| it.is_write())
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(writes, ["web"]);
    }
}
