//! A list that was made for one, and serves all.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use proto_types::ResourceVersion;

/// The encoded items of a list, good until the next change.
#[derive(Clone)]
pub struct CachedList {
    /// The items, encoded.
    pub items: Bytes,
    /// The resource version up to which they are known to be so.
    pub revision: ResourceVersion,
    pub(super) compressed: Arc<Mutex<Option<(ResourceVersion, Bytes)>>>,
}

impl CachedList {
    /// Items of a resource version.
    #[must_use]
    pub fn new(items: Bytes, revision: ResourceVersion) -> Self {
        let compressed = Arc::default();
        Self {
            items,
            revision,
            compressed,
        }
    }

    /// Returns the compressed list, which is made at most once for all requests at this resource
    /// version; concurrent ones wait for it.
    pub fn compressed(&self, compress: impl FnOnce(&[u8]) -> Bytes) -> Bytes {
        let mut kept = self.compressed.lock();
        match &*kept {
            Some((revision, body)) if *revision == self.revision => body.clone(),
            Some(_) | None => {
                let body = compress(&self.items);
                *kept = Some((self.revision, body.clone()));
                body
            }
        }
    }
}
