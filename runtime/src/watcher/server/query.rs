//! Requests for a scope.

use http::{HeaderValue, Request, header};
use kube::client::Body;
use proto_types::delta;

use super::super::Scope;
use super::super::formers::DeltaRequest;
use crate::upstream::{self, CONFIRMED, Connection};

/// A query string.
pub(super) struct Query {
    text: String,
    /// Connection that carries it.
    pub(super) connection: Connection,
    /// Request for records.
    pub(super) records: DeltaRequest,
}

impl Query {
    pub(super) fn of(scope: &Scope) -> Self {
        let mut query = Self {
            text: String::new(),
            connection: Connection::Any,
            records: DeltaRequest::Nothing,
        };
        if !scope.selector.is_empty() {
            query.push("labelSelector", &scope.selector.to_string());
        }
        query
    }

    pub(super) fn push(&mut self, name: &str, value: &str) {
        let separator = if self.text.is_empty() { '?' } else { '&' };
        self.text.push(separator);
        self.text.push_str(name);
        self.text.push('=');
        self.text.push_str(&percent_encoded(value));
    }

    pub(super) fn into_request(self, scope: &Scope) -> Request<Body> {
        let namespace = scope.namespace.as_deref().map(percent_encoded);
        let path = scope.resource.collection(namespace.as_deref());
        let mut request = Request::get(path + &self.text)
            .header(header::ACCEPT, "application/json")
            .header(upstream::READ, CONFIRMED)
            .header(header::ACCEPT_ENCODING, "gzip")
            .body(Body::empty())
            .expect("a path of encoded parts is a URI");
        if let DeltaRequest::Records(held_since) = self.records {
            let headers = request.headers_mut();
            let codings = HeaderValue::from_static("heliograph-delta, gzip");
            headers.insert(header::ACCEPT_ENCODING, codings);
            if let Some(since) = held_since {
                headers.insert(delta::HELD_SINCE, since.number().into());
            }
        }
        self.connection.poller(request.headers_mut());
        request
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
