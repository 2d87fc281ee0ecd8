//! Bodies that a server compressed.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use flate2::write::GzDecoder;
use http::{Response, header};
use hyper::body::{Body as HttpBody, Frame};
use kube::client::Body;

use proto_types::delta::CODING;

use super::records::Records;
use super::{FailureCause, RequestError};

/// Compressed bytes that are decoded at once: a thousand times as many may come of them, and
/// limits count what comes.
const STEP: usize = 4 << 10;

/// Returns a response with its body as it was before it was compressed, by records too if those
/// were requested.
pub(in crate::watcher) fn decoded(
    response: Response<Body>,
    records: Option<Records>,
) -> Result<Response<Decoded>, RequestError> {
    let encoding = response.headers().get(header::CONTENT_ENCODING);
    let encoding = encoding.map(|it| it.to_str().unwrap_or_default().to_ascii_lowercase());
    let decoder = match (encoding.as_deref(), records) {
        (None | Some("" | "identity"), _) => Decoder::None,
        (Some("gzip" | "x-gzip"), _) => Decoder::Gzip(Box::new(GzDecoder::new(Vec::new()))),
        (Some(CODING), Some(records)) => Decoder::Records(records),
        (Some(other), _) => {
            let why = format!("it has the content encoding {other:?}, which was not asked for");
            return Err(FailureCause::Garbage(why).into());
        }
    };
    Ok(response.map(|body| Decoded::new(body, decoder)))
}

/// A body, decoded as it comes: all that was flushed is there at once.
pub(in crate::watcher) struct Decoded {
    body: Body,
    decoder: Decoder,
    /// Compressed bytes that came and were not decoded yet.
    rest: Bytes,
    has_ended: bool,
}

enum Decoder {
    /// The body is not compressed.
    None,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Records(Records),
}

impl Decoded {
    /// Returns whether it consists of records.
    pub(in crate::watcher) const fn has_records(&self) -> bool {
        matches!(self.decoder, Decoder::Records(_))
    }

    const fn new(body: Body, decoder: Decoder) -> Self {
        Self {
            body,
            decoder,
            rest: Bytes::new(),
            has_ended: false,
        }
    }

    /// Decodes some of what came.
    fn step(&mut self) -> io::Result<Bytes> {
        match &mut self.decoder {
            Decoder::None => Ok(std::mem::take(&mut self.rest)),
            Decoder::Gzip(decoder) => {
                let part = self.rest.split_to(self.rest.len().min(STEP));
                decoder.write_all(&part)?;
                decoder.flush()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Decoder::Records(records) => {
                records.push(&std::mem::take(&mut self.rest));
                Ok(Bytes::new())
            }
        }
    }

    /// Returns an event of a record that came already.
    fn buffered(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.decoder {
            Decoder::Records(records) if !self.has_ended => {
                records.next().map_err(io::Error::other)
            }
            Decoder::None | Decoder::Gzip(_) | Decoder::Records(_) => Ok(None),
        }
    }

    /// Checks that the stream is whole.
    fn end(&mut self) -> io::Result<Bytes> {
        self.has_ended = true;
        match &mut self.decoder {
            Decoder::None => Ok(Bytes::new()),
            Decoder::Gzip(decoder) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Decoder::Records(records) => {
                let whole = records.end().map(|()| Bytes::new());
                whole.map_err(io::Error::other)
            }
        }
    }
}

impl HttpBody for Decoded {
    type Data = Bytes;
    type Error = kube::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, kube::Error>>> {
        let this = &mut *self;
        loop {
            let decoded = if let Some(event) = this.buffered().transpose() {
                event
            } else if this.rest.is_empty() {
                if this.has_ended {
                    return Poll::Ready(None);
                }
                match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        this.rest = frame.into_data().unwrap_or_default();
                        continue;
                    }
                    Some(Err(why)) => {
                        this.has_ended = true;
                        return Poll::Ready(Some(Err(why)));
                    }
                    None => this.end(),
                }
            } else {
                this.step()
            };
            match decoded {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Err(why) => {
                    (this.has_ended, this.rest) = (true, Bytes::new());
                    let why = kube::Error::Service(why.into());
                    return Poll::Ready(Some(Err(why)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::BodyExt;

    use super::*;

    fn response(bytes: Vec<u8>, encoding: &str) -> Response<Body> {
        Response::builder()
            .header(header::CONTENT_ENCODING, encoding)
            .body(Body::from(bytes))
            .unwrap()
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn a_compressed_body_is_read_and_a_broken_one_is_not() {
        let text = b"0123456789".repeat(100_000);
        let whole = packed(&text);
        let body = decoded(response(whole.clone(), "gzip"), None)
            .unwrap()
            .into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), text);
        let half = whole[..whole.len() / 2].to_vec();
        let mut changed = whole.clone();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        for broken in [half, changed, b"no gzip".to_vec()] {
            let body = decoded(response(broken, "gzip"), None).unwrap().into_body();
            assert!(body.collect().await.is_err());
        }
        assert!(decoded(response(whole, "br"), None).is_err());
    }

    #[tokio::test]
    async fn a_small_body_that_grows_comes_in_pieces() {
        let bomb = packed(&vec![0; 64 << 20]);
        let mut body = decoded(response(bomb, "gzip"), None).unwrap().into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(first.len() <= STEP * 1100, "{}", first.len());
    }
}
