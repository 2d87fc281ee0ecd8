//! Access to what the admin port shows of objects and clients.
//!
//! Probes are open to every client of the port. Metrics, status and debug paths name objects,
//! addresses and users. They are open to the machine itself (`kubectl exec` and `port-forward`
//! connect from there), to clients with a token of a file, and to users whom the API server allows
//! to get the path.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use proto_types::escape;

use super::review::{Reviewer, Verdict};
use super::serve::Peer;

/// Maximum size of the file of tokens in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Access control of metrics, status and debug paths.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// File with a bearer token in each line; read again for each request.
    tokens: Option<Arc<PathBuf>>,
    /// The API server that reviews tokens.
    reviewer: Option<Arc<Reviewer>>,
}

impl Guard {
    /// Admits the machine itself, and those with a token of that file.
    #[must_use]
    pub fn new(tokens: Option<PathBuf>) -> Self {
        Self {
            tokens: tokens.map(Arc::new),
            reviewer: None,
        }
    }

    /// Also admits the users that this API server allows to get a path.
    #[must_use]
    pub fn with_reviews(mut self, client: kube::Client) -> Self {
        self.reviewer = Some(Arc::new(Reviewer::new(client)));
        self
    }

    /// Protects routes: only allowed clients pass.
    pub fn protect(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, admit))
    }

    /// Returns whether the token is one of the file.
    async fn lists(&self, token: &str) -> bool {
        let Some(path) = self.tokens.clone() else {
            return false;
        };
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let Ok(Some(text)) = read else {
            return false;
        };
        let mut lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
        lines.any(|line| is_same(line.as_bytes(), token.as_bytes()))
    }

    /// Returns the reason for which a request from another machine is rejected, if it is.
    async fn refusal(
        &self,
        headers: &HeaderMap,
        path: &str,
        address: Option<IpAddr>,
    ) -> Option<Response> {
        let Some(token) = bearer(headers) else {
            return Some(unauthorized(""));
        };
        if self.lists(token).await {
            return None;
        }
        let Some(reviewer) = &self.reviewer else {
            return Some(unauthorized(""));
        };
        let (code, why) = match reviewer.review(token, path, address).await {
            Verdict::Allowed => return None,
            Verdict::Unknown => return Some(unauthorized("")),
            Verdict::Failed(why) => {
                let why = format!("the API server cannot say whose the token is: {why}; ");
                return Some(unauthorized(&why));
            }
            Verdict::Forbidden(user) => {
                let user = escape::text(&user).into_owned();
                let why = format!(
                    "user {user} may not get {path}: bind it to a ClusterRole with \
                     nonResourceURLs: [{path}]\n"
                );
                (StatusCode::FORBIDDEN, why)
            }
            Verdict::Busy => {
                let why = "too many tokens are being reviewed; try again\n".to_owned();
                (StatusCode::TOO_MANY_REQUESTS, why)
            }
        };
        let headers = [(header::RETRY_AFTER, "1")];
        Some(match code {
            StatusCode::TOO_MANY_REQUESTS => (code, headers, why).into_response(),
            code => (code, why).into_response(),
        })
    }
}

fn read(path: &PathBuf) -> Option<String> {
    let size = std::fs::metadata(path).ok()?.len();
    (size <= MAX_FILE)
        .then(|| std::fs::read_to_string(path).ok())
        .flatten()
}

/// Compares in a time that depends on the lengths alone.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differs = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differs == 0
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn unauthorized(why: &str) -> Response {
    let why = format!(
        "{why}this path is for the machine itself (kubectl exec, kubectl port-forward), for a bearer \
         token of --admin-token-file, or for one whose user may get it as a nonResourceURL\n"
    );
    let headers = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, headers, why).into_response()
}

/// Returns whether an address is the machine itself. Other loopback addresses may be proxies for
/// others: a sidecar of Istio connects from 127.0.0.6.
fn is_machine(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST
}

async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().map(|it| it.0);
    if peer.is_some_and(is_machine) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let refusal = guard.refusal(&head.headers, head.uri.path(), peer).await;
    match refusal {
        Some(refusal) => refusal,
        None => next.run(Request::from_parts(head, body)).await,
    }
}
