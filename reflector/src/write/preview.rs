//! Existing objects that a write would meet, found without a write.

use bytes::Bytes;
use http::{Method, StatusCode};
use reflector_planner::{MirrorKey, Step, Update, Write};

use super::{NAMESPACES, ObjectLookup, WriteError, WriteResult, Writer};

impl Writer {
    /// Reads the object that a step would create.
    pub(crate) async fn preview(&self, step: &Step) -> Vec<Update> {
        if !matches!(step.write, Write::Create(_)) {
            return Vec::new();
        }
        let mut written = WriteResult::of(MirrorKey::new(step.key.clone()), Vec::new());
        match self.lookup(step).await {
            Ok(ObjectLookup::Ours(update)) => written.updates.extend(update),
            Ok(ObjectLookup::Foreign(update, object)) => {
                written.updates.extend(update);
                self.handle_existing(step, object, &mut written).await;
            }
            // Without permission to read, the write will show it.
            Ok(ObjectLookup::Gone(_)) | Err(_) => {}
        }
        written.updates
    }

    /// Returns whether a namespace is known not to exist.
    pub(crate) async fn lacks_namespace(&self, name: &str) -> bool {
        let path = format!("{NAMESPACES}/{name}");
        let answer = self.send(Method::GET, &path, Bytes::new()).await;
        matches!(answer, Err(WriteError::Status(StatusCode::NOT_FOUND, _)))
    }
}
