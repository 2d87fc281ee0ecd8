//! Bearer tokens, mostly in files that are rotated.
//!
//! kube reads token files too, but takes the line break that most tools leave at
//! the end of a file for a part of the token, and then fails every request.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderValue, Request, header};
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::Value;
use tower::util::MapRequestLayer;

use super::Error;

/// Source of a token, and the last token.
#[derive(Debug)]
pub(super) struct TokenSource {
    /// None where it never changes.
    path: Option<PathBuf>,
    last: Mutex<HeaderValue>,
}

impl TokenSource {
    /// Reads the token of a file for the first time.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        match read(&path) {
            Ok(token) => Ok(Self {
                path: Some(path),
                last: Mutex::new(token),
            }),
            Err(source) => Err(Error::TokenFile { path, source }),
        }
    }

    /// Reads the token of a file, with another one that counts while the file cannot be read.
    pub(super) fn open_or(path: &Path, beside: Option<&str>) -> Result<Self, Error> {
        match (Self::open(path), beside.map(bearer)) {
            (Err(_), Some(Ok(token))) => Ok(Self {
                path: Some(path.to_owned()),
                last: Mutex::new(token),
            }),
            (opened, _) => opened,
        }
    }

    /// The token in a variable of this process.
    pub(super) fn variable(name: &str) -> Result<Self, Error> {
        let token = std::env::var(name).map_err(io::Error::other);
        match token.and_then(|it| bearer(&it)) {
            Ok(token) => Ok(Self {
                path: None,
                last: Mutex::new(token),
            }),
            Err(source) => Err(Error::TokenVariable {
                name: name.to_owned(),
                source,
            }),
        }
    }

    /// Adds the token to every request.
    pub(super) fn layer(
        self,
    ) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone + Send + 'static> {
        let this = Arc::new(self);
        MapRequestLayer::new(move |mut request: Request<Body>| {
            request
                .headers_mut()
                .insert(header::AUTHORIZATION, this.current());
            request
        })
    }

    /// While the file is being replaced, the last token still holds.
    fn current(&self) -> HeaderValue {
        let mut last = self.last.lock();
        if let Some(path) = &self.path
            && let Ok(token) = read(path)
        {
            *last = token;
        }
        last.clone()
    }
}

fn read(path: &Path) -> io::Result<HeaderValue> {
    bearer(&std::fs::read_to_string(path)?)
}

/// Returns the claims of a token, of which nothing is verified.
#[must_use]
pub fn claims(token: &str) -> Option<Value> {
    let claims = token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.is_object().then_some(claims)
}

pub(super) fn bearer(text: &str) -> io::Result<HeaderValue> {
    let token = text.trim();
    if token.is_empty() {
        return Err(io::Error::other("no token in it"));
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(io::Error::other)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_again_and_line_breaks_are_no_part_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "first\n").unwrap();
        let token = TokenSource::open(&path).unwrap();
        assert_eq!(token.current(), "Bearer first");

        std::fs::write(&path, "second").unwrap();
        assert_eq!(token.current(), "Bearer second");

        std::fs::remove_file(&path).unwrap();
        assert_eq!(token.current(), "Bearer second");
    }

    #[test]
    fn a_file_without_a_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "\n").unwrap();
        let why = TokenSource::open(&path).unwrap_err().to_string();
        assert!(why.starts_with("cannot use the token in"), "{why}");
        let why = TokenSource::variable("NO_SUCH_TOKEN").unwrap_err();
        assert!(
            why.to_string().contains("variable NO_SUCH_TOKEN: set"),
            "{why}"
        );
    }
}
