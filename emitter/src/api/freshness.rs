//! Waiting until the store has seen what a request has seen.

use std::time::Duration;

use emitter_cache::View;
use proto_types::evidence::Read;
use proto_types::status::Details;
use proto_types::{ResourceVersion, Status};
use tokio::time::Instant;

use crate::watch_cache::WatchCache;

/// Longest time that a request waits for a resource version, as in a kube-apiserver.
const PATIENCE: Duration = Duration::from_secs(3);

/// Default time limit of a request, as in a kube-apiserver.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Required state of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It must have listed at all.
    Any,
    /// It must have all that had happened when the request came, within that time.
    Latest(Duration),
    /// The same, confirmed by the upstream also where other clients do not need that.
    Confirmed(Duration),
    /// It must have seen a resource version.
    AtLeast(ResourceVersion),
}

impl Need {
    /// Returns the meaning of `resourceVersion` without `resourceVersionMatch`, for a request with
    /// that time limit.
    pub(super) fn of(revision: Option<ResourceVersion>, within: Duration) -> Self {
        match revision {
            None => Self::Latest(within),
            Some(revision) if revision.is_zero() => Self::Any,
            Some(revision) => Self::AtLeast(revision),
        }
    }
}

/// Returns once the store is as new as that, with its relation to the present.
pub(super) async fn wait(cache: &WatchCache, need: Need) -> Result<Option<Read>, Status> {
    let mut progress = cache.progress();
    let Some(current) = *progress.borrow_and_update() else {
        return Err(Status::too_many_requests("storage is (re)initializing", 1));
    };
    let wanted = match need {
        Need::Any => return Ok(cache.barrier().pass()),
        Need::Latest(within) => {
            let asked = cache.barrier().wait(within).await;
            return asked.map_err(|_| late());
        }
        Need::Confirmed(within) => {
            let asked = cache.barrier().confirm(within).await;
            return asked.map_err(|_| late());
        }
        Need::AtLeast(wanted) if wanted <= current => return Ok(cache.barrier().pass()),
        Need::AtLeast(wanted) => wanted,
    };
    // The upstream may have that resource version already, without an event.
    let reached = progress.wait_for(|progress| progress.is_some_and(|at| wanted <= at));
    let asked = async {
        let _ = cache.barrier().wait(PATIENCE).await;
        std::future::pending::<()>().await;
    };
    let reached = async {
        tokio::select! {
            reached = reached => reached.is_ok(),
            () = asked => false,
        }
    };
    match tokio::time::timeout(PATIENCE, reached).await {
        Ok(true) => Ok(cache.barrier().pass()),
        Ok(false) | Err(_) => {
            let current = cache.progress().borrow().unwrap_or_default();
            Err(Status::too_large(wanted, current))
        }
    }
}

/// Returns once a view can be shown as new as that. Where Services decide what it shows,
/// these have to be as new.
pub(super) async fn wait_for_view(
    cache: &WatchCache,
    view: &View,
    need: Need,
) -> Result<Option<Read>, Status> {
    let began = Instant::now();
    let read = wait(cache, need).await?;
    if !cache.is_joined(view) {
        return Ok(read);
    }
    let progress = cache.progress().borrow().unwrap_or_default();
    let (wanted, within) = match need {
        Need::Any => (ResourceVersion::ZERO, PATIENCE),
        Need::Latest(within) => (progress, within.saturating_sub(began.elapsed())),
        // Its client is not to wait twice.
        Need::Confirmed(_) => (progress, PATIENCE),
        Need::AtLeast(revision) => (revision, PATIENCE),
    };
    let mut cut = cache.common_version();
    let is_there = |cut: &Option<ResourceVersion>| cut.is_some_and(|at| wanted <= at);
    if is_there(&cut.borrow_and_update()) {
        return Ok(read);
    }
    let asked = async {
        if let Some(services) = cache.services() {
            // Also where clients are answered from the cache: a quiet resource reports its progress
            // once a minute.
            let _ = services.barrier().confirm(within).await;
            let _ = cache.barrier().confirm(within).await;
        }
        std::future::pending::<()>().await;
    };
    let reached = async {
        tokio::select! {
            reached = cut.wait_for(is_there) => reached.is_ok(),
            () = asked => false,
        }
    };
    match tokio::time::timeout(within, reached).await {
        Ok(true) => Ok(read),
        Ok(false) | Err(_) if cache.common_version().borrow().is_none() => {
            Err(Status::too_many_requests("storage is (re)initializing", 1))
        }
        Ok(false) | Err(_) => Err(late()),
    }
}

fn late() -> Status {
    let message = "Timeout: request did not complete within the allotted timeout";
    Status::failure(504, "Timeout", message).about(Details::default())
}
