//! Waiting until the store has seen what a request has seen.

use std::time::Duration;

use proto_types::{Revision, Status};

use crate::hub::Hub;

/// How long a request waits for a revision to arrive, as in a kube-apiserver.
const PATIENCE: Duration = Duration::from_secs(3);

/// Returns once the store is at a revision, and has listed at all.
pub(super) async fn wait(hub: &Hub, at_least: Option<Revision>) -> Result<(), Status> {
    let mut progress = hub.progress();
    let Some(current) = *progress.borrow_and_update() else {
        return Err(Status::too_many_requests("storage is (re)initializing", 1));
    };
    let Some(wanted) = at_least.filter(|wanted| current < *wanted) else {
        return Ok(());
    };
    let reached = progress.wait_for(|progress| progress.is_some_and(|at| wanted <= at));
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    match reached {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => {
            let current = hub.progress().borrow().unwrap_or_default();
            Err(Status::too_large(wanted, current))
        }
    }
}
