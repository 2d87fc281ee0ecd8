//! Refusal of requests that a web page of another site makes a browser send.
//!
//! A name of that site can have the address of this machine, so its requests come from the
//! machine itself. The header Host has the name.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, StatusCode, header};

/// Returns the same routes, without requests for names of other sites.
pub fn own_host(router: Router) -> Router {
    router.layer(middleware::from_fn(refuse))
}

async fn refuse(request: Request, next: Next) -> Response {
    if is_own(request.headers()) {
        return next.run(request).await;
    }
    let why = "this name is not one of this machine; use localhost, an IP address, or a bearer \
               token\n";
    (StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

/// Returns whether the header names this machine. A browser adds no token by itself.
fn is_own(headers: &HeaderMap) -> bool {
    if headers.contains_key(header::AUTHORIZATION) {
        return true;
    }
    let Some(host) = headers.get(header::HOST) else {
        return true;
    };
    let authority = host
        .to_str()
        .ok()
        .and_then(|it| it.parse::<Authority>().ok());
    let Some(authority) = authority else {
        return false;
    };
    let name = authority.host();
    let is_address = name.starts_with('[') || name.parse::<std::net::IpAddr>().is_ok();
    // Only a resolver of the machine itself has names of one label.
    is_address || !name.contains('.') || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};

    use super::is_own;

    #[test]
    fn names_of_other_sites_are_refused() {
        let mut headers = HeaderMap::new();
        assert!(is_own(&headers));
        let own = [
            "localhost:9090",
            "127.0.0.1",
            "[::1]:9090",
            "a.localhost",
            "node-1",
        ];
        for own in own {
            headers.insert(header::HOST, own.parse().unwrap());
            assert!(is_own(&headers), "{own}");
        }
        for other in ["attacker.example:9090", "127.0.0.1.example", "a b"] {
            headers.insert(header::HOST, other.parse().unwrap());
            assert!(!is_own(&headers), "{other}");
        }
        headers.insert(header::HOST, "reflector.example".parse().unwrap());
        headers.insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
        assert!(is_own(&headers));
    }
}
