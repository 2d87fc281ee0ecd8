//! What may happen to the controller, and where it comes from.

use futures::stream::{self, BoxStream, SelectAll};

use super::{Interval, JoinError, JoinSet, News, Question, StreamExt, Written, mpsc};

/// Everything that may happen.
pub(super) enum Event {
    /// A feed heard something.
    News(Box<News>),
    /// Writes ended.
    Written(Result<Written, JoinError>),
    /// A key is due again.
    Retry,
    /// Whether this process leads may have changed.
    Leadership,
    /// It is time to plan.
    Turn,
    /// Time passed.
    Tick,
    /// Somebody wants to know how things are.
    Asked(Question),
}

/// Where events come from.
pub(super) struct Inbox {
    /// All feeds, polled in turns, so that none can keep the others from being heard.
    feeds: SelectAll<BoxStream<'static, News>>,
    questions: mpsc::Receiver<Question>,
    tick: Interval,
    pub(super) writes: JoinSet<Written>,
}

impl Inbox {
    pub(super) fn new(
        feeds: Vec<mpsc::Receiver<News>>,
        questions: mpsc::Receiver<Question>,
        tick: Interval,
    ) -> Self {
        let feeds = feeds.into_iter().map(|feed| {
            let next = async |mut feed: mpsc::Receiver<News>| Some((feed.recv().await?, feed));
            stream::unfold(feed, next).boxed()
        });
        Self {
            feeds: feeds.collect(),
            questions,
            tick,
            writes: JoinSet::new(),
        }
    }

    /// What happens next. A dropped call loses nothing.
    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            Some(news) = self.feeds.next() => Event::News(Box::new(news)),
            Some(written) = self.writes.join_next() => Event::Written(written),
            Some(question) = self.questions.recv() => Event::Asked(question),
            _ = self.tick.tick() => Event::Tick,
        }
    }
}
