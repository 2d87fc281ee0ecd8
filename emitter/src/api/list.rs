//! LIST and GET.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use emitter_cache::ListMeta;
use emitter_cache::page::Page;
use emitter_cache::store::Expired;
use emitter_cache::view::Snapshot;
use emitter_cache::{Encoding, Entry, View};
use http::StatusCode;
use jiff::Timestamp;
use proto_types::evidence::Read;
use proto_types::{ObjectKey, ResourceVersion, Status};

use super::accept::{Format, Verb};
use super::freshness::Need;
use super::pieces::Pieces;
use super::query::{Options, RevisionMatch, go};
use super::{Payload, RequestContext, compute, freshness, gzip, response};
use crate::watch_cache::{CachedList, WatchCache};

/// Source of the items of a list.
enum Source {
    /// The present.
    Present,
    /// A moment of the past.
    At(ResourceVersion),
}

/// Answers with one object.
pub(super) async fn get(
    asked: &RequestContext,
    cache: &WatchCache,
    key: &ObjectKey,
) -> Result<Response, Status> {
    asked.negotiate(cache, Verb::Get)?;
    if asked.query.flag("export") == Some(true) {
        return Err(Status::bad_request(
            "the export parameter, deprecated since v1.14, is no longer supported",
        ));
    }
    let revision = match asked.query.get("resourceVersion").unwrap_or_default() {
        "" => None,
        text => Some(go::revision(text).map_err(|why| Status::failure(500, "", why))?),
    };
    let need = confirmed(asked, Need::of(revision, asked.query.time_limit()));
    let read = freshness::wait(cache, need).await?;
    let entry = cache
        .get(key)
        .and_then(|entry| asked.grant().show(&entry, ResourceVersion::MAX));
    let Some(entry) = entry else {
        return Err(Status::not_found(cache.names(), key.name()));
    };
    Ok(related(single(asked, cache, &entry, StatusCode::OK)?, read))
}

/// The same need, or more where the client requires it.
fn confirmed(asked: &RequestContext, need: Need) -> Need {
    match need {
        Need::Latest(within) if asked.is_confirmed => Need::Confirmed(within),
        need => need,
    }
}

/// A response with its relation to the present.
fn related(mut response: Response, read: Option<Read>) -> Response {
    if let Some(read) = read {
        response.extensions_mut().insert(read);
    }
    response
}

/// One object, as GET answers it and every write.
pub(super) fn single(
    asked: &RequestContext,
    cache: &WatchCache,
    entry: &Entry,
    code: StatusCode,
) -> Result<Response, Status> {
    let manner = asked.manner(cache, Verb::Get)?;
    let encoding = manner.encoding;
    let mut body = Vec::new();
    let now = Timestamp::now();
    match encoding {
        Encoding::Table(_) => {
            let meta = ListMeta {
                revision: entry.revision(),
                ..ListMeta::default()
            };
            let row = cache.encoder().items(std::iter::once(entry), encoding, now);
            body = cache.encoder().list(encoding, &meta, row).concat();
        }
        Encoding::Object | Encoding::Metadata => {
            cache.encoder().object(entry, encoding, now, &mut body);
            body.push(b'\n');
        }
        Encoding::Protobuf(_) => cache.encoder().object(entry, encoding, now, &mut body),
    }
    let answer = response::body(asked, code, manner.format, body);
    manner.settle(answer)
}

/// Answers with a collection, or a page of it, and with its relation to the present.
pub(super) async fn list(
    asked: &RequestContext,
    cache: &Arc<WatchCache>,
    (format, view): (Format, &View),
    options: &Options,
) -> Result<Response, Status> {
    let page = match &options.continue_token {
        Some(token) => Some(read_token(token, view, options)?),
        None => None,
    };
    let within = asked.query.time_limit();
    let (source, need) = source(options, page.as_ref(), within);
    let read = freshness::wait_for_view(cache, view, confirmed(asked, need)).await?;
    let response = listed(asked, cache, (format, view), (source, options, page)).await?;
    Ok(related(response, read))
}

async fn listed(
    asked: &RequestContext,
    cache: &Arc<WatchCache>,
    (format, view): (Format, &View),
    (source, options, page): (Source, &Options, Option<Page>),
) -> Result<Response, Status> {
    let is_first = page.is_none();
    let told = |revision: ResourceVersion| {
        if is_first {
            asked.record_sent(cache, view, revision);
        }
    };
    let now = Timestamp::now();
    // `resourceVersion=0` takes what there is, whole.
    let limit = options.limit.filter(|_| !options.is_any);
    let cut = Cut { page, limit };
    let (parts, listed) = match (source, limit, &cut.page) {
        (Source::Present, None, None) => {
            let listed = match cache.listed(view) {
                Some(listed) => listed,
                None => {
                    compute::of_view(asked, cache, view, move |cache, view| cache.list(view, now))
                        .await
                }
            };
            told(listed.revision);
            let meta = ListMeta {
                revision: listed.revision,
                ..ListMeta::default()
            };
            let parts = cache
                .encoder()
                .list(view.encoding, &meta, listed.items.clone());
            return Ok(whole(asked, format, parts, listed).await);
        }
        (Source::Present, _, _) => {
            let part = move |cache: &WatchCache, view: &View| {
                part(cache, view, cache.snapshot(view), &cut)
            };
            compute::of_view(asked, cache, view, part).await
        }
        (Source::At(revision), _, _) => {
            let part =
                move |cache: &WatchCache, view: &View| match cache.snapshot_at(view, revision) {
                    Ok(snapshot) => Ok(part(cache, view, snapshot, &cut)),
                    Err(Expired { .. }) => Err(expired(cut.page.as_ref(), view)),
                };
            compute::of_view(asked, cache, view, part).await?
        }
    };
    told(listed.revision);
    Ok(whole(asked, format, parts, listed).await)
}

/// Requested part of a list.
struct Cut {
    page: Option<Page>,
    limit: Option<usize>,
}

fn part(
    cache: &WatchCache,
    view: &View,
    snapshot: Snapshot,
    cut: &Cut,
) -> ([Bytes; 3], CachedList) {
    let revision = snapshot.revision;
    let mut entries = snapshot.entries;
    if let Some(page) = &cut.page {
        let first = entries.partition_point(|entry| *entry.key() <= page.after);
        entries.drain(..first);
    }
    let n_left = entries.len();
    let limit = cut.limit.unwrap_or(n_left);
    entries.truncate(limit);
    let mut meta = ListMeta {
        revision,
        ..ListMeta::default()
    };
    if let Some(last) = entries.last().filter(|_| limit < n_left) {
        let page = Page {
            revision: Some(revision),
            after: last.key().clone(),
        };
        meta.continue_token = Some(page.token(&view.scope));
        // With a selector a kube-apiserver does not count what is left.
        let counts = view.labels.is_empty() && view.fields.is_empty();
        meta.remaining = counts.then_some(n_left - limit);
    }
    let entries = entries.iter().map(AsRef::as_ref);
    let items = cache
        .encoder()
        .items(entries, view.encoding, Timestamp::now());
    let parts = cache.encoder().list(view.encoding, &meta, items.clone());
    (parts, CachedList::new(items, revision))
}

/// Returns the source of the items, and the required state of the store.
fn source(options: &Options, page: Option<&Page>, within: Duration) -> (Source, Need) {
    if let Some(page) = page {
        let at = page.revision.map_or(Source::Present, Source::At);
        return (at, Need::of(page.revision, within));
    }
    let need = Need::of(options.revision, within);
    // A page of an unspecified match has always meant exactly that resource version.
    let is_exact = match options.revision_match {
        Some(RevisionMatch::Exact) => true,
        Some(RevisionMatch::NotOlderThan) => false,
        None => options.limit.is_some(),
    };
    match need {
        Need::AtLeast(revision) if is_exact => (Source::At(revision), need),
        Need::AtLeast(_) | Need::Any | Need::Latest(_) | Need::Confirmed(_) => {
            (Source::Present, need)
        }
    }
}

fn read_token(token: &str, view: &View, options: &Options) -> Result<Page, Status> {
    let page = Page::parse(token, &view.scope)
        .map_err(|why| Status::bad_request(format!("invalid continue token: {why}")))?;
    if options.is_pinned {
        return Err(Status::bad_request(
            "specifying resource version is not allowed when using continue",
        ));
    }
    Ok(page)
}

/// A page whose moment is forgotten can be had from the present, inconsistently.
fn expired(page: Option<&Page>, view: &View) -> Status {
    let Some(page) = page else {
        return Status::failure(
            410,
            "Expired",
            "The resourceVersion for the provided list is too old.",
        );
    };
    let mut status = Status::failure(410, "Expired", TOO_OLD_TO_CONTINUE);
    let rest = Page {
        revision: None,
        after: page.after.clone(),
    };
    status.continue_token = rest.token(&view.scope);
    status
}

const TOO_OLD_TO_CONTINUE: &str = "The provided continue parameter is too old \
    to display a consistent list result. You can start a new list without \
    the continue parameter, or use the continue token in this response to \
    retrieve the remainder of the results. Continuing with the provided \
    token results in an inconsistent list - objects that were created, \
    modified, or deleted between the time the first chunk was returned \
    and now may show up in the list.";

/// Head, items and end, sharing the items' bytes.
async fn whole(
    asked: &RequestContext,
    format: Format,
    parts: [Bytes; 3],
    listed: CachedList,
) -> Response {
    let is_made_anew = match format {
        Format::Json => asked.pretty,
        Format::Yaml => true,
        Format::Protobuf => false,
    };
    if is_made_anew {
        return response::large_body(asked, StatusCode::OK, format, parts.concat()).await;
    }
    let length = parts.iter().map(Bytes::len).sum::<usize>();
    let media_type = format.media_type();
    if asked.accepted.gzip && gzip::pays(length) {
        let compress = move || {
            let [head, _, tail] = parts;
            listed.compressed(|items| gzip::compress(&[&head, items, &tail]))
        };
        let body = compute::apart(asked, compress).await;
        let mut response = response::with_type(asked, StatusCode::OK, media_type, body.clone());
        response.extensions_mut().insert(Payload(body));
        return gzip::mark(response);
    }
    let body = Body::new(Pieces::new(parts));
    let mut response = response::with_type(asked, StatusCode::OK, media_type, body);
    response.extensions_mut().insert(Payload(listed.items));
    response
}
