//! Kinds of planted defects.

use std::fmt;

/// A planted defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// Lists that are older than what is known count, also those of a disconnected emitter.
    FloorDropped,
    /// Watches resume five resource versions too late.
    ResumesTooLate,
    /// Watches resume at the present, whatever was missed.
    ResumesNow,
    /// Every third DELETED event is overlooked.
    DeletedOverlooked,
    /// Every third ADDED event is overlooked.
    AddedOverlooked,
    /// Every third MODIFIED event is overlooked.
    ModifiedOverlooked,
    /// Every tenth MODIFIED event is taken for DELETED.
    ModifiedIsDeleted,
    /// Bookmarks are taken for a hundred resource versions more than they say.
    BookmarkTooFar,
    /// An expired resource version is taken for a quiet watch.
    ExpiredIgnored,
    /// Whatever cluster answers is taken for the first one.
    IdentityIgnored,
    /// What an emitter reports about its upstream and about its list is ignored.
    UpstreamIgnored,
    /// What an emitter says of its view is ignored.
    ViewIgnored,
    /// Lists lose their last object every fifth time.
    LastOfListLost,
    /// A list that breaks off counts as whole and empty.
    BrokenListIsEmpty,
    /// A refused list counts as empty.
    RefusedListIsEmpty,
    /// Deletions are not held.
    HoldOff,
    /// Writes name no resource version and no uid.
    PreconditionsDropped,
    /// All replicas write.
    LeaseIgnored,
    /// Deletions of EndpointSlices are not sent.
    SlicesLeft,
    /// Every third write is taken for done, and never sent.
    WritesForgotten,
    /// Failed writes are not tried again.
    FailuresAreSuccess,
    /// A watch that fell silent counts as alive.
    SilenceIgnored,
    /// Lists are answered from the first one.
    FirstListForEver,
    /// Everything is exported, whatever its labels.
    SelectorIgnored,
    /// Every fifth deletion is one of an unmanaged object.
    UnmanagedWritten,
    /// The first object of a relist counts as deleted.
    RelistDeletes,
    /// Ready endpoints count as not ready, every tenth time.
    ReadinessLost,
    /// An emitter loses every tenth event on its way to a consumer.
    ConsumerEventLost,
    /// An emitter sends bookmarks to consumers that are a hundred resource versions too far.
    ConsumerBookmarkTooFar,
    /// An emitter leaves out the last object of every fifth list for a consumer.
    ConsumerListShort,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 30] = [
        Self::FloorDropped,
        Self::ResumesTooLate,
        Self::ResumesNow,
        Self::DeletedOverlooked,
        Self::AddedOverlooked,
        Self::ModifiedOverlooked,
        Self::ModifiedIsDeleted,
        Self::BookmarkTooFar,
        Self::ExpiredIgnored,
        Self::IdentityIgnored,
        Self::UpstreamIgnored,
        Self::ViewIgnored,
        Self::LastOfListLost,
        Self::BrokenListIsEmpty,
        Self::RefusedListIsEmpty,
        Self::HoldOff,
        Self::PreconditionsDropped,
        Self::LeaseIgnored,
        Self::SlicesLeft,
        Self::WritesForgotten,
        Self::FailuresAreSuccess,
        Self::SilenceIgnored,
        Self::FirstListForEver,
        Self::SelectorIgnored,
        Self::UnmanagedWritten,
        Self::RelistDeletes,
        Self::ReadinessLost,
        Self::ConsumerEventLost,
        Self::ConsumerBookmarkTooFar,
        Self::ConsumerListShort,
    ];

    /// Returns whether an emitter has it where it serves consumers, not a reader.
    pub(crate) const fn is_of_serving(self) -> bool {
        matches!(
            self,
            Self::ConsumerEventLost | Self::ConsumerBookmarkTooFar | Self::ConsumerListShort
        )
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
