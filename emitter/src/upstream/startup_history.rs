//! Beginning in the past, so that a watch from before a restart can resume.
//!
//! An emitter that listed the present would have no history, and every client would have to list
//! again, all at once. So it lists the state at the oldest resource version from which its upstream
//! still has all changes, and watches from there. Until it has caught up with the present it serves
//! no request.

use std::time::Duration;

use futures::AsyncBufReadExt;
use futures::TryStreamExt;
use futures::io::BufReader;
use http::{Request, header};
use http_body_util::BodyExt;
use kube::client::Body;
use proto_types::frame::{EventType, WatchEvent};
use proto_types::{ResourceVersion, Status};
use runtime::watcher::Scope;
use tracing::debug;

/// An upstream that does not object soon allows it.
const PATIENCE: Duration = Duration::from_millis(500);

/// For the answer to begin.
const ANSWER: Duration = Duration::from_secs(3);

/// Progress of a watch task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is about to list that resource version.
    Before(ResourceVersion),
    /// It follows what happened since.
    CatchingUp,
    /// It is where its upstream is.
    Present,
}

/// The oldest resource version from which the upstream has all changes, if it reports one: a watch
/// from the first one is refused with the oldest that would do.
pub(super) async fn oldest(client: &kube::Client, scope: &Scope) -> Option<ResourceVersion> {
    let first = tokio::time::timeout(ANSWER + PATIENCE, first_line(client, scope)).await;
    let oldest = match first {
        Ok(Ok(Some(line))) => oldest_of(&line),
        Ok(Ok(None)) => Some(FIRST),
        Ok(Err(error)) => {
            debug!(resource = %scope.resource, %error, "cannot ask for the history");
            None
        }
        Err(_) => None,
    };
    oldest.filter(|oldest| !oldest.is_zero())
}

const FIRST: ResourceVersion = ResourceVersion::new(1);

async fn first_line(client: &kube::Client, scope: &Scope) -> anyhow::Result<Option<String>> {
    let selector = scope.selector.to_string();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("watch", "1")
        .append_pair("resourceVersion", &FIRST.to_string())
        .append_pair("timeoutSeconds", "1")
        .append_pair("labelSelector", &selector)
        .finish();
    let path = scope.resource.collection(scope.namespace.as_deref());
    let request = Request::get(format!("{path}?{query}"))
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())?;
    let response = tokio::time::timeout(ANSWER, client.send(request)).await??;
    anyhow::ensure!(response.status() == 200, "status {}", response.status());
    let bytes = response.into_body().into_data_stream();
    let bytes = bytes.map_err(std::io::Error::other).into_async_read();
    let mut lines = BufReader::new(bytes).lines();
    match tokio::time::timeout(PATIENCE, lines.try_next()).await {
        Ok(line) => Ok(line?),
        Err(_) => Ok(None),
    }
}

/// Reads the oldest resource version from the first event. The number is in a message for people;
/// if its form changes one day, the history begins with the present.
fn oldest_of(line: &str) -> Option<ResourceVersion> {
    let WatchEvent { event_type, object } = serde_json::from_str(line).ok()?;
    if event_type != EventType::Error {
        return Some(FIRST);
    }
    let status: Status = serde_json::from_str(object.get()).ok()?;
    let (_, oldest) = status
        .message
        .strip_prefix("too old resource version: ")?
        .split_once(" (")?;
    oldest.strip_suffix(')')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{FIRST, ResourceVersion, oldest_of};

    #[test]
    fn a_refusal_tells_the_oldest_revision() {
        let refused = |message: &str| {
            let status = proto_types::Status::failure(410, "Expired", message);
            oldest_of(&format!(
                r#"{{"type":"ERROR","object":{}}}"#,
                status.to_json()
            ))
        };
        let oldest = refused("too old resource version: 1 (123)");
        assert_eq!(oldest, Some(ResourceVersion::new(123)));
        for other in [
            "",
            "too old resource version: 1",
            "too old resource version: 1 (x)",
            "gone",
        ] {
            assert_eq!(refused(other), None, "{other}");
        }
    }

    #[test]
    fn a_report_of_the_first_change_implies_all_of_them() {
        assert_eq!(
            oldest_of(r#"{"type":"ADDED","object":{"metadata":{}}}"#),
            Some(FIRST)
        );
        assert_eq!(oldest_of("nonsense"), None);
    }
}
