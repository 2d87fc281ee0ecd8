//! Keys of issuers, as they change.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::Access;

/// Interval in which issuers are checked. The first check is at the start, so that an unavailable
/// issuer is reported before a client needs it.
const LOOK: Duration = Duration::from_secs(5);

/// Asks the issuers for their keys, indefinitely. One that hangs delays no other.
pub async fn follow_keys(access: Arc<Access>) {
    let mut failing = 0;
    loop {
        let issuers = access.ruling.read().issuers.clone();
        let asked = join_all(issuers.iter().map(|it| it.keys.refresh())).await;
        for is_usable in asked.into_iter().flatten() {
            access.parts.metrics.reloaded("keys", is_usable);
        }
        let now = join_all(issuers.iter().map(|it| it.keys.is_failing())).await;
        let now = now.into_iter().filter(|is_failing| *is_failing).count();
        if now != failing || 0 < now {
            access.parts.metrics.valid("keys", now == 0);
        }
        failing = now;
        tokio::time::sleep(LOOK).await;
    }
}
