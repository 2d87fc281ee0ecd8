//! Defects in how watch events are read.

use bytes::Bytes;
use serde_json::Value;

use super::{Defect, Sabotage};

/// Changes the events in a frame of a watch of a source.
pub(crate) fn changed_frame(sabotage: &Sabotage, frame: Bytes) -> Bytes {
    let Some(defect) = sabotage.defect else {
        return frame;
    };
    let concerns_events = matches!(
        defect,
        Defect::DeletedOverlooked
            | Defect::AddedOverlooked
            | Defect::ModifiedOverlooked
            | Defect::ModifiedIsDeleted
            | Defect::BookmarkTooFar
            | Defect::ExpiredIgnored
            | Defect::ConsumerEventLost
            | Defect::ConsumerBookmarkTooFar
    );
    if !concerns_events {
        return frame;
    }
    let mut changed = Vec::with_capacity(frame.len());
    for line in frame.split_inclusive(|it| *it == b'\n') {
        match serde_json::from_slice::<Value>(line) {
            Ok(event) => {
                if let Some(event) = changed_event(sabotage, defect, event) {
                    changed.extend_from_slice(event.to_string().as_bytes());
                    changed.push(b'\n');
                }
            }
            Err(_) => changed.extend_from_slice(line),
        }
    }
    changed.into()
}

fn changed_event(sabotage: &Sabotage, defect: Defect, mut event: Value) -> Option<Value> {
    let kind = event["type"].as_str().unwrap_or_default().to_owned();
    let is_lost = match (defect, kind.as_str()) {
        (Defect::DeletedOverlooked, "DELETED")
        | (Defect::AddedOverlooked, "ADDED")
        | (Defect::ModifiedOverlooked, "MODIFIED") => sabotage.meets(3),
        (Defect::ExpiredIgnored, "ERROR") => true,
        (Defect::ConsumerEventLost, "ADDED" | "MODIFIED" | "DELETED") => sabotage.meets(10),
        (Defect::ModifiedIsDeleted, "MODIFIED") if sabotage.meets(10) => {
            event["type"] = "DELETED".into();
            false
        }
        (Defect::BookmarkTooFar | Defect::ConsumerBookmarkTooFar, "BOOKMARK") => {
            let version = &mut event["object"]["metadata"]["resourceVersion"];
            let number = version.as_str().and_then(|it| it.parse::<u64>().ok());
            *version = (number.unwrap_or_default() + 100).to_string().into();
            false
        }
        _ => false,
    };
    (!is_lost).then_some(event)
}
