//! Long computations, off the threads that answer probes.

use std::sync::Arc;

use emitter_cache::View;

use super::RequestContext;
use crate::watch_cache::WatchCache;

/// So many objects and terms of selectors are looked at within a request's own task: some
/// tenths of a millisecond.
const SHORT: usize = 2000;

/// Returns whether a view of a cache takes no longer than a request's task may.
pub(super) fn is_short(cache: &WatchCache, view: &View) -> bool {
    let n_terms = view.labels.requirements().len() + 1;
    cache.objects().saturating_mul(n_terms) <= SHORT
}

/// Runs a computation on a thread of its own, in turn with those of other consumers.
pub(super) async fn apart<T: Send + 'static>(
    asked: &RequestContext,
    compute: impl FnOnce() -> T + Send + 'static,
) -> T {
    let turn = match &asked.caller {
        Some(caller) => Some(caller.consumers.turn(&caller.name).await),
        None => None,
    };
    let compute = move || {
        let answer = compute();
        drop(turn);
        answer
    };
    let answer = tokio::task::spawn_blocking(compute).await;
    answer.expect("a view is computed without a panic, and never aborted")
}

/// Runs something with a cache: at once if that is short, else apart.
pub(super) async fn of_view<T: Send + 'static>(
    asked: &RequestContext,
    cache: &Arc<WatchCache>,
    view: &View,
    compute: impl FnOnce(&WatchCache, &View) -> T + Send + 'static,
) -> T {
    if is_short(cache, view) {
        return compute(cache, view);
    }
    let (cache, view) = (Arc::clone(cache), view.clone());
    apart(asked, move || compute(&cache, &view)).await
}
