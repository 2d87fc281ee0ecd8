//! Waiting until the store has seen what a request has seen.

use std::time::Duration;

use emitter_cache::View;
use proto_types::evidence::Read;
use proto_types::{Revision, Status};

use crate::hub::Hub;

/// How long a request waits for a revision to arrive, as in a kube-apiserver.
const PATIENCE: Duration = Duration::from_secs(3);

/// How new the store must be for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It must have listed at all.
    Any,
    /// It must have all that had happened when the request came.
    Latest,
    /// The same, confirmed by the upstream also where other readers do not need that.
    Confirmed,
    /// It must have seen a revision.
    AtLeast(Revision),
}

impl Need {
    /// What a `resourceVersion` means where nothing else is said.
    pub(super) fn of(revision: Option<Revision>) -> Self {
        match revision {
            None => Self::Latest,
            Some(revision) if revision.is_zero() => Self::Any,
            Some(revision) => Self::AtLeast(revision),
        }
    }
}

/// Returns once the store is as new as that, with its relation to the present.
pub(super) async fn wait(hub: &Hub, need: Need) -> Result<Option<Read>, Status> {
    let mut progress = hub.progress();
    let Some(current) = *progress.borrow_and_update() else {
        return Err(Status::too_many_requests("storage is (re)initializing", 1));
    };
    let wanted = match need {
        Need::Any => return Ok(hub.questions().unasked()),
        Need::Latest | Need::Confirmed => {
            let asked = match need {
                Need::Confirmed => hub.questions().confirm().await,
                _ => hub.questions().ask().await,
            };
            return asked.map_err(|_| Status::failure(504, "Timeout", LATE));
        }
        Need::AtLeast(wanted) if wanted <= current => return Ok(hub.questions().unasked()),
        Need::AtLeast(wanted) => wanted,
    };
    // The upstream may be there already, without anything to tell.
    let reached = progress.wait_for(|progress| progress.is_some_and(|at| wanted <= at));
    let asked = async {
        let _ = hub.questions().ask().await;
        std::future::pending::<()>().await;
    };
    let reached = async {
        tokio::select! {
            reached = reached => reached.is_ok(),
            () = asked => false,
        }
    };
    match tokio::time::timeout(PATIENCE, reached).await {
        Ok(true) => Ok(hub.questions().unasked()),
        Ok(false) | Err(_) => {
            let current = hub.progress().borrow().unwrap_or_default();
            Err(Status::too_large(wanted, current))
        }
    }
}

/// Returns once a view can be shown as new as that. Where Services decide what it shows,
/// these have to be as new.
pub(super) async fn wait_for_view(
    hub: &Hub,
    view: &View,
    need: Need,
) -> Result<Option<Read>, Status> {
    let read = wait(hub, need).await?;
    if !hub.is_joined(view) {
        return Ok(read);
    }
    let progress = hub.progress().borrow().unwrap_or_default();
    let wanted = match need {
        Need::Any => Revision::ZERO,
        Need::Latest | Need::Confirmed => progress,
        Need::AtLeast(revision) => revision,
    };
    let mut cut = hub.cut();
    let is_there = |cut: &Option<Revision>| cut.is_some_and(|at| wanted <= at);
    if is_there(&cut.borrow_and_update()) {
        return Ok(read);
    }
    let asked = async {
        if let Some(services) = hub.services() {
            let _ = services.questions().ask().await;
            let _ = hub.questions().ask().await;
        }
        std::future::pending::<()>().await;
    };
    let reached = async {
        tokio::select! {
            reached = cut.wait_for(is_there) => reached.is_ok(),
            () = asked => false,
        }
    };
    match tokio::time::timeout(PATIENCE, reached).await {
        Ok(true) => Ok(read),
        Ok(false) | Err(_) if hub.cut().borrow().is_none() => {
            Err(Status::too_many_requests("storage is (re)initializing", 1))
        }
        Ok(false) | Err(_) => Err(Status::failure(504, "Timeout", LATE)),
    }
}

const LATE: &str = "Timeout: request did not complete within the allotted timeout";
