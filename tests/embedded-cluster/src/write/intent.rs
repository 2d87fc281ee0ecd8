//! How a write is meant.

/// How a write is meant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intent {
    /// Whether to stop short of storing.
    pub(crate) dry_run: bool,
    /// What becomes of fields that nobody knows.
    pub(crate) validation: Validation,
    /// Who is told to own what it changes.
    pub(crate) ownership: Ownership,
}

/// Who is told to own what a write changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Ownership {
    /// Nobody: what owners there were stay.
    #[default]
    Untold,
    /// The manager of that name.
    Manager(String),
    /// Who the object already says.
    Said,
}

/// What becomes of fields that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Validation {
    /// They are cut.
    Ignore,
    /// They are cut, and told.
    #[default]
    Warn,
    /// They are refused.
    Strict,
}
