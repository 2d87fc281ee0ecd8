//! Times of propagation in the status of a Source.
//!
//! Each change of endpoints moves them a little, and is no reason to write: they are written with
//! other changes, or when they are [another time](Percentiles::is_material).

use serde_json::{Value, json};

use crate::metrics::recent::Percentiles;

/// Field of the status.
const FIELD: &str = "propagation";

const P50: &str = "p50Milliseconds";

const P99: &str = "p99Milliseconds";

/// Completes a status that has all but the times of propagation.
pub(super) fn add(status: &mut Value, recent: Option<Percentiles>, before: &Value) {
    let Some(status) = status.as_object_mut() else {
        return;
    };
    let former = before.get(FIELD);
    let mut rest = before.clone();
    remove(&mut rest);
    let is_other = rest.as_object() != Some(status);
    let recent = recent.filter(|it| is_other || is_material(*it, former));
    let written = recent.map(|it| json!({P50: it.p50, P99: it.p99}));
    if let Some(value) = written.or_else(|| former.cloned()) {
        status.insert(FIELD.to_owned(), value);
    }
}

/// Removes the times of propagation.
pub(super) fn remove(status: &mut Value) {
    if let Some(status) = status.as_object_mut() {
        status.remove(FIELD);
    }
}

fn is_material(recent: Percentiles, former: Option<&Value>) -> bool {
    let is_other = |now: u32, field: &str| {
        let former = former.and_then(|it| it[field].as_u64());
        let former = former.and_then(|it| u32::try_from(it).ok());
        former.is_none_or(|it| Percentiles::is_material(it, now))
    };
    is_other(recent.p50, P50) || is_other(recent.p99, P99)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Percentiles = Percentiles { p50: 25, p99: 100 };

    fn added(mut status: Value, recent: Option<Percentiles>, before: &Value) -> Value {
        add(&mut status, recent, before);
        status
    }

    #[test]
    fn times_are_written_first_with_other_changes_and_when_they_are_others() {
        let bare = json!({"exported": 1});
        let first = added(bare.clone(), Some(FAST), &bare);
        let expected = json!({"p50Milliseconds": 25, "p99Milliseconds": 100});
        assert_eq!(first, json!({"exported": 1, "propagation": expected}));
        assert_eq!(added(bare.clone(), Some(FAST), &first), first);
        let near = Percentiles { p99: 250, ..FAST };
        assert_eq!(
            added(bare.clone(), Some(near), &first),
            first,
            "a neighbour"
        );
        let far = Percentiles { p99: 500, ..FAST };
        let changed = added(bare, Some(far), &first);
        assert_eq!(changed["propagation"]["p99Milliseconds"], 500);
        let other = added(json!({"exported": 2}), Some(near), &first);
        assert_eq!(other["propagation"]["p99Milliseconds"], 250);
    }

    #[test]
    fn a_restart_keeps_what_was_written() {
        let bare = json!({"exported": 1});
        let first = added(bare.clone(), Some(FAST), &bare);
        assert_eq!(added(bare.clone(), None, &first), first);
        let other = added(json!({"exported": 2}), None, &first);
        assert_eq!(other["propagation"], first["propagation"]);
        assert_eq!(added(bare.clone(), None, &bare), bare);
        let mut removed = first;
        remove(&mut removed);
        assert_eq!(removed, bare);
    }
}
