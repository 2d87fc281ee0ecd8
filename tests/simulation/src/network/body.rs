//! Bodies on their way.

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use http::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

use super::{Broken, Line, Net, Node};
use crate::sabotage::{About, Defect, changed_frame};

/// Time between two bookmarks that a silent connection did not bring.
const IMAGINED_EVERY: Duration = Duration::from_secs(10);

struct Carried {
    net: Arc<Net>,
    ends: (Node, Node),
    line: Line,
    about: About,
    last_bookmark: Option<Bytes>,
    frames: BodyDataStream,
}

impl Net {
    /// Returns a response whose body meets the link's faults while it is read.
    pub(super) fn carried(
        self: &Arc<Self>,
        ends: (Node, Node),
        line: Line,
        about: About,
        response: Response<Body>,
    ) -> Response<Body> {
        let (head, body) = response.into_parts();
        let carried = Carried {
            net: Arc::clone(self),
            ends,
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
    /// Returns the next frame as its reader has it, which may be a defective one.
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        let imagined = imagined(&self.line, self.last_bookmark.clone());
        let frame = tokio::select! {
            biased;
            frame = self.arrives() => frame?,
            bookmark = imagined => return Ok(Some(bookmark)),
        };
        let Some(frame) = frame else {
            return Ok(None);
        };
        if !self.about.is_watch || self.about.is_local {
            return Ok(Some(frame));
        }
        let sabotage = self.net.sabotage(self.about);
        if sabotage.defect == Some(Defect::SilenceIgnored) && is_bookmark(&frame) {
            self.last_bookmark = Some(frame.clone());
        }
        Ok(Some(changed_frame(sabotage, frame)))
    }

    /// Returns the next frame that the link brings.
    async fn arrives(&mut self) -> Result<Option<Bytes>, Broken> {
        let frame = tokio::select! {
            biased;
            broken = self.line.broken() => return Err(broken),
            frame = self.frames.next() => frame,
        };
        let Some(frame) = frame else {
            return Ok(None);
        };
        let frame = frame.map_err(|_| Broken("the server ended the answer"))?;
        self.net
            .meter()
            .sent((&self.ends.0, &self.ends.1), frame.len());
        self.net.take_time(&self.line).await;
        self.line.until(|it| it.blocked_back == 0).await?;
        Ok(Some(frame))
    }
}

/// Returns the bookmark that a silent connection did not bring, for a reader that takes silence
/// for a sign of life.
fn imagined(line: &Line, bookmark: Option<Bytes>) -> impl Future<Output = Bytes> + use<> {
    let (mut condition, opened) = (line.condition.clone(), line.opened);
    async move {
        let is_silent = condition.wait_for(|it| it.n_freezes != opened.n_freezes);
        let is_silent = is_silent.await.is_ok();
        match (is_silent, bookmark) {
            (true, Some(bookmark)) => {
                sleep(IMAGINED_EVERY).await;
                bookmark
            }
            _ => std::future::pending().await,
        }
    }
}

fn is_bookmark(frame: &Bytes) -> bool {
    frame.starts_with(b"{\"type\":\"BOOKMARK\"")
}
