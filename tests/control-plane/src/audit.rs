//! What was asked of an API server, and by whom.

use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

/// One answered request.
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

/// Every request, once, when it is answered.
pub(crate) const POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
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
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(parse).collect()
}

fn parse(line: &str) -> anyhow::Result<AuditEvent> {
    let line: Line = serde_json::from_str(line).context("cannot read a line of the audit log")?;
    Ok(AuditEvent {
        verb: line.verb,
        user: line.user.username,
        resource: line.object_ref.resource,
        namespace: line.object_ref.namespace,
        name: line.object_ref.name,
        uri: line.request_uri,
        code: line.response_status.code,
    })
}
