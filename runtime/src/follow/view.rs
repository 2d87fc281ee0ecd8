//! Which view an answer is of, where the server says so.

use http::HeaderMap;

// An emitter says it with every answer: it changes with what is exported, and with what
// this reader may see of it.
const HEADER: &str = "heliograph-view";

/// What the server calls the view.
pub(super) type ViewName = Box<str>;

/// What a server says with an answer.
pub(super) fn of_answer(headers: &HeaderMap) -> Option<ViewName> {
    let view = headers.get(HEADER)?.to_str().ok()?;
    Some(view.into())
}
