//! Compressed answers: only large ones, and only once for all who want the same.

use std::io::Write;

use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, header};

/// What is smaller travels as it is, as from a kube-apiserver.
const THRESHOLD: usize = 128 << 10;

/// Whether the consumer takes gzip. As in a kube-apiserver only the bare word says so.
pub(super) fn is_accepted(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT_ENCODING);
    let accepted = accepted.and_then(|value| value.to_str().ok());
    let mut words = accepted.unwrap_or_default().split(',');
    words.any(|word| word.trim() == "gzip")
}

/// Whether a body of that length is worth it.
pub(super) const fn pays(length: usize) -> bool {
    THRESHOLD < length
}

/// Compresses as fast as possible: who sends megabytes pays in time, not in bytes.
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
pub(super) fn mark(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, HeaderValue, header, is_accepted};

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
}
