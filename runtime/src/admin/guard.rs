//! Access to what the admin port shows of objects and clients.
//!
//! Probes and metrics are for everybody who reaches the port. Status and debug paths name
//! objects, addresses and users: they are for the machine itself (`kubectl exec` and
//! `port-forward` come from there), and for those who have a token of a file.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use super::serve::Peer;

/// Maximum size of the file of tokens in bytes.
const MAX_FILE: u64 = 64 << 10;

/// Who may read status and debug paths.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// File with a bearer token in each line; read again for each request.
    tokens: Option<Arc<PathBuf>>,
}

impl Guard {
    /// Admits the machine itself, and those with a token of that file.
    #[must_use]
    pub fn new(tokens: Option<PathBuf>) -> Self {
        Self {
            tokens: tokens.map(Arc::new),
        }
    }

    /// The same routes, for those who are admitted.
    pub fn protect(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, admit))
    }

    async fn knows(&self, headers: &HeaderMap) -> bool {
        let Some(path) = self.tokens.clone() else {
            return false;
        };
        let value = headers.get(header::AUTHORIZATION);
        let words = value.and_then(|it| it.to_str().ok()?.trim().split_once(' '));
        let Some((scheme, token)) = words else {
            return false;
        };
        if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
            return false;
        }
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let Ok(Some(text)) = read else {
            return false;
        };
        let mut lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
        lines.any(|line| is_same(line.as_bytes(), token.trim().as_bytes()))
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

async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>();
    let is_local = peer.is_some_and(|Peer(address)| address.is_loopback());
    if is_local || guard.knows(request.headers()).await {
        return next.run(request).await;
    }
    let why = "this path is for the machine itself (kubectl exec, kubectl port-forward), or for \
               a bearer token of --admin-token-file\n";
    let headers = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, headers, why).into_response()
}
