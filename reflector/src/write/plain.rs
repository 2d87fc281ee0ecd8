//! Requests of other controllers of this program to the local API server.

use bytes::Bytes;
use http::{Method, StatusCode};
use proto_types::Status;

use super::Writer;
use super::error::{WriteError, is_transient};

/// Reason why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Another writer was faster, or the object is not there.
    #[error("{0}")]
    Conflict(String),
    /// The API server rejected this object.
    #[error("{}", .0.message)]
    Rejected(Box<Status>),
    /// The API server takes no requests now.
    #[error("{0}")]
    Unavailable(String),
    /// Another replica is the leader.
    #[error("another replica is the leader")]
    Standby,
}

impl Writer {
    /// Sends a request. Returns the body of a successful response.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        self.send(method, path, body)
            .await
            .map_err(|refusal| match refusal {
                WriteError::Unavailable(why) => Failure::Unavailable(why),
                WriteError::Busy(_) => Failure::Unavailable("the API server is busy".to_owned()),
                WriteError::StandingBy => Failure::Standby,
                WriteError::Namespace(why) => {
                    Failure::Rejected(Box::new(Status::failure(403, "Forbidden", why)))
                }
                WriteError::Status(code, status) => match code {
                    StatusCode::CONFLICT | StatusCode::NOT_FOUND => {
                        Failure::Conflict(status.message)
                    }
                    code if is_transient(code, &status) => Failure::Unavailable(status.message),
                    _ => Failure::Rejected(Box::new(status)),
                },
            })
    }
}
