//! Cache of responses of another server.
//!
//! Invariants: equal concurrent requests wait for one response; the number of entries has a limit,
//! and each is small; an entry that matters is not displaced by requests that any client can
//! invent; while the server is unavailable, the last response stays valid for a stated time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use tokio::time::Instant;

/// Maximum number of cached responses.
const MAX_ENTRIES: usize = 4096;

/// Time for which a cached response stays valid while the API server is unavailable. A restart
/// takes less, and consumers should not notice it.
const STALE: Duration = Duration::from_secs(120);

/// After so many new questions, the answers that count no more are dropped.
const SWEEP: usize = 256;

/// A question, as its digest: a token is not kept, and all questions are of one size.
pub(super) type Question = [u8; 32];

/// Returns the digest of a question.
pub(super) fn question(text: &[u8]) -> Question {
    let digest = ring::digest::digest(&ring::digest::SHA256, text);
    let mut question = Question::default();
    question.copy_from_slice(digest.as_ref());
    question
}

/// Answers by question.
#[derive(Debug)]
pub(super) struct Cached<V> {
    ttl: Duration,
    /// Predicate of responses that must not be evicted in favor of others.
    matters: fn(&V) -> bool,
    entries: Mutex<Entries<V>>,
}

#[derive(Debug)]
struct Entries<V> {
    all: HashMap<Question, Entry<V>>,
    n_since_sweep: usize,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    begun: Instant,
    answer: Arc<OnceCell<V>>,
    /// The former response, and the time of its request.
    before: Option<(Instant, V)>,
}

impl<V: Clone> Entries<V> {
    /// Makes room for one more.
    fn make_room(&mut self, ttl: Duration, matters: fn(&V) -> bool) {
        self.n_since_sweep += 1;
        let is_full = MAX_ENTRIES <= self.all.len();
        if !is_full && self.n_since_sweep < SWEEP {
            return;
        }
        self.n_since_sweep = 0;
        let matters = |it: &Entry<V>| it.answer.get().is_some_and(matters);
        self.all.retain(|_, it| {
            let age = it.begun.elapsed();
            age < ttl || (age < STALE && matters(it))
        });
        if self.all.len() < MAX_ENTRIES {
            return;
        }
        let mut oldest: Vec<_> = self
            .all
            .iter()
            .map(|(question, it)| (matters(it), it.begun, *question))
            .collect();
        oldest.sort_unstable();
        for (.., question) in oldest.into_iter().take(MAX_ENTRIES / 8) {
            self.all.remove(&question);
        }
    }
}

impl<V: Clone> Cached<V> {
    pub(super) fn new(ttl: Duration, matters: fn(&V) -> bool) -> Self {
        let entries = Entries {
            all: HashMap::new(),
            n_since_sweep: 0,
        };
        Self {
            ttl,
            matters,
            entries: Mutex::new(entries),
        }
    }

    /// Returns the cached response, or requests it. After an error the former response is returned for
    /// a limited time.
    pub(super) async fn get<E>(
        &self,
        key: &Question,
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

    fn entry(&self, key: &Question) -> Entry<V> {
        let mut entries = self.entries.lock();
        let before = match entries.all.get(key) {
            Some(entry) if entry.begun.elapsed() < self.ttl => return entry.clone(),
            Some(entry) => match entry.answer.get() {
                Some(answer) => Some((entry.begun, answer.clone())),
                None => entry.before.clone(),
            },
            None => None,
        };
        entries.make_room(self.ttl, self.matters);
        let entry = Entry {
            begun: Instant::now(),
            answer: Arc::default(),
            before,
        };
        entries.all.insert(*key, entry.clone());
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
        let cached = Cached::new(TTL, |_| true);
        let n_asked = Cell::new(0);
        let ask = || async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            n_asked.set(n_asked.get() + 1);
            Ok::<_, ()>(n_asked.get())
        };
        let q = question(b"q");
        let (a, b) = tokio::join!(cached.get(&q, ask()), cached.get(&q, ask()));
        assert_eq!((a, b), (Ok(1), Ok(1)));
        tokio::time::advance(TTL).await;
        assert_eq!(cached.get(&question(b"q"), ask()).await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_answer_counts_while_there_is_no_new_one() {
        let cached = Cached::new(TTL, |_| true);
        let fail = || async { Err::<u8, _>("down") };
        assert_eq!(cached.get(&question(b"q"), fail()).await, Err("down"));
        tokio::time::advance(TTL).await;
        assert_eq!(
            cached
                .get(&question(b"q"), async { Ok::<_, &str>(1) })
                .await,
            Ok(1)
        );
        tokio::time::advance(TTL).await;
        assert_eq!(cached.get(&question(b"q"), fail()).await, Ok(1));
        tokio::time::advance(STALE).await;
        assert_eq!(cached.get(&question(b"q"), fail()).await, Err("down"));
    }

    #[tokio::test]
    async fn there_are_never_more_than_the_limit() {
        let cached = Cached::new(TTL, |_| true);
        for i in 0..=MAX_ENTRIES {
            let _ = cached
                .get(&question(&i.to_be_bytes()), async { Ok::<_, ()>(()) })
                .await;
        }
        assert!(cached.entries.lock().all.len() <= MAX_ENTRIES);
    }

    #[tokio::test]
    async fn made_up_questions_do_not_displace_an_answer_that_matters() {
        let cached = Cached::new(TTL, |it: &Option<u8>| it.is_some());
        let valid = question(b"valid");
        let known = cached.get(&valid, async { Ok::<_, ()>(Some(1)) }).await;
        assert_eq!(known, Ok(Some(1)));
        for i in 0..3 * MAX_ENTRIES {
            let invented = question(&i.to_be_bytes());
            let _ = cached.get(&invented, async { Ok::<_, ()>(None) }).await;
        }
        let again = cached.get(&valid, async { Err("asked again") }).await;
        assert_eq!(again, Ok(Some(1)));
    }
}
