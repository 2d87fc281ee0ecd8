//! Reasons of rejections and of the end of watches.

/// Limit for which a request was rejected or a connection closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Number of connections.
    Connections,
    /// Number of connections of one address.
    ConnectionsPerAddress,
    /// Time of a handshake.
    Handshake,
    /// Time until the head of a request.
    Header,
    /// Time for which a client may read nothing.
    Write,
    /// Number of watches.
    Watches,
    /// Number of watches of one consumer.
    WatchesPerConsumer,
    /// Number of requests in flight.
    Requests,
    /// Number of requests of one consumer in flight.
    RequestsPerConsumer,
    /// Bytes of responses that are being sent.
    ResponseBytes,
    /// Bytes of responses to one consumer that are being sent.
    ResponseBytesPerConsumer,
    /// Time of a whole response.
    Response,
    /// Number of watched views.
    Views,
    /// Number of views that one consumer watches.
    ViewsPerConsumer,
    /// Number of requests to the upstream about credentials from one address.
    Authentication,
    /// Length of path and query.
    Uri,
    /// Length of a body.
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

/// Reason for which the emitter ended a watch; the last one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Eviction {
    /// Its client was too slow.
    Slow = 1,
    /// This replica ends.
    Shutdown,
    /// Its consumer may see something else now, or nothing.
    Access,
    /// Its client took nothing at all.
    Stalled,
}

impl Eviction {
    /// The reason as a number, if there was one.
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
