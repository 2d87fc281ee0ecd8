//! Name of the view that an answer is of, where the server reports it.

use http::HeaderMap;
use proto_types::evidence::ViewName;

// An emitter reports it with every answer: it changes with what is exported, and with what this
// watcher may see of it.
const HEADER: &str = "heliograph-view";

/// Reads the headers of a response.
pub(super) fn of_answer(headers: &HeaderMap) -> Option<ViewName> {
    let view = headers.get(HEADER)?.to_str().ok()?;
    Some(view.into())
}
