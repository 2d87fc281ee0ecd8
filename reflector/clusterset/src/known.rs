//! Data of one resource of one cluster, and how current it is.

/// Data of one resource of one cluster, and how current it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Known<T> {
    /// Never listed: what is missing may exist.
    #[default]
    Unlisted,
    /// Listed and watched.
    Current(T),
    /// The watch is disconnected: the data is what was read last.
    Stale(T),
}

/// News of one resource of one cluster.
#[derive(Debug, Clone)]
pub enum Change<K, T> {
    /// A completed list whose absences count.
    Listed(Vec<(K, T)>),
    /// A list whose absences do not count, because its server could not confirm it.
    ListedUnconfirmed(Vec<(K, T)>),
    /// An object was added or modified.
    Applied(K, T),
    /// An object was deleted.
    Deleted(K),
    /// The watch is connected again where it was disconnected.
    Connected,
    /// The watch is disconnected.
    Disconnected,
}

impl<T> Known<T> {
    /// Returns the data, current or not.
    #[must_use]
    pub const fn data(&self) -> Option<&T> {
        match self {
            Self::Unlisted => None,
            Self::Current(data) | Self::Stale(data) => Some(data),
        }
    }

    /// Returns the data, current or not.
    #[must_use]
    pub fn into_data(self) -> Option<T> {
        match self {
            Self::Unlisted => None,
            Self::Current(data) | Self::Stale(data) => Some(data),
        }
    }

    /// Returns the data to modify it.
    pub const fn data_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Unlisted => None,
            Self::Current(data) | Self::Stale(data) => Some(data),
        }
    }

    /// Returns whether the resource was never listed.
    #[must_use]
    pub const fn is_unlisted(&self) -> bool {
        matches!(self, Self::Unlisted)
    }

    /// Returns whether the data is what was read before a disconnection.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Stale(_))
    }

    /// Marks the data as stale.
    pub fn disconnect(&mut self) {
        *self = match std::mem::take(self) {
            Self::Unlisted => Self::Unlisted,
            Self::Current(data) | Self::Stale(data) => Self::Stale(data),
        };
    }

    /// Marks the data as current.
    pub fn reconnect(&mut self) {
        *self = match std::mem::take(self) {
            Self::Unlisted => Self::Unlisted,
            Self::Current(data) | Self::Stale(data) => Self::Current(data),
        };
    }
}
