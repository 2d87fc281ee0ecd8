//! Compression of responses: only large ones, and only once for equal requests.

use std::io::Write;

use axum::response::Response;
use bytes::Bytes;
use emitter_cache::Encoding;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};
use proto_types::{ResourceVersion, delta};

/// Minimum size in bytes of compressed responses, as in a kube-apiserver.
const THRESHOLD: usize = 128 << 10;

/// Returns whether the consumer takes gzip. As in a kube-apiserver only the bare word counts.
fn is_accepted(headers: &HeaderMap) -> bool {
    accepts(headers, "gzip")
}

fn accepts(headers: &HeaderMap, coding: &str) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    let mut words = accepted.unwrap_or_default().split(',');
    words.any(|word| word.trim() == coding)
}

/// The content codings that a request accepts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    /// `true` if the response of a list may be compressed with gzip.
    pub(super) gzip: bool,
    pub(super) watch: Coding,
}

impl Accepted {
    /// Reads them from the headers of a request.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            gzip: is_accepted(headers),
            watch: Coding::accepted(headers),
        }
    }
}

/// Content coding of the events of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As they are.
    Plain,
    /// As one gzip stream.
    Gzip,
    /// As records, for a client that holds what it was sent since a resource version.
    Delta {
        /// That resource version; none for a client that holds nothing.
        held_since: Option<ResourceVersion>,
    },
}

impl Coding {
    /// The best that a request accepts.
    fn accepted(headers: &HeaderMap) -> Self {
        if accepts(headers, delta::CODING) {
            let since = headers.get(delta::HELD_SINCE);
            let since = since.and_then(|it| it.to_str().ok()?.parse().ok());
            return Self::Delta { held_since: since };
        }
        match is_accepted(headers) {
            true => Self::Gzip,
            false => Self::Plain,
        }
    }

    /// The same for watches of other forms than objects in JSON, which have no differences.
    pub(super) const fn for_encoding(self, encoding: Encoding) -> Self {
        match (self, encoding) {
            (Self::Delta { .. }, encoding) if !matches!(encoding, Encoding::Object) => Self::Gzip,
            (coding, _) => coding,
        }
    }

    /// Says how a watch is coded.
    pub(super) fn mark(self, response: Response) -> Response {
        match self {
            Self::Plain => response,
            Self::Gzip => mark(response),
            Self::Delta { .. } => coded(response, delta::CODING, VARY),
        }
    }
}

const VARY: &str = "Accept-Encoding, Heliograph-Held-Since";

/// Returns whether a body of that length is worth it.
pub(super) const fn pays(length: usize) -> bool {
    THRESHOLD < length
}

/// Compresses as fast as possible: a large response takes CPU time rather than bytes.
pub(super) fn compress(parts: &[&[u8]]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut encoder = GzEncoder::new(Vec::with_capacity(length / 4), Compression::fast());
    for part in parts {
        let written = encoder.write_all(part);
        written.expect("a vector takes every byte");
    }
    let compressed = encoder.finish();
    compressed.expect("a vector takes every byte").into()
}

/// Says that a body is compressed.
pub(super) fn mark(response: Response) -> Response {
    coded(response, "gzip", "Accept-Encoding")
}

fn coded(mut response: Response, coding: &'static str, vary: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    headers.insert(header::VARY, HeaderValue::from_static(vary));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bare_word_asks_for_gzip() {
        let check = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            let headers: HeaderMap = [(header::ACCEPT_ENCODING, value)].into_iter().collect();
            is_accepted(&headers)
        };
        assert!(check("gzip") && check("br, gzip"));
        for other in ["", "*", "GZIP", "identity", "gzip;q=0", "br,gzip;q=0.5"] {
            assert!(!check(other), "{other}");
        }
        assert!(!is_accepted(&HeaderMap::new()));
    }

    #[test]
    fn differences_are_sent_to_who_asks_for_them_by_their_name() {
        let accepted = |coding: &'static str, since: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
            if let Some(since) = since {
                headers.insert(delta::HELD_SINCE, HeaderValue::from_static(since));
            }
            Coding::accepted(&headers)
        };
        let delta = |since: Option<u64>| Coding::Delta {
            held_since: since.map(ResourceVersion::new),
        };
        assert_eq!(
            accepted("heliograph-delta, gzip", Some("7")),
            delta(Some(7))
        );
        assert_eq!(accepted("gzip, heliograph-delta", None), delta(None));
        assert_eq!(accepted("heliograph-delta", Some("x")), delta(None));
        assert_eq!(accepted("gzip", Some("7")), Coding::Gzip);
        assert_eq!(accepted("br", Some("7")), Coding::Plain);
        let metadata = accepted("heliograph-delta", None).for_encoding(Encoding::Metadata);
        assert_eq!(metadata, Coding::Gzip);
    }
}
