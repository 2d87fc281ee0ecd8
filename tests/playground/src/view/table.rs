//! Rows of text, for the view and for plain lines alike.

use std::time::Duration;

use crate::playground_view::{Change, Endpoints, Row, What};

use super::text::{pad, width};

const HEADING: [&str; 7] = [
    "SOURCE",
    "STATE",
    "EXPORTED",
    "MIRRORED",
    "READY",
    "LAST CONTACT",
    "NEWEST CHANGE",
];

/// A heading and a line for each source, in columns.
pub(super) fn sources(rows: &[Row]) -> Vec<String> {
    let mut table = vec![HEADING.map(str::to_owned)];
    table.extend(rows.iter().map(cells));
    let widths: [usize; 7] = std::array::from_fn(|i| {
        table
            .iter()
            .map(|cells| width(&cells[i]))
            .max()
            .unwrap_or(0)
    });
    let lines = table.iter().map(|cells| {
        let padded = cells
            .iter()
            .zip(widths)
            .map(|(cell, width)| pad(cell, width));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect()
}

fn cells(row: &Row) -> [String; 7] {
    let Endpoints { ready, total } = row.endpoints;
    [
        row.name.clone(),
        row.state.clone(),
        row.n_exported.to_string(),
        row.n_mirrors.to_string(),
        format!("{ready} of {total}"),
        row.heard
            .map_or("never".to_owned(), |age| format!("{age}s ago")),
        row.newest
            .map_or("-".to_owned(), |took| format!("took {}", duration(took))),
    ]
}

/// What became of a mirror.
pub(super) fn change(change: &Change) -> String {
    let Change {
        what,
        source,
        service,
        endpoints,
        ..
    } = change;
    let tail = match (what, endpoints) {
        (What::Came, _) => "is mirrored".to_owned(),
        (What::Went, _) => "went, and its mirror with it".to_owned(),
        (What::Changed, None) => "is mirrored anew".to_owned(),
        (What::Changed, Some(Endpoints { ready, total })) => {
            format!("has {total} endpoints, {ready} ready")
        }
    };
    format!("{source} {service} {tail}")
}

/// Minutes and seconds.
pub(super) fn clock(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn duration(took: Duration) -> String {
    if took < Duration::from_secs(10) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{} s", took.as_secs())
    }
}
