//! Shares, ends and stalls of consumers.

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;

use super::*;
use crate::connections::{AcceptDecision, Connections};
use crate::limits::ConnectionLimits;
use crate::watch_cache::{Start, tests::cache_and_view};

fn consumers() -> Arc<Consumers> {
    Consumers::new(RequestLimits::standard(), Arc::new(Metrics::default()))
}

fn open(consumers: &Arc<Consumers>, connection: Option<Arc<Connection>>) -> Session {
    let (cache, view) = cache_and_view();
    let subscription = cache.subscribe(&view, Start::Now).ok().unwrap();
    let caller = Caller {
        name: "somebody".into(),
        grant: ViewFilter::default(),
        right: None,
        connection,
        consumers: Arc::clone(consumers),
        place: None,
    };
    let watch = caller.watch(cache.names(), &subscription.feed, subscription.cursor);
    watch.unwrap()
}

#[tokio::test(start_paused = true)]
async fn watches_end_one_after_the_other() {
    let consumers = consumers();
    let sessions: Vec<Session> = (0..10).map(|_| open(&consumers, None)).collect();
    let begin = Instant::now();
    let ended = sessions.iter().map(async |session| {
        session.notifier().wait_for(1).await;
        assert_eq!(session.is_ended(), Some(Eviction::Shutdown));
        begin.elapsed().as_millis()
    });
    let drain = consumers.drain(Duration::from_secs(10));
    let (mut ended, ()) = tokio::join!(futures::future::join_all(ended), drain);
    ended.sort_unstable();
    let expected: Vec<u128> = (0..10).map(|i| i * 1000).collect();
    assert_eq!(ended, expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_nothing_costs_its_client_the_connection() {
    let metrics = Arc::new(Metrics::default());
    let connections = Connections::new(ConnectionLimits::standard(), metrics);
    let AcceptDecision::Serve(place) = connections.admit("10.0.0.1:1".parse().unwrap()) else {
        unreachable!("there is room");
    };
    let consumers = consumers();
    let session = open(&consumers, Some(Arc::clone(&place.connection)));
    let patience = Duration::from_secs(30);
    let cutting = Arc::clone(&consumers).evict_stalled(patience);
    tokio::pin!(cutting);
    session.given(1);
    session.mark_ready();
    assert!(
        tokio::time::timeout(4 * patience, &mut cutting)
            .await
            .is_err()
    );
    assert!(session.is_ended().is_none(), "waiting for news is no stall");
    session.given(1);
    assert!(tokio::time::timeout(2 * patience, cutting).await.is_err());
    assert_eq!(session.is_ended(), Some(Eviction::Stalled));
    assert!(place.connection.is_cut());
}

fn caller(consumers: &Arc<Consumers>, name: &str) -> Caller {
    Caller {
        name: name.into(),
        grant: ViewFilter::default(),
        right: None,
        connection: None,
        consumers: Arc::clone(consumers),
        place: None,
    }
}

fn limited(change: impl FnOnce(&mut RequestLimits)) -> Arc<Consumers> {
    let mut limits = RequestLimits::standard();
    change(&mut limits);
    Consumers::new(limits, Arc::new(Metrics::default()))
}

#[test]
fn a_place_for_a_watch_is_taken_before_the_watch_is_opened() {
    let consumers = limited(|limits| {
        limits.max_watches = 3.try_into().unwrap();
        limits.max_watches_per_consumer = 2.try_into().unwrap();
    });
    let mut a: Vec<Caller> = (0..3).map(|_| caller(&consumers, "a")).collect();
    let taken: Vec<bool> = a.iter_mut().map(|it| it.take_watch().is_ok()).collect();
    assert_eq!(taken, [true, true, false]);
    let mut b: Vec<Caller> = (0..2).map(|_| caller(&consumers, "b")).collect();
    let taken: Vec<bool> = b.iter_mut().map(|it| it.take_watch().is_ok()).collect();
    assert_eq!(taken, [true, false]);
    drop(a);
    assert!(b[1].take_watch().is_ok());
}

#[test]
fn a_consumer_has_a_share_of_the_requests() {
    let consumers = limited(|limits| {
        limits.max_requests_inflight_per_consumer = 2.try_into().unwrap();
    });
    let a = caller(&consumers, "a");
    let held = [a.take_request().unwrap(), a.take_request().unwrap()];
    assert_eq!(a.take_request().unwrap_err().code, 429);
    assert!(caller(&consumers, "b").take_request().is_ok());
    drop(held);
    assert!(a.take_request().is_ok());
}

#[test]
fn bytes_of_answers_are_counted_once_and_within_a_budget() {
    let consumers = limited(|limits| {
        limits.max_response_bytes = (3 * COUNTED_BODY).try_into().unwrap();
        limits.max_response_bytes_per_consumer = (2 * COUNTED_BODY).try_into().unwrap();
    });
    let body = || Bytes::from(vec![0; COUNTED_BODY]);
    let (a, b) = (caller(&consumers, "a"), caller(&consumers, "b"));
    let shared = body();
    let first = a.take_bytes(&shared).unwrap();
    let same = b.take_bytes(&shared).unwrap();
    let second = a.take_bytes(&body()).unwrap();
    assert_eq!(
        a.take_bytes(&body()).unwrap_err().code,
        429,
        "its share is spent"
    );
    let third = b.take_bytes(&body()).unwrap();
    assert_eq!(b.take_bytes(&body()).unwrap_err().code, 429, "all is spent");
    assert!(
        b.take_bytes(&Bytes::from_static(b"small"))
            .unwrap()
            .is_none()
    );
    drop((first, second, third));
    assert!(b.take_bytes(&shared).is_ok(), "it is still being sent");
    drop(same);
    assert!(consumers.shares.lock().is_idle());
}

#[test]
fn a_body_larger_than_the_budget_is_sent_alone() {
    let consumers = limited(|limits| limits.max_response_bytes = 1.try_into().unwrap());
    let a = caller(&consumers, "a");
    let body = Bytes::from(vec![0; COUNTED_BODY]);
    let _held = a.take_bytes(&body).unwrap();
    let other = Bytes::from(vec![1; COUNTED_BODY]);
    assert!(caller(&consumers, "b").take_bytes(&other).is_err());
}

#[test]
fn views_are_bounded_for_each_consumer() {
    let consumers = limited(|limits| limits.max_views_per_consumer = 1.try_into().unwrap());
    let (cache, view) = cache_and_view();
    let other = emitter_cache::View {
        labels: "!x".parse().unwrap(),
        ..view.clone()
    };
    let open = |name: &str, view| {
        let subscription = cache.subscribe(view, Start::Now).ok().unwrap();
        caller(&consumers, name).watch(cache.names(), &subscription.feed, subscription.cursor)
    };
    let first = open("a", &view).unwrap();
    let _same = open("a", &view).unwrap();
    assert_eq!(open("a", &other).err().unwrap().code, 429);
    assert!(open("b", &other).is_ok());
    drop(first);
    assert!(open("a", &other).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_costs_its_client_the_connection() {
    let metrics = Arc::new(Metrics::default());
    let connections = Connections::new(ConnectionLimits::standard(), metrics);
    let patience = Duration::from_secs(30);
    let send = |address: &str| {
        let AcceptDecision::Serve(place) = connections.admit(address.parse().unwrap()) else {
            unreachable!("there is room");
        };
        place
    };
    let consumers = consumers();
    let (stalled, slow) = (send("10.0.0.1:1"), send("10.0.0.2:1"));
    let sending = |place: &crate::connections::ConnectionSlot| {
        let body = Body::from(vec![0; 1 << 20]);
        let permit = caller(&consumers, "a").take_request().unwrap();
        let connection = Some(Arc::clone(&place.connection));
        Sending::new(&consumers, connection, (permit, None), body)
    };
    let (kept, mut taken) = (sending(&stalled), sending(&slow));
    let mut cutting = std::pin::pin!(Arc::clone(&consumers).evict_stalled(patience));
    for _ in 0..8 {
        let frame = taken.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame.len(), 64 << 10, "progress is seen within a body");
        let pause = tokio::time::timeout(patience / 4, &mut cutting);
        assert!(pause.await.is_err());
    }
    assert!(stalled.connection.is_cut());
    assert!(!slow.connection.is_cut(), "a slow client goes on");
    drop((kept, taken));
    assert!(consumers.shares.lock().is_idle());
}
