//! GET, LIST and WATCH of one cache, whatever else its server serves.

use std::sync::Arc;

use axum::response::Response;
use emitter_cache::descriptor::NAMESPACES;
use emitter_cache::{Entry, Scope, View};
use http::StatusCode;
use proto_types::quote::quote;
use proto_types::{ObjectKey, Status};
use tokio_util::sync::CancellationToken;

use super::accept::Verb;
use super::query::Options;
use super::{RequestContext, WatchPath, list, response, watch};
use crate::metrics::Metrics;
use crate::watch_cache::WatchCache;

/// Parts of the server that a watch needs.
pub struct Context {
    /// Cancelled to end watches of clients that are not counted.
    pub shutdown: CancellationToken,
    /// Counts what is served.
    pub metrics: Arc<Metrics>,
}

/// A collection, as its path names it.
pub struct Place {
    /// Scope.
    pub scope: Scope,
    /// Deprecated form of a watch in the path, which is still served.
    pub watch: WatchPath,
}

/// Answers with one object.
pub async fn object(
    asked: &RequestContext,
    cache: &WatchCache,
    key: &ObjectKey,
) -> Result<Response, Status> {
    asked.admit(cache, Verb::Get)?;
    check_key(cache, key)?;
    let answer = list::get(asked, cache, key).await;
    Ok(response::about(asked, cache.form(), answer))
}

/// Answers a write with what it left.
pub fn written(
    asked: &RequestContext,
    cache: &WatchCache,
    entry: &Entry,
    code: StatusCode,
) -> Result<Response, Status> {
    let answer = list::single(asked, cache, entry, code);
    Ok(response::about(asked, cache.form(), answer))
}

/// Answers with a collection, or with what happens in it.
pub async fn collection(
    asked: &RequestContext,
    cache: &Arc<WatchCache>,
    place: Place,
    context: Context,
) -> Result<Response, Status> {
    let is_watch = place.watch != WatchPath::No || asked.query.flag("watch") == Some(true);
    let verb = if is_watch { Verb::Watch } else { Verb::List };
    asked.admit(cache, verb)?;
    let answer = list_or_watch(asked, cache, (verb, place), context).await;
    Ok(response::about(asked, cache.form(), answer))
}

async fn list_or_watch(
    asked: &RequestContext,
    cache: &Arc<WatchCache>,
    (verb, Place { scope, watch }): (Verb, Place),
    context: Context,
) -> Result<Response, Status> {
    asked.negotiate(cache, verb)?;
    let mut options = Options::parse(&asked.query, cache.form(), watch != WatchPath::No)?;
    if let WatchPath::One(name) = watch {
        let asked = options.fields.exact("metadata.name");
        if asked.is_some_and(|asked| asked != name) {
            return Err(Status::bad_request(
                "fieldSelector metadata.name doesn't match requested name",
            ));
        }
        options.fields = options.fields.with("metadata.name", &name);
    }
    let manner = asked.manner(cache, verb)?;
    let format = manner.format;
    let view = View {
        scope: narrowed(scope, &options),
        labels: options.labels.clone(),
        fields: options.fields.clone(),
        encoding: manner.encoding,
        grant: asked.grant(),
    };
    match verb {
        Verb::Watch if manner.refused.is_some() => manner.settle(Response::default()),
        Verb::Watch => watch::watch(asked, cache, (format, view), &options, context).await,
        Verb::Get | Verb::List => {
            context.metrics.listed(cache.names());
            let answer = list::list(asked, cache, (format, &view), &options).await?;
            manner.settle(answer)
        }
    }
}

/// Refuses keys that no object can have, because paths could not name it.
fn check_key(cache: &WatchCache, key: &ObjectKey) -> Result<(), Status> {
    if cache.names().kind != NAMESPACES.names.kind && key.namespace().is_empty() {
        return Err(Status::bad_request("Namespace parameter required."));
    }
    let name = key.name();
    let why = match name {
        "." | ".." => format!("may not be '{name}'"),
        _ if name.contains('%') => "may not contain '%'".to_owned(),
        _ => return Ok(()),
    };
    let name = quote(name);
    Err(Status::bad_request(format!(
        "Name parameter invalid: {name}: {why}"
    )))
}

/// A field selector for a namespace narrows the scope.
fn narrowed(scope: Scope, options: &Options) -> Scope {
    match (scope, options.fields.exact("metadata.namespace")) {
        (Scope::Cluster, Some(namespace)) => Scope::Namespace(namespace.to_owned()),
        (scope, _) => scope,
    }
}
