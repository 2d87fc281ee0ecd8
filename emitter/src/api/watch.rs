//! WATCH: how one is opened.

mod sent;
mod watcher;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use emitter_cache::View;
use emitter_cache::encode;
use emitter_cache::store::Expired;
use http::StatusCode;
use proto_types::Status;

use self::sent::Sent;
use self::watcher::{Ending, WatchStream};
use super::accept::Format;
use super::freshness::{Need, TIME_LIMIT};
use super::gzip::Coding;
use super::query::Options;
use super::{Context, RequestContext, compute, freshness, response};
use crate::consumers::Caller;
use crate::watch_cache::{Start, Subscription, WatchCache};

/// Opens a watch. Errors from here on are reported within the stream: a client that gets an HTTP
/// error may repeat the request indefinitely.
pub(super) async fn watch(
    asked: &RequestContext,
    cache: &Arc<WatchCache>,
    (format, view): (Format, View),
    options: &Options,
    context: Context,
) -> Result<Response, Status> {
    // A missing first list is the only error with an HTTP status.
    freshness::wait_for_view(cache, &view, Need::Any).await?;
    if options.timeout == Some(Duration::ZERO) {
        // It has ended before it began.
        let (body, media_type) = (Body::empty(), format.stream_type());
        return Ok(response::with_type(asked, StatusCode::OK, media_type, body));
    }
    let subscription = open(asked, cache, &view, options).await;
    let coding = match subscription {
        Ok(_) => asked.accepted.watch.for_encoding(view.encoding),
        Err(_) => Coding::Plain,
    };
    let body = match subscription {
        Ok(subscription) => {
            let ending = match asked.caller.as_ref() {
                Some(caller) => {
                    let Subscription { feed, cursor, .. } = &subscription;
                    Ending::Session(caller.watch(cache.names(), feed, *cursor)?)
                }
                None => Ending::server(context.shutdown),
            };
            let metrics = context.metrics;
            let watcher = WatchStream::new(cache, subscription, options, ending, metrics);
            let watcher = watcher.reporting(asked.health.clone());
            Body::new(Sent::new(watcher, coding))
        }
        Err(status) => Body::from(encode::error(view.encoding, &status)),
    };
    let media_type = format.stream_type();
    let response = response::with_type(asked, StatusCode::OK, media_type, body);
    Ok(coding.mark(response))
}

async fn open(
    asked: &RequestContext,
    cache: &Arc<WatchCache>,
    view: &View,
    options: &Options,
) -> Result<Subscription, Status> {
    let revision = options.revision.filter(|revision| !revision.is_zero());
    let start = match (revision, options.send_initial_events) {
        (_, Some(true)) => Start::State,
        // `00` is zero too, without a mark at the end of the state.
        (None, None) if options.is_pinned => Start::State,
        (Some(revision), _) => Start::After(revision),
        (None, _) => Start::Now,
    };
    if start == Start::State {
        let within = options.timeout.unwrap_or(TIME_LIMIT).min(TIME_LIMIT);
        freshness::wait_for_view(cache, view, Need::of(options.revision, within)).await?;
    }
    let floor = asked.caller.as_ref().map(Caller::floor).unwrap_or_default();
    let too_old = |oldest| Status::too_old(revision.unwrap_or_default(), oldest);
    if let Start::After(revision) = start {
        // Its client had another view then, which the history does not show.
        floor.admit(revision).map_err(too_old)?;
        let is_known = cache.admits(|| asked.client(view), revision);
        is_known.map_err(|Expired { oldest }| too_old(oldest))?;
    }
    let subscribe = move |cache: &WatchCache, view: &View| cache.subscribe(view, start);
    let subscription = compute::of_view(asked, cache, view, subscribe).await;
    let subscription = subscription.map_err(|Expired { oldest }| too_old(oldest))?;
    if start == Start::State {
        asked.record_sent(cache, view, subscription.revision);
    }
    Ok(subscription)
}
