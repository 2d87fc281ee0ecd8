//! The columns that kubectl prints, with the cells that a kube-apiserver writes.

use jiff::Timestamp;
use proto_types::status::escape_html;

pub mod cells;
mod duration;

pub use duration::human_duration;

/// Part of its object that a row has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Include {
    /// Nothing.
    Nothing,
    /// Its metadata.
    Metadata,
    /// All of it.
    Object,
}

/// Writes the cells of the row of an object.
pub type Cells = fn(&[u8], Timestamp) -> Vec<serde_json::Value>;

/// Cells of a row, encoded.
pub(crate) struct Row(String);

impl Row {
    /// The row of an object; what cannot be read shows as an empty object's.
    pub(crate) fn of(cells: Cells, json: &[u8], now: Timestamp) -> Self {
        let cells = serde_json::to_string(&cells(json, now)).expect("cells encode");
        Self(escape_html(&cells))
    }

    /// The row of an object that has nothing, which a bookmark shows.
    pub(crate) fn empty(cells: Cells) -> Self {
        Self::of(cells, b"{}", Timestamp::UNIX_EPOCH)
    }

    /// Writes the row, with `part` of its object as `include` requires.
    pub(crate) fn write(&self, include: Include, part: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"cells\":");
        out.extend_from_slice(self.0.as_bytes());
        out.extend_from_slice(b",\"object\":");
        match include {
            Include::Nothing => out.extend_from_slice(b"null"),
            Include::Object => out.extend_from_slice(part),
            Include::Metadata => {
                out.extend_from_slice(
                    br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#,
                );
                out.extend_from_slice(part);
                out.push(b'}');
            }
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Timestamp};
    use crate::ResourceDescriptor;
    use proto_types::Resource;

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        for resource in Resource::ALL {
            let form: &ResourceDescriptor = resource.into();
            let columns: Vec<serde_json::Value> = serde_json::from_str(form.columns).unwrap();
            let row = Row::of(form.cells, b"{}", Timestamp::UNIX_EPOCH);
            let cells: Vec<String> = serde_json::from_str(&row.0).unwrap();
            assert_eq!(columns.len(), cells.len(), "{resource}");
        }
    }
}
