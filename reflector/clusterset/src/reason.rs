//! Reasons of problems of exports and imports.

/// Reason of a problem of an export or an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The deletion of what a cluster exported is held.
    DeletionHeld,
    /// Exports of one Service differ.
    ExportConflict,
    /// An export has no effect.
    ExportInvalid,
    /// An export is in a namespace that is closed for exports.
    ExportNotAllowed,
    /// Another writer has the import or its derived Service.
    ImportOccupied,
    /// The local API server rejected a write.
    ImportRejected,
    /// The local API server rejects a value of an optional field.
    FieldNotSupported,
    /// An exporting cluster is disconnected.
    ImportStale,
}

impl Reason {
    /// Returns the reason in status, metrics and documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeletionHeld => "DeletionHeld",
            Self::ExportConflict => "ExportConflict",
            Self::ExportInvalid => "ExportInvalid",
            Self::ExportNotAllowed => "ExportNotAllowed",
            Self::ImportOccupied => "ImportOccupied",
            Self::ImportRejected => "ImportRejected",
            Self::FieldNotSupported => "FieldNotSupported",
            Self::ImportStale => "ImportStale",
        }
    }
}
