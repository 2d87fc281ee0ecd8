//! Why somebody was refused, or a watch ended.

/// Why somebody was refused or cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Of connections.
    Connections,
    /// Of connections of one address.
    ConnectionsPerAddress,
    /// Of the time for a handshake.
    Handshake,
    /// Of the time for a request's head.
    Header,
    /// Of the time for which a client may take nothing.
    Write,
    /// Of watches.
    Watches,
    /// Of watches of one consumer.
    WatchesPerConsumer,
    /// Of requests that are answered at a time.
    Requests,
    /// Of the length of path and query.
    Uri,
    /// Of the length of a body.
    Body,
    /// It is shutting down.
    Shutdown,
}

impl Limit {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Handshake => "handshake_timeout",
            Self::Header => "header_timeout",
            Self::Write => "write_timeout",
            Self::Watches => "watches",
            Self::WatchesPerConsumer => "watches_per_consumer",
            Self::Requests => "requests_inflight",
            Self::Uri => "uri_bytes",
            Self::Body => "body_bytes",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Why a watch was ended that its consumer would have gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Its reader was too slow.
    Slow,
    /// Its reader took nothing at all.
    Stalled,
    /// Its consumer may see something else now, or nothing.
    Access,
    /// This replica ends.
    Shutdown,
}

impl Eviction {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Stalled => "stalled",
            Self::Access => "access",
            Self::Shutdown => "shutdown",
        }
    }
}
