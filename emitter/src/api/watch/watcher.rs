//! One watch: a cursor into a shared event buffer, and nothing else for each of them.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use emitter_cache::event_buffer::{self, Cursor, FrameKind, Read, Treatment};
use emitter_cache::packed::Window;
use emitter_cache::{Encoded, Encoding, Entry, Note, encode};
use jiff::Timestamp;
use proto_types::{ResourceVersion, Status};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::super::query::Options;
use crate::consumers::Session;
use crate::health::UpstreamHealth;
use crate::metrics::{Eviction, Metrics, Watched};
use crate::notify::Notifier;
use crate::watch_cache::{Listener, Subscription, WatchCache};

/// A bookmark this often, as from a kube-apiserver, shows a client that its watch is open and moves
/// the resource version from which it can resume.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// And one so long before the end, so that the next watch resumes from now.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// Default duration of a watch: 30 to 60 minutes, at random, so that watches that began together do
/// not end together.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// A consumer that comes from a replica which was ahead waits this long for events that it
/// does not have. Twice the time between two bookmarks of an upstream is more than replicas
/// are apart, unless history went back unnoticed.
const AHEAD: Duration = Duration::from_secs(150);

/// One watch.
pub(super) struct WatchStream {
    cache: Arc<WatchCache>,
    listener: Listener,
    cursor: Cursor,
    /// Initial events, until they were sent.
    beginning: Option<Box<Beginning>>,
    /// Events up to here are known to the consumer and are not sent.
    known: ResourceVersion,
    /// Bookmarks, where they are allowed: the time of the next one.
    next_bookmark: Option<Instant>,
    deadline: Instant,
    /// Time at which a watch ends whose client is ahead of this replica.
    ahead_until: Option<Instant>,
    /// Until the next of those; made when there is nothing to send.
    timer: Option<Pin<Box<Sleep>>>,
    /// The first row of a table carries the column definitions.
    is_first: bool,
    has_ended: bool,
    ending: Ending,
    /// Connection to the upstream, if bookmarks report it.
    health: Option<Arc<UpstreamHealth>>,
    metrics: Arc<Metrics>,
    watched: Watched,
}

/// Initial events of a watch: the state, encoded as it is read, and missed changes.
struct Beginning {
    state: std::vec::IntoIter<Arc<Entry>>,
    backlog: std::vec::IntoIter<Encoded>,
}

/// Reason for an early end of a watch.
pub(super) enum Ending {
    /// By the entry of the watch among those of its consumer.
    Session(Session),
    /// By the server, if consumers are not counted.
    Server(Pin<Box<WaitForCancellationFutureOwned>>),
}

/// Action that is due for a watch without events.
enum Due {
    Nothing,
    Bookmark(Encoded),
    End,
}

impl WatchStream {
    pub(super) fn new(
        cache: &Arc<WatchCache>,
        subscription: Subscription,
        options: &Options,
        ending: Ending,
        metrics: Arc<Metrics>,
    ) -> Self {
        let now = Instant::now();
        let Subscription {
            feed,
            cursor,
            state,
            mut backlog,
            revision,
        } = subscription;
        if options.bookmarks && options.send_initial_events == Some(true) {
            let encoding = feed.view().encoding;
            let note = Note::InitialEventsEnd;
            backlog.push(cache.encoder().bookmark(encoding, revision, note).into());
        }
        let timeout = options.timeout.unwrap_or_else(|| {
            DEFAULT_TIMEOUT + Duration::from_secs(fastrand::u64(..DEFAULT_TIMEOUT.as_secs()))
        });
        let deadline = now + timeout;
        let progress = cache.progress_of(feed.view());
        Self {
            cache: Arc::clone(cache),
            listener: feed.listen(ending.notifier()),
            cursor,
            beginning: Some(Box::new(Beginning {
                state: state.into_iter(),
                backlog: backlog.into_iter(),
            })),
            known: revision,
            next_bookmark: options.bookmarks.then(|| next_bookmark(now, deadline)),
            deadline,
            ahead_until: (progress < revision).then(|| now + AHEAD),
            timer: None,
            is_first: true,
            has_ended: false,
            ending,
            health: None,
            watched: metrics.watch_opened(cache.names()),
            metrics,
        }
    }

    /// Tells of the connection to the upstream with each bookmark.
    pub(super) fn reporting(mut self, health: Option<Arc<UpstreamHealth>>) -> Self {
        self.health = health;
        self
    }

    /// Notes that the connection has room for more.
    pub(super) fn asked(&mut self) {
        self.ending.asked();
    }

    /// Notes how many bytes the connection was given.
    pub(super) fn given(&mut self, n_bytes: usize) {
        self.ending.given(n_bytes);
    }

    /// Returns the last bytes of the events before the end of a range of positions of the event
    /// buffer, if they are in the range.
    pub(super) fn window(&self, range: Range<u64>) -> Option<Window> {
        self.listener.feed.window(range)
    }

    fn encoding(&self) -> Encoding {
        self.listener.feed.view().encoding
    }

    /// The next encoded event; `None` ends the stream cleanly.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Encoded>> {
        // A change after the check is notified.
        self.listener.notifier.listen(cx);
        loop {
            let ended = self.ending.poll(cx);
            match ended {
                Some(Eviction::Access) if !self.has_ended => return Poll::Ready(Some(self.gone())),
                Some(Eviction::Stalled) => return Poll::Ready(None),
                Some(Eviction::Access | Eviction::Shutdown | Eviction::Slow) | None => {}
            }
            if let Some(frame) = self.begin() {
                return Poll::Ready(Some(self.deliver(frame)));
            }
            if self.has_ended {
                return Poll::Ready(None);
            }
            match self.listener.feed.read(self.cursor) {
                // A consumer that lags behind resumes elsewhere from what it has.
                Read::Frame(..) if ended.is_some() => return Poll::Ready(self.leave(None)),
                Read::Frame(frame, cursor) => {
                    self.cursor = cursor;
                    self.ending.read(cursor);
                    if let Some(frame) = self.take(frame) {
                        return Poll::Ready(Some(frame));
                    }
                }
                Read::Nothing(progress) if ended.is_some() => {
                    return Poll::Ready(self.leave(Some(progress)));
                }
                Read::Nothing(progress) => {
                    ready!(self.poll_timer(cx));
                    match self.due(progress) {
                        Due::Nothing => {}
                        Due::Bookmark(frame) => return Poll::Ready(Some(frame)),
                        Due::End => return Poll::Ready(None),
                    }
                }
                Read::Lost => {
                    self.metrics
                        .watch_evicted(self.cache.names(), Eviction::Slow);
                    return Poll::Ready(None);
                }
                Read::Closed => return Poll::Ready(Some(self.expire())),
            }
        }
    }

    /// Returns the next initial event; the memory is freed with the last one.
    fn begin(&mut self) -> Option<Encoded> {
        let encoding = self.encoding();
        let beginning = self.beginning.as_mut()?;
        if let Some(entry) = beginning.state.next() {
            let encoder = self.cache.encoder();
            return Some(encoder.added(&entry, encoding, Timestamp::now()).into());
        }
        let frame = beginning.backlog.next();
        if frame.is_none() {
            self.beginning = None;
        }
        frame
    }

    /// Returns what an encoded event of the event buffer is for this consumer.
    fn take(&mut self, frame: event_buffer::EncodedEvent) -> Option<Encoded> {
        match (frame.treatment(self.known), frame.kind) {
            (Treatment::Skip, _) | (Treatment::Deliver, FrameKind::Gap { .. }) => None,
            (Treatment::Expire, _) => Some(self.expire()),
            (Treatment::Deliver, FrameKind::Bookmark) => {
                self.next_bookmark.map(|_| self.bookmark(frame.revision))
            }
            (Treatment::Deliver, FrameKind::Change | FrameKind::Missed { .. }) => {
                Some(self.deliver(frame.bytes))
            }
        }
    }

    /// Says that what is known is too old, and ends.
    fn expire(&mut self) -> Encoded {
        let oldest = self.cache.progress().borrow().unwrap_or_default();
        self.has_ended = true;
        encode::error(self.encoding(), &Status::too_old(self.known, oldest)).into()
    }

    /// The consumer sees something else from now on, and must list again to get it.
    fn gone(&mut self) -> Encoded {
        let why = Eviction::Access;
        self.metrics.watch_evicted(self.cache.names(), why);
        self.beginning = None;
        self.expire()
    }

    /// Ends with a bookmark, if bookmarks are allowed and all events were sent: the client resumes
    /// at another replica, and must not get any event twice.
    fn leave(&mut self, progress: Option<ResourceVersion>) -> Option<Encoded> {
        let why = Eviction::Shutdown;
        self.metrics.watch_evicted(self.cache.names(), why);
        self.has_ended = true;
        self.next_bookmark?;
        Some(self.bookmark(progress?))
    }

    fn bookmark(&self, progress: ResourceVersion) -> Encoded {
        let revision = progress.max(self.known);
        let encoder = self.cache.encoder();
        let is_disconnected = self.health.as_ref().is_some_and(|it| it.is_disconnected());
        let note = match is_disconnected {
            true => Note::Disconnected,
            false => Note::None,
        };
        encoder.bookmark(self.encoding(), revision, note).into()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until();
        let timer = self.timer.get_or_insert_with(|| {
            let sleep = tokio::time::sleep_until(until);
            Box::pin(sleep)
        });
        timer.as_mut().poll(cx)
    }

    /// Returns the time of the next action that no notification announces.
    fn until(&self) -> Instant {
        let end = self
            .ahead_until
            .map_or(self.deadline, |it| it.min(self.deadline));
        self.next_bookmark.map_or(end, |due| due.min(end))
    }

    fn due(&mut self, progress: ResourceVersion) -> Due {
        let now = Instant::now();
        if self.deadline <= now {
            return Due::End;
        }
        if self.ahead_until.is_some_and(|until| until <= now) {
            if progress < self.known {
                return Due::Bookmark(self.expire());
            }
            self.ahead_until = None;
        }
        let due = self.next_bookmark.filter(|due| *due <= now);
        if let Some(due) = due {
            self.next_bookmark = Some(next_bookmark(due, self.deadline));
        }
        let until = self.until();
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(until);
        }
        if due.is_none() {
            return Due::Nothing;
        }
        // A client that is ahead must not take a quiet watch for a current one: the history may
        // have gone back, and only a new list shows that.
        match self.known <= progress {
            true => Due::Bookmark(self.bookmark(progress)),
            false => Due::Nothing,
        }
    }

    fn deliver(&mut self, frame: Encoded) -> Encoded {
        self.watched.sent(frame.len());
        let is_first = std::mem::replace(&mut self.is_first, false);
        match self.encoding() {
            Encoding::Table(_) if is_first => {
                encode::with_columns(self.cache.form(), frame.bytes()).into()
            }
            Encoding::Table(_) | Encoding::Object | Encoding::Metadata | Encoding::Protobuf(_) => {
                frame
            }
        }
    }
}

impl Ending {
    pub(super) fn server(shutdown: CancellationToken) -> Self {
        Self::Server(Box::pin(shutdown.cancelled_owned()))
    }

    /// Returns the notifier of the end, and perhaps of events.
    fn notifier(&self) -> Arc<Notifier> {
        match self {
            Self::Session(session) => session.notifier(),
            Self::Server(_) => Arc::default(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Option<Eviction> {
        match self {
            Self::Session(session) => session.is_ended(),
            Self::Server(ended) => {
                let ended = ended.as_mut().poll(cx).is_ready();
                ended.then_some(Eviction::Shutdown)
            }
        }
    }

    fn asked(&self) {
        if let Self::Session(session) = self {
            session.mark_ready();
        }
    }

    fn given(&self, n_bytes: usize) {
        if let Self::Session(session) = self {
            session.given(n_bytes);
        }
    }

    fn read(&self, cursor: Cursor) {
        if let Self::Session(session) = self {
            session.read(cursor);
        }
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
