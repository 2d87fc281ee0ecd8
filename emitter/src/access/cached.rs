//! Answers of another server, kept for a while.
//!
//! Invariants: whoever asks the same at the same time waits for one answer; there are
//! never more entries than the limit; while the server does not answer, what it said last
//! counts for a stated time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// How many answers are kept.
const MAX_ENTRIES: usize = 4096;

/// How long the last answer counts while there is no new one: an API server restarts
/// within that time, and its emitter's consumers should not notice.
const STALE: Duration = Duration::from_secs(120);

/// Answers by question.
#[derive(Debug)]
pub(super) struct Cached<K, V> {
    ttl: Duration,
    entries: Mutex<HashMap<K, Entry<V>>>,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    begun: Instant,
    answer: Arc<OnceCell<V>>,
    /// The answer before this one, and when it was asked for.
    before: Option<(Instant, V)>,
}

impl<K: Hash + Eq + Clone, V: Clone> Cached<K, V> {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            entries: Mutex::default(),
        }
    }

    /// The answer to a question, asked at most once in its time.
    pub(super) async fn get<E>(
        &self,
        key: &K,
        ask: impl Future<Output = Result<V, E>>,
    ) -> Result<V, E> {
        let Entry { answer, before, .. } = self.entry(key);
        match answer.get_or_try_init(|| ask).await {
            Ok(answer) => Ok(answer.clone()),
            Err(why) => match before {
                Some((asked, answer)) if asked.elapsed() < STALE => Ok(answer),
                Some(_) | None => Err(why),
            },
        }
    }

    fn entry(&self, key: &K) -> Entry<V> {
        let mut entries = self.entries.lock();
        let before = match entries.get(key) {
            Some(entry) if entry.begun.elapsed() < self.ttl => return entry.clone(),
            Some(entry) => match entry.answer.get() {
                Some(answer) => Some((entry.begun, answer.clone())),
                None => entry.before.clone(),
            },
            None => None,
        };
        if MAX_ENTRIES <= entries.len() {
            entries.retain(|_, entry| entry.begun.elapsed() < self.ttl);
        }
        if MAX_ENTRIES <= entries.len() {
            entries.clear();
        }
        let entry = Entry {
            begun: Instant::now(),
            answer: Arc::default(),
            before,
        };
        entries.insert(key.clone(), entry.clone());
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const TTL: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_question_is_asked_once_in_its_time() {
        let cached = Cached::new(TTL);
        let n_asked = Cell::new(0);
        let ask = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            n_asked.set(n_asked.get() + 1);
            Ok::<_, ()>(n_asked.get())
        };
        let (a, b) = tokio::join!(cached.get(&"q", ask()), cached.get(&"q", ask()));
        assert_eq!((a, b), (Ok(1), Ok(1)));
        tokio::time::advance(TTL).await;
        assert_eq!(cached.get(&"q", ask()).await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_answer_counts_while_there_is_no_new_one() {
        let cached = Cached::new(TTL);
        let fail = || async { Err::<u8, _>("down") };
        assert_eq!(cached.get(&"q", fail()).await, Err("down"));
        tokio::time::advance(TTL).await;
        assert_eq!(cached.get(&"q", async { Ok::<_, &str>(1) }).await, Ok(1));
        tokio::time::advance(TTL).await;
        assert_eq!(cached.get(&"q", fail()).await, Ok(1));
        tokio::time::advance(STALE).await;
        assert_eq!(cached.get(&"q", fail()).await, Err("down"));
    }

    #[tokio::test]
    async fn there_are_never_more_than_the_limit() {
        let cached = Cached::new(TTL);
        for i in 0..=MAX_ENTRIES {
            let _ = cached.get(&i, async { Ok::<_, ()>(()) }).await;
        }
        assert!(cached.entries.lock().len() <= MAX_ENTRIES);
    }
}
