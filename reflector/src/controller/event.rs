//! Events of the controller, and their sources.

use futures::stream::{BoxStream, SelectAll};

use super::{
    InformerEvent, Interval, JoinError, JoinSet, Question, Reload, StreamExt, WriteResult, mpsc,
};
use crate::informers::InformerStreams;

/// Everything that may happen.
pub(super) enum Event {
    /// A watch sent an event.
    News(Box<InformerEvent>),
    /// Writes ended.
    Written(Result<WriteResult, JoinError>),
    /// A key is due again.
    Retry,
    /// The leadership of this process may have changed.
    Leadership,
    /// It is time to plan.
    Turn,
    /// Time passed.
    Tick,
    /// A question of the admin port.
    Asked(Question),
    /// There is another configuration.
    Reload(Reload),
    /// The CIDRs of the local cluster were read.
    LocalRanges,
    /// A watch ended, which none should.
    FeedFailed(JoinError),
}

/// Sources of events.
pub(super) struct Inbox {
    /// All watches, polled in turns, so that none delays the others.
    feeds: SelectAll<BoxStream<'static, InformerEvent>>,
    questions: mpsc::Receiver<Question>,
    /// None where the configuration does not change.
    reloads: Option<mpsc::Receiver<Reload>>,
    tick: Interval,
    pub(super) writes: JoinSet<WriteResult>,
}

impl Inbox {
    pub(super) fn new(
        questions: mpsc::Receiver<Question>,
        reloads: Option<mpsc::Receiver<Reload>>,
        tick: Interval,
    ) -> Self {
        Self {
            feeds: SelectAll::new(),
            questions,
            reloads,
            tick,
            writes: JoinSet::new(),
        }
    }

    /// Listens to these too, until they end.
    pub(super) fn add(&mut self, feeds: InformerStreams) {
        self.feeds.extend(feeds);
    }

    /// Returns the next event. Cancel safe.
    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            Some(news) = self.feeds.next() => Event::News(Box::new(news)),
            Some(written) = self.writes.join_next() => Event::Written(written),
            Some(question) = self.questions.recv() => Event::Asked(question),
            Some(reload) = recv(&mut self.reloads) => Event::Reload(reload),
            _ = self.tick.tick() => Event::Tick,
        }
    }
}

async fn recv(reloads: &mut Option<mpsc::Receiver<Reload>>) -> Option<Reload> {
    match reloads {
        Some(reloads) => reloads.recv().await,
        None => None,
    }
}
