//! Form of a response.

use axum::response::Response;
use emitter_cache::Encoding;
use proto_types::Status;

use super::accept::Format;

/// Form of a response.
pub(super) struct Manner {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    /// Rejection that replaces a successful response.
    pub(super) refused: Option<Status>,
}

impl Manner {
    /// The answer, or why it cannot be written.
    pub(super) fn settle(self, answer: Response) -> Result<Response, Status> {
        self.refused.map_or(Ok(answer), Err)
    }
}
