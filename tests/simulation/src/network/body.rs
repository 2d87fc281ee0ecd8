//! Bodies on their way.

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http::Response;
use std::sync::Arc;

use super::{Broken, Line, Net};
use crate::sabotage::{About, Defect, changed_frame};

struct Carried {
    net: Arc<Net>,
    line: Line,
    about: About,
    last_bookmark: Option<Bytes>,
    frames: BodyDataStream,
}

impl Net {
    /// Returns a response whose body meets the link's faults while it is read.
    pub(super) fn carried(
        self: &Arc<Self>,
        line: Line,
        about: About,
        response: Response<Body>,
    ) -> Response<Body> {
        let (head, body) = response.into_parts();
        let carried = Carried {
            net: Arc::clone(self),
            line,
            about,
            last_bookmark: None,
            frames: body.into_data_stream(),
        };
        let frames = stream::unfold(Some(carried), async |carried| {
            let mut carried = carried?;
            match carried.next().await {
                Ok(Some(frame)) => Some((Ok(frame), Some(carried))),
                Ok(None) => None,
                Err(broken) => Some((Err(broken), None)),
            }
        });
        Response::from_parts(head, Body::from_stream(frames))
    }
}

impl Carried {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        if let Some(bookmark) = self.imagined().await {
            return Ok(Some(bookmark));
        }
        let frame = tokio::select! {
            biased;
            broken = self.line.broken() => return Err(broken),
            frame = self.frames.next() => frame,
        };
        let Some(frame) = frame else {
            return Ok(None);
        };
        let frame = frame.map_err(|_| Broken("the server ended the answer"))?;
        self.net.take_time(&self.line).await;
        self.line.until(|it| it.blocked_back == 0).await?;
        if !self.about.is_watch || self.about.is_local {
            return Ok(Some(frame));
        }
        if self.net.sabotage(self.about).defect == Some(Defect::SilenceIgnored)
            && is_bookmark(&frame)
        {
            self.last_bookmark = Some(frame.clone());
        }
        Ok(Some(changed_frame(self.net.sabotage(self.about), frame)))
    }

    /// Bookmark that a silent connection did not bring, for a reader with that defect.
    async fn imagined(&mut self) -> Option<Bytes> {
        let bookmark = self.last_bookmark.clone()?;
        let is_silent = self.line.now().n_freezes != self.line.opened.n_freezes;
        if !is_silent {
            return None;
        }
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        Some(bookmark)
    }
}

fn is_bookmark(frame: &Bytes) -> bool {
    frame.starts_with(b"{\"type\":\"BOOKMARK\"")
}
