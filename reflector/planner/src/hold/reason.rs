//! Reasons of holds, in words.

use std::time::Duration;

/// Reason why deletions are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HoldReason {
    /// A list lacks everything that is mirrored.
    ListEmpty,
    /// A list lacks more than half of what is mirrored.
    ListShort,
    /// Watch events deleted more than half of what is mirrored.
    ManyEvents,
    /// Every deletion is confirmed by another list, as configured.
    EveryDeletion,
}

impl HoldReason {
    /// The same as a clause.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ListEmpty => "the last list of the source lacks everything that is mirrored",
            Self::ListShort => {
                "the lists of the source lack more than half of what is mirrored, within 5 minutes"
            }
            Self::ManyEvents => {
                "the source deleted more than half of what is mirrored, within 5 minutes"
            }
            Self::EveryDeletion => "every deletion is confirmed by another list (confirmDeletions)",
        }
    }

    /// Time of the deletion, in words.
    #[must_use]
    pub fn delay(self, hold: Duration) -> String {
        match self {
            Self::EveryDeletion => "at once".to_owned(),
            Self::ListEmpty | Self::ListShort | Self::ManyEvents => {
                format!("after {hold:?} (deletionHold)")
            }
        }
    }
}
