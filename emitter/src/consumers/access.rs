//! End of watches whose consumer may see something else after a change of its permissions.

use std::sync::Arc;

use super::Consumers;
use crate::access::Access;
use crate::metrics::Eviction;

impl Consumers {
    /// Ends, without end itself, the watches of consumers that may see something else now.
    pub async fn follow_access(self: Arc<Self>, access: Arc<Access>) {
        loop {
            access.changed().await;
            for watch in self.watches() {
                if let Some(right) = &watch.caller.right
                    && !access.still_holds(right).await
                {
                    watch.end(Eviction::Access);
                }
            }
        }
    }
}
