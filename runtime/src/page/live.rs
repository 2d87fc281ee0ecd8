//! Updates of a page as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use http::{HeaderMap, StatusCode, header};
use tokio::sync::OwnedSemaphorePermit;

use super::{Content, Pages};

/// Time between two looks at the state that a page shows.
const PERIOD: Duration = Duration::from_millis(400);

/// Time after which a client whose connection ended opens another one.
const RECONNECT: Duration = Duration::from_millis(250);

/// Returns whether the client is the script of a page.
pub(super) fn asks_for_events(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    let accepted = accepted.and_then(|it| it.to_str().ok());
    accepted.is_some_and(|it| it.trim().starts_with("text/event-stream"))
}

/// A client that is sent updates.
struct Updates<F> {
    render: F,
    /// Parts that the client has.
    sent: Option<String>,
    pages: Pages,
    _place: OwnedSemaphorePermit,
}

/// Sends the page now, and again whenever it changed.
pub(super) fn updates<F, R>(pages: &Pages, render: F) -> Response
where
    F: Fn() -> R + Send + 'static,
    R: Future<Output = Option<Content>> + Send,
{
    let Ok(place) = pages.places.clone().try_acquire_owned() else {
        let why = "too many pages are open; close one, or reload this one for news";
        return (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    };
    let client = Updates {
        render,
        sent: None,
        pages: pages.clone(),
        _place: place,
    };
    let events = stream::unfold(client, |mut client| async {
        let shutdown = client.pages.shutdown.clone();
        let update = shutdown.run_until_cancelled_owned(client.next()).await??;
        Some((Ok::<_, Infallible>(update), client))
    });
    Sse::new(events)
        .keep_alive(KeepAlive::default())
        .into_response()
}

impl<F, R> Updates<F>
where
    F: Fn() -> R + Send + 'static,
    R: Future<Output = Option<Content>> + Send,
{
    /// Waits for a change, and returns the page with it.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.sent.is_some() {
                tokio::time::sleep(PERIOD).await;
            }
            let content = (self.render)().await?;
            // A carriage return would end a line of an event.
            let parts = content.parts.into_string().replace('\r', "");
            if self.sent.as_ref() != Some(&parts) {
                let event = Event::default().retry(RECONNECT).data(&parts);
                self.sent = Some(parts);
                return Some(event);
            }
        }
    }
}
