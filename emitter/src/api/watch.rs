//! WATCH: a cursor into a shared feed, and nothing else per watcher.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use emitter_cache::encode::{self, InitialEvents};
use emitter_cache::ring::{Cursor, Read};
use emitter_cache::store::Expired;
use emitter_cache::{Encoding, Entry, View};
use futures::stream;
use http::StatusCode;
use jiff::Timestamp;
use proto_types::{Revision, Status};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::accept::Format;
use super::fresh::Need;
use super::query::Options;
use super::{Asked, Context, fresh, respond};
use crate::consumers::{Caller, Session};
use crate::hub::{Feed, Hub, Start, Subscription};
use crate::metrics::{Eviction, Gauged, Metrics};

/// A bookmark this often, as from a kube-apiserver, tells a consumer that its
/// stream is alive and moves the revision from which it can resume.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// And one so long before the end, so that the next watch resumes from now.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// A watch without `timeoutSeconds` lasts 30 to 60 minutes, at random, so that
/// consumers who came together do not come back together.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// Opens a watch. Whatever is wrong from here on is told within the stream: a
/// consumer that gets an HTTP error may ask the same for ever.
pub(super) async fn watch(
    asked: &Asked,
    hub: &Arc<Hub>,
    (format, view): (Format, View),
    options: &Options,
    context: Context,
) -> Result<Response, Status> {
    // Not synced yet is the one thing that is told with an HTTP status.
    fresh::wait(hub, Need::Any).await?;
    let body = match open(asked, hub, &view, options).await {
        Ok(subscription) => {
            let session = asked.caller.as_ref().map(|caller| {
                let Subscription { feed, cursor, .. } = &subscription;
                caller.watch(hub.names(), feed, *cursor)
            });
            let mut watcher = Watcher::new(hub, subscription, options, context);
            watcher.session = session;
            let frames = stream::unfold(watcher, async |mut watcher| {
                let frame = watcher.next().await?;
                Some((Ok::<_, std::convert::Infallible>(frame), watcher))
            });
            Body::from_stream(frames)
        }
        Err(status) => Body::from(encode::error(view.encoding, &status)),
    };
    let media_type = format.stream_type();
    Ok(respond::with_type(asked, StatusCode::OK, media_type, body))
}

async fn open(
    asked: &Asked,
    hub: &Hub,
    view: &View,
    options: &Options,
) -> Result<Subscription, Status> {
    let revision = options.revision.filter(|revision| !revision.is_zero());
    let start = match (revision, options.send_initial_events) {
        (_, Some(true)) => Start::State,
        (Some(revision), _) => Start::After(revision),
        (None, _) => Start::Now,
    };
    if start == Start::State {
        fresh::wait(hub, Need::of(options.revision)).await?;
    }
    let floor = asked.caller.as_ref().map(Caller::floor).unwrap_or_default();
    match start {
        // Its consumer saw something else then, which history does not tell.
        Start::After(revision) => floor
            .admit(revision)
            .map_err(|at| Status::too_old(revision, at))?,
        Start::State => floor.told(),
        Start::Now => {}
    }
    hub.subscribe(view, start)
        .map_err(|Expired { oldest }| Status::too_old(revision.unwrap_or_default(), oldest))
}

/// One watch.
struct Watcher {
    hub: Arc<Hub>,
    feed: Arc<Feed>,
    news: watch::Receiver<()>,
    cursor: Cursor,
    /// The state that the watch begins with, as far as it has not been sent.
    state: std::vec::IntoIter<Arc<Entry>>,
    backlog: VecDeque<Bytes>,
    /// Events up to here are known to the consumer and are not sent.
    known: Revision,
    /// Bookmarks, where they are allowed: the time of the next one.
    next_bookmark: Option<Instant>,
    deadline: Instant,
    /// The first row of a table carries the column definitions.
    is_first: bool,
    has_ended: bool,
    shutdown: CancellationToken,
    /// Its entry among the watches of its consumer.
    session: Option<Session>,
    metrics: Arc<Metrics>,
    _counted: Gauged,
}

impl Watcher {
    fn new(
        hub: &Arc<Hub>,
        subscription: Subscription,
        options: &Options,
        context: Context,
    ) -> Self {
        let now = Instant::now();
        let Subscription {
            feed,
            cursor,
            state,
            backlog,
            revision,
        } = subscription;
        let mut backlog = VecDeque::from(backlog);
        if options.bookmarks && options.send_initial_events == Some(true) {
            let encoding = feed.view().encoding;
            let end = InitialEvents::Ended;
            backlog.push_back(hub.encoder().bookmark(encoding, revision, end));
        }
        let timeout = options.timeout.unwrap_or_else(|| {
            DEFAULT_TIMEOUT + Duration::from_secs(fastrand::u64(..DEFAULT_TIMEOUT.as_secs()))
        });
        let deadline = now + timeout;
        Self {
            hub: Arc::clone(hub),
            news: feed.news(),
            feed,
            cursor,
            state: state.into_iter(),
            backlog,
            known: revision,
            next_bookmark: options.bookmarks.then(|| next_bookmark(now, deadline)),
            deadline,
            is_first: true,
            has_ended: false,
            shutdown: context.shutdown,
            session: None,
            _counted: context.metrics.watch_opened(hub.names()),
            metrics: context.metrics,
        }
    }

    /// The next frame; `None` ends the stream cleanly.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(session) = &self.session {
            session.asked();
        }
        let frame = self.step().await?;
        if let Some(session) = &self.session {
            session.given(frame.len());
        }
        Some(frame)
    }

    async fn step(&mut self) -> Option<Bytes> {
        loop {
            match self.is_ended() {
                Some(Eviction::Access) if !self.has_ended => return Some(self.gone()),
                Some(Eviction::Stalled) => return None,
                Some(Eviction::Access | Eviction::Shutdown | Eviction::Slow) | None => {}
            }
            if let Some(entry) = self.state.next() {
                let encoding = self.feed.view().encoding;
                let frame = self.hub.encoder().added(&entry, encoding, Timestamp::now());
                return Some(self.deliver(frame));
            }
            if let Some(frame) = self.backlog.pop_front() {
                return Some(self.deliver(frame));
            }
            if self.has_ended {
                return None;
            }
            self.news.borrow_and_update();
            match self.feed.read(self.cursor) {
                // A consumer that lags behind resumes elsewhere from what it has.
                Read::Frames(..) if self.is_ended().is_some() => return self.leave(None),
                Read::Frames(frames, cursor) => {
                    self.cursor = cursor;
                    if let Some(session) = &self.session {
                        session.read(cursor);
                    }
                    let unknown = frames.into_iter().filter(|it| self.known < it.revision);
                    self.backlog.extend(unknown.map(|frame| frame.bytes));
                }
                Read::Nothing(progress) => match self.idle(progress).await {
                    Wake::News => {}
                    Wake::Bookmark(frame) => return Some(frame),
                    Wake::End => return None,
                    Wake::Leave => return self.leave(Some(progress)),
                },
                Read::Lost => {
                    self.metrics.watch_evicted(self.hub.names(), Eviction::Slow);
                    return None;
                }
                Read::Closed => return Some(self.expire()),
            }
        }
    }

    /// Says that what is known is too old, and ends.
    fn expire(&mut self) -> Bytes {
        let oldest = self.hub.progress().borrow().unwrap_or_default();
        self.has_ended = true;
        encode::error(
            self.feed.view().encoding,
            &Status::too_old(self.known, oldest),
        )
    }

    /// The consumer sees something else from now on, and must list again to know what.
    fn gone(&mut self) -> Bytes {
        let why = Eviction::Access;
        self.metrics.watch_evicted(self.hub.names(), why);
        self.state = Vec::new().into_iter();
        self.backlog.clear();
        self.expire()
    }

    /// Ends with a bookmark, where bookmarks are allowed and nothing is left to tell: the
    /// consumer resumes at another replica, and must not be told anything twice.
    fn leave(&mut self, progress: Option<Revision>) -> Option<Bytes> {
        let why = Eviction::Shutdown;
        self.metrics.watch_evicted(self.hub.names(), why);
        self.has_ended = true;
        self.next_bookmark?;
        Some(self.bookmark(progress?))
    }

    fn bookmark(&self, progress: Revision) -> Bytes {
        let encoding = self.feed.view().encoding;
        let revision = progress.max(self.known);
        let encoder = self.hub.encoder();
        encoder.bookmark(encoding, revision, InitialEvents::None)
    }

    fn is_ended(&self) -> Option<Eviction> {
        let session = self.session.as_ref().and_then(Session::is_ended);
        session.or_else(|| self.shutdown.is_cancelled().then_some(Eviction::Shutdown))
    }

    async fn idle(&mut self, progress: Revision) -> Wake {
        if self.is_ended().is_some() {
            return Wake::Leave;
        }
        let now = Instant::now();
        if self.deadline <= now {
            return Wake::End;
        }
        if let Some(due) = self.next_bookmark.filter(|due| *due <= now) {
            let end = self.deadline;
            self.next_bookmark = Some(next_bookmark(due, end));
            // Who knows more than there is must not take silence for agreement: history
            // may have gone back, and only a new list tells.
            return match self.known <= progress {
                true => Wake::Bookmark(self.bookmark(progress)),
                false => Wake::News,
            };
        }
        let until = self
            .next_bookmark
            .map_or(self.deadline, |due| due.min(self.deadline));
        tokio::select! {
            () = self.shutdown.cancelled() => Wake::News,
            () = ended(self.session.as_ref()) => Wake::News,
            () = tokio::time::sleep_until(until) => Wake::News,
            changed = self.news.changed() => match changed {
                Ok(()) => Wake::News,
                Err(_) => Wake::End,
            },
        }
    }

    fn deliver(&mut self, frame: Bytes) -> Bytes {
        self.metrics.event_sent(self.hub.names(), frame.len());
        let is_first = std::mem::replace(&mut self.is_first, false);
        match self.feed.view().encoding {
            Encoding::Table(_) if is_first => encode::with_columns(self.hub.form(), &frame),
            Encoding::Table(_) | Encoding::Object | Encoding::Metadata | Encoding::Protobuf(_) => {
                frame
            }
        }
    }
}

/// Why a watch that had nothing to send goes on.
enum Wake {
    News,
    Bookmark(Bytes),
    End,
    Leave,
}

async fn ended(session: Option<&Session>) {
    match session {
        Some(session) => drop(session.ended().await),
        None => std::future::pending().await,
    }
}

/// The last bookmark comes shortly before the end, all others on the minute.
fn next_bookmark(after: Instant, deadline: Instant) -> Instant {
    let regular = after + BOOKMARK_EVERY;
    match deadline.checked_sub(BOOKMARK_BEFORE_END) {
        Some(last) if after < last => regular.min(last),
        _ => regular,
    }
}
