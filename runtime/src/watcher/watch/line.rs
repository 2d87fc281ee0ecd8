//! Lines of a body, as they come.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::watcher::FailureCause;
use crate::watcher::request::Decoded;

/// The lines of a body that may never end.
pub(super) struct Lines {
    body: Decoded,
    buffer: BytesMut,
    /// So much of the buffer holds no line break.
    n_searched: usize,
    limit: usize,
}

impl Lines {
    pub(super) fn new(body: Decoded, limit: usize) -> Self {
        Self {
            body,
            buffer: BytesMut::new(),
            n_searched: 0,
            limit,
        }
    }

    /// The next line without its line break; none at the end. A dropped call loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FailureCause> {
        loop {
            if let Some(line) = self.buffered()? {
                return Ok(Some(line));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(why)) => return Err(FailureCause::Cut(super::innermost(&why))),
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => return Err(FailureCause::Cut("it ended within an event".to_owned())),
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<Bytes>, FailureCause> {
        loop {
            let unsearched = &self.buffer[self.n_searched..];
            let Some(length) = unsearched.iter().position(|&byte| byte == b'\n') else {
                self.n_searched = self.buffer.len();
                return match self.n_searched > self.limit {
                    true => Err(FailureCause::TooLarge(self.limit)),
                    false => Ok(None),
                };
            };
            let line = self.buffer.split_to(self.n_searched + length + 1);
            self.n_searched = 0;
            if line.len() > self.limit {
                return Err(FailureCause::TooLarge(self.limit));
            }
            // Some servers send empty lines to keep a connection alive.
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line.freeze()));
            }
        }
    }
}
