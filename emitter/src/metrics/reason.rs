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
    /// Of requests of one consumer that are answered at a time.
    RequestsPerConsumer,
    /// Of bytes of answers that are being sent.
    ResponseBytes,
    /// Of these bytes of one consumer.
    ResponseBytesPerConsumer,
    /// Of the time for a whole answer.
    Response,
    /// Of views that are watched.
    Views,
    /// Of views that one consumer watches.
    ViewsPerConsumer,
    /// Of questions to the upstream about credentials from one address.
    Authentication,
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
            Self::RequestsPerConsumer => "requests_inflight_per_consumer",
            Self::ResponseBytes => "response_bytes",
            Self::ResponseBytesPerConsumer => "response_bytes_per_consumer",
            Self::Response => "response_timeout",
            Self::Views => "views",
            Self::ViewsPerConsumer => "views_per_consumer",
            Self::Authentication => "authentication",
            Self::Uri => "uri_bytes",
            Self::Body => "body_bytes",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Why a watch was ended that its consumer would have gone on with; of several reasons
/// the last counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Eviction {
    /// Its reader was too slow.
    Slow = 1,
    /// This replica ends.
    Shutdown,
    /// Its consumer may see something else now, or nothing.
    Access,
    /// Its reader took nothing at all.
    Stalled,
}

impl Eviction {
    /// The reason that was said as a number, if one was.
    pub(crate) fn of_word(word: u8) -> Option<Self> {
        let all = [Self::Slow, Self::Shutdown, Self::Access, Self::Stalled];
        all.into_iter().find(|it| *it as u8 == word)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Stalled => "stalled",
            Self::Access => "access_changed",
            Self::Shutdown => "shutdown",
        }
    }
}
