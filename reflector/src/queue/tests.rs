use super::{MirrorKey, Queue, QueueId, Requeue};
use proto_types::ObjectKey;
use std::time::Duration;
use tokio::time::{self, Instant};

fn key(name: &str) -> MirrorKey {
    MirrorKey::new(ObjectKey::new("demo", name))
}

fn lane(name: &str) -> QueueId {
    Some(name.parse().unwrap())
}

fn pop_all(queue: &mut Queue) -> Vec<String> {
    std::iter::from_fn(|| queue.pop())
        .map(|key| key.object().name().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn sources_take_turns() {
    let mut queue = Queue::default();
    for name in ["a1", "a2", "a3"] {
        queue.add(&lane("a"), key(name));
    }
    queue.add(&lane("b"), key("b1"));
    assert_eq!(pop_all(&mut queue), ["a1", "b1", "a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_had_its_writes_delays_no_other() {
    let mut queue = Queue::default();
    queue.limit(&"a".parse().unwrap(), 10);
    for i in 0..300 {
        queue.add(&lane("a"), key(&format!("a{i}")));
    }
    let mut n_worked = 0;
    while let Some(key) = queue.pop() {
        queue.charge(&key, &None);
        n_worked += 1;
    }
    assert_eq!(n_worked, 100, "a burst of ten seconds");
    queue.add(&lane("b"), key("b1"));
    assert!(queue.ready_at().unwrap() <= Instant::now());
    assert_eq!(pop_all(&mut queue), ["b1"]);
    let begin = Instant::now();
    while let Some(at) = queue.ready_at() {
        time::sleep_until(at).await;
        let key = queue.pop().expect("it is time");
        queue.charge(&key, &None);
    }
    let took = begin.elapsed().as_secs_f32();
    assert!((19.0..=21.0).contains(&took), "200 in {took} s");
}

/// A queue in which source `a` has had all its writes, and two sources may write.
fn exhausted() -> Queue {
    let mut queue = Queue::default();
    for source in ["a", "b"] {
        queue.limit(&source.parse().unwrap(), 10);
    }
    queue.add(&lane("a"), key("x"));
    let x = queue.pop().unwrap();
    (0..1000).for_each(|_| queue.charge(&x, &None));
    queue.settled(&x);
    queue
}

#[tokio::test(start_paused = true)]
async fn each_source_of_a_service_has_its_own_writes() {
    let mut queue = exhausted();
    // A Service of both: `b` changed it, and most of the writes are for `a`.
    queue.add(&lane("b"), key("y"));
    let y = queue.pop().unwrap();
    let writes = (0..500).map(|i| if i < 90 { lane("b") } else { lane("a") });
    for source in writes.chain([lane("unknown"), None]) {
        queue.charge(&y, &source);
    }
    queue.settled(&y);
    queue.add(&lane("b"), key("z"));
    assert_eq!(pop_all(&mut queue), ["z"], "92 of a burst of 100");
}

#[tokio::test(start_paused = true)]
async fn no_other_change_lets_a_source_write_that_has_had_its_share() {
    let mut queue = exhausted();
    // Its own write came back, or another source changed the Service.
    for by in [None, lane("b")] {
        queue.add(&lane("a"), key("x"));
        queue.add(&by, key("x"));
        let x = queue.pop().unwrap();
        assert!(queue.may_write(&x, &by) && queue.may_write(&x, &lane("unknown")));
        assert!(!queue.may_write(&x, &lane("a")));
        queue.postpone(x, &lane("a"));
        assert_eq!(queue.pop(), None);
    }
    time::sleep_until(queue.ready_at().unwrap()).await;
    let x = queue.pop().unwrap();
    assert!(queue.may_write(&x, &lane("a")));
    // A change that comes in the meantime is not forgotten.
    queue.charge(&x, &lane("a"));
    queue.add(&lane("b"), key("x"));
    queue.postpone(x, &lane("a"));
    assert_eq!(pop_all(&mut queue), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_does_not_wait_for_another_source_of_the_same_service() {
    let mut queue = exhausted();
    for name in ["x", "y"] {
        queue.add(&lane("a"), key(name));
    }
    assert_eq!(queue.pop(), None);
    queue.add(&lane("b"), key("x"));
    let x = queue.pop().unwrap();
    assert_eq!((&x, queue.pop()), (&key("x"), None));
    // Both change it while it is worked on.
    for source in ["a", "b", "a"] {
        queue.add(&lane(source), key("x"));
    }
    queue.written(x);
    let x = queue.pop().unwrap();
    // And while it waits for a retry.
    queue.failed(x, Requeue::WithBackoff);
    queue.add(&lane("b"), key("x"));
    let due = Duration::from_secs(2);
    time::timeout(due, queue.retry()).await.unwrap();
    assert_eq!(pop_all(&mut queue), ["x"]);
    assert_eq!(queue.len(), 1, "y waits for a");
    // A source that may write has no reason to leave its turn.
    queue.add(&lane("b"), key("z"));
    queue.add(&None, key("z"));
    assert_eq!(queue.waiting[&key("z")].lane, lane("b"));
}

// On the real clock, which goes on between two looks at it.
#[tokio::test]
async fn a_lane_without_a_rate_never_waits() {
    let mut queue = Queue::default();
    for i in 0..100 {
        queue.add(&None, key(&format!("local{i}")));
    }
    let now = Instant::now();
    assert!(queue.ready_at().is_some_and(|it| it <= now));
    assert_eq!(pop_all(&mut queue).len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_key_waits_once() {
    let mut queue = Queue::default();
    queue.add(&lane("a"), key("x"));
    queue.add(&lane("b"), key("x"));
    assert_eq!(pop_all(&mut queue), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_in_work_waits_for_its_end() {
    let mut queue = Queue::default();
    queue.add(&lane("a"), key("x"));
    queue.pop();
    queue.add(&lane("a"), key("x"));
    assert!(queue.is_empty());
    queue.settled(&key("x"));
    assert_eq!(pop_all(&mut queue), ["x"]);
    queue.settled(&key("x"));
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_are_tried_again_ever_later_until_one_settles() {
    let mut queue = Queue::default();
    queue.add(&lane("a"), key("x"));
    for delay in [1, 2, 4, 8, 16, 32, 60, 60] {
        queue.pop().unwrap();
        queue.failed(key("x"), Requeue::WithBackoff);
        let before = Instant::now();
        queue.retry().await;
        assert_eq!(before.elapsed().as_secs(), delay);
    }
    queue.pop().unwrap();
    queue.settled(&key("x"));
    assert!(
        time::timeout(Duration::from_secs(600), queue.retry())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_years_is_asked_after_minutes() {
    let mut queue = Queue::default();
    queue.add(&lane("a"), key("x"));
    queue.pop().unwrap();
    let years = Duration::from_secs(u64::from(u32::MAX));
    queue.failed(key("x"), Requeue::After(years));
    let before = Instant::now();
    queue.retry().await;
    assert_eq!(before.elapsed(), super::LONGEST_ASKED);
}

#[tokio::test(start_paused = true)]
async fn a_change_brings_a_retry_forward() {
    let mut queue = Queue::default();
    queue.add(&lane("a"), key("x"));
    queue.pop().unwrap();
    queue.failed(key("x"), Requeue::After(Duration::from_secs(30)));
    queue.add(&lane("a"), key("x"));
    assert!(queue.is_empty());
    let before = Instant::now();
    queue.retry().await;
    assert_eq!(before.elapsed().as_secs(), 1);
    assert_eq!(pop_all(&mut queue), ["x"]);
}
