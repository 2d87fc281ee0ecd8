//! A bearer token in a file that somebody rotates.
//!
//! kube reads token files too, but takes the line break that most tools leave at
//! the end of a file for a part of the token, and then fails every request.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderValue, Request, header};
use kube::client::Body;
use parking_lot::Mutex;
use tower::util::MapRequestLayer;

use super::Error;

/// The file, and the last token that it held.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    last: Mutex<HeaderValue>,
}

impl TokenFile {
    /// Reads the token for the first time.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        match read(&path) {
            Ok(token) => Ok(Self {
                path,
                last: Mutex::new(token),
            }),
            Err(source) => Err(Error::TokenFile { path, source }),
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
        if let Ok(token) = read(&self.path) {
            *last = token;
        }
        last.clone()
    }
}

fn read(path: &Path) -> io::Result<HeaderValue> {
    let text = std::fs::read_to_string(path)?;
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
        let token = TokenFile::open(&path).unwrap();
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
        let why = TokenFile::open(&path).unwrap_err().to_string();
        assert!(why.starts_with("cannot use the token in"), "{why}");
    }
}
