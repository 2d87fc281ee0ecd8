//! What faults do to requests and to answers.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use emitter::api::{RequestContext, response};
use futures::{Stream, StreamExt, stream};
use http::StatusCode;

use super::Api;
use crate::Verb;
use crate::fault::{Fault, Subject, refusal};

/// The answer that a fault gives instead of ours, if it gives one.
pub(super) async fn before(fault: &Fault, asked: &RequestContext) -> Option<Response> {
    match fault {
        // Who got in before the door closed is cut off in a moment.
        Fault::Refuse | Fault::Hang | Fault::HalfOpen => std::future::pending().await,
        Fault::Answer { code, retry_after } => {
            Some(response::refusal(asked, &refusal(*code, *retry_after)))
        }
        Fault::Garbage => {
            let html = "text/html; charset=utf-8";
            Some(response::with_type(asked, StatusCode::OK, html, GARBAGE))
        }
        Fault::Slow { latency, .. } => {
            tokio::time::sleep(*latency).await;
            None
        }
        Fault::Cut | Fault::EmptyLists => None,
    }
}

const GARBAGE: &str = "<html><body>It works!</body></html>\n";

/// An answer that meets the faults of each moment while it goes out.
pub(super) fn body(response: Response, api: &Arc<Api>, subject: Option<Subject>) -> Response {
    let is_watch = subject.is_some_and(|(verb, _)| verb == Verb::Watch);
    let concerns_bodies = |it: &Fault| matches!(it, Fault::Cut | Fault::Slow { .. });
    if !is_watch && !api.faults.met(subject).iter().any(concerns_bodies) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // What is cut short must not say how long it would have been.
    head.headers.remove(http::header::CONTENT_LENGTH);
    let api = Arc::clone(api);
    let pieces = body.into_data_stream().flat_map(move |frame| {
        let frame = frame.unwrap_or_default();
        disturbed(&frame, &api.faults.met(subject), is_watch)
    });
    // Nothing may follow the piece that broke.
    let pieces = stream::unfold(
        (Box::pin(pieces), false),
        |(mut pieces, is_broken)| async move {
            if is_broken {
                return None;
            }
            let piece = pieces.next().await?;
            let is_broken = piece.is_err();
            Some((piece, (pieces, is_broken)))
        },
    );
    Response::from_parts(head, Body::from_stream(pieces))
}

#[derive(Debug)]
struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("told to break off")
    }
}

impl std::error::Error for Cut {}

type Piece = Result<Bytes, Cut>;

fn disturbed(
    frame: &Bytes,
    faults: &[Fault],
    is_watch: bool,
) -> impl Stream<Item = Piece> + Send + use<> {
    let mut pieces = vec![(Duration::ZERO, Ok(frame.clone()))];
    for fault in faults {
        match fault {
            Fault::Cut => {
                let half = frame.slice(..frame.len() / 2);
                // What was written must have left before the line goes dead.
                let grace = Duration::from_millis(50);
                pieces = vec![(Duration::ZERO, Ok(half)), (grace, Err(Cut))];
            }
            Fault::Garbage if is_watch => {
                pieces = vec![(Duration::ZERO, Ok(Bytes::from_static(GARBAGE.as_bytes())))];
            }
            Fault::Slow {
                latency,
                bytes_per_second,
            } => {
                // An answer as a whole has waited before it began.
                let latency = if is_watch { *latency } else { Duration::ZERO };
                pieces = slowly(frame, latency, *bytes_per_second);
            }
            Fault::Refuse
            | Fault::Hang
            | Fault::HalfOpen
            | Fault::Answer { .. }
            | Fault::Garbage
            | Fault::EmptyLists => {}
        }
    }
    stream::iter(pieces).then(async |(wait, piece)| {
        // Sleeping for no time takes a millisecond, the precision of the timer.
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        piece
    })
}

/// A frame in pieces, each of which takes a tenth of a second.
fn slowly(frame: &Bytes, latency: Duration, bytes_per_second: u32) -> Vec<(Duration, Piece)> {
    const STEP: Duration = Duration::from_millis(100);
    if bytes_per_second == 0 {
        return vec![(latency, Ok(frame.clone()))];
    }
    let size = usize::try_from(bytes_per_second / 10).unwrap_or(1).max(1);
    let mut pieces = vec![(latency, Ok(Bytes::new()))];
    for start in (0..frame.len()).step_by(size) {
        let piece = frame.slice(start..frame.len().min(start + size));
        pieces.push((STEP, Ok(piece)));
    }
    pieces
}
