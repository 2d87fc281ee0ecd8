//! Reads that need all there is, from an upstream that takes its time.

use http::Response;
use kube::client::Body as Sent;
use proto_types::LabelSelector;
use proto_types::evidence::{Expected, Read};
use runtime::upstream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Body, Duration, Event, Lab, Request, Resource, ServiceExt, labelled};
use crate::health::UpstreamHealth;
use crate::probe::{self, Prober};
use crate::upstream::exported;

/// What an upstream does with a list.
#[derive(Clone, Copy)]
enum Upstream {
    /// It answers after that time.
    Slow(Duration),
    /// It answers 503 for that time.
    Busy(Duration),
    /// It answers after that time that it could not reach its own upstream.
    Unconfirmed(Duration),
    /// It closes connections.
    Dead,
}

const LIST: &str = r#"{"kind":"PartialObjectMetadataList","metadata":{"resourceVersion":"101"},"items":[
    {"metadata":{"name":"web","namespace":"demo","uid":"web","resourceVersion":"101"}}]}"#;

impl Upstream {
    async fn answer(self, path: &str, began: Instant) -> Result<Response<Sent>, std::io::Error> {
        if path.ends_with("/kube-system") {
            let identity = br#"{"metadata":{"uid":"u"}}"#.to_vec();
            return Ok(Response::new(Sent::from(identity)));
        }
        let answer = |status: u16, read: &str| {
            let response = Response::builder().status(status);
            let response = response.header(upstream::READ, read);
            Ok(response.body(Sent::from(LIST.as_bytes().to_vec())).unwrap())
        };
        match self {
            Self::Slow(time) => tokio::time::sleep(time).await,
            Self::Busy(time) if began.elapsed() < time => return answer(503, "confirmed"),
            Self::Busy(_) => {}
            Self::Unconfirmed(time) => {
                tokio::time::sleep(time).await;
                return answer(200, "cached");
            }
            Self::Dead => return Err(std::io::ErrorKind::ConnectionRefused.into()),
        }
        answer(200, "confirmed")
    }
}

/// An emitter in front of such an upstream.
struct Slow {
    lab: Lab,
    health: super::Arc<UpstreamHealth>,
    _tasks: JoinSet<()>,
}

/// An emitter that knows `web` at 1 and is told of it at 101 after that time.
async fn lab(upstream: Upstream, told: Duration) -> Slow {
    let lab = Lab::with(&["web"]);
    let began = Instant::now();
    let service = tower::service_fn(move |request: http::Request<Sent>| async move {
        upstream.answer(request.uri().path(), began).await
    });
    let client = kube::Client::new(service, "default");
    let scope = exported(Resource::Services, &LabelSelector::default(), None);
    let health = super::Arc::<UpstreamHealth>::default();
    let prober = Prober::new(client, scope, super::Arc::new(|_| Ok(Expected::Any)));
    let prober = prober.connected(super::Arc::clone(&health));
    let mut tasks = JoinSet::new();
    tasks.spawn(probe::answer(super::Arc::clone(&lab.services), prober));
    let services = super::Arc::clone(&lab.services);
    tasks.spawn(async move {
        tokio::time::sleep(told).await;
        let event = Event::Applied(labelled("web", 101, "new"));
        services.ingest(event, super::Timestamp::now());
    });
    // The prober takes questions from now on.
    tokio::task::yield_now().await;
    Slow {
        lab,
        health,
        _tasks: tasks,
    }
}

/// Status, whether it shows what the upstream had, its relation to the present, and seconds.
async fn read(lab: &Lab, path: &str, must_be_confirmed: bool) -> (u16, bool, Option<Read>, u64) {
    let began = Instant::now();
    let mut request = Request::get(path);
    if must_be_confirmed {
        request = request.header(upstream::READ, upstream::CONFIRMED);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = lab.router.clone().oneshot(request).await.unwrap();
    let took = began.elapsed().as_secs();
    let (parts, body) = response.into_parts();
    let is_new = super::text(body)
        .await
        .contains(r#""resourceVersion":"101""#);
    let read = parts.extensions.get().copied();
    (parts.status.as_u16(), is_new, read, took)
}

const ALL: &str = "/api/v1/services";
const ONE: &str = "/api/v1/namespaces/demo/services/web";

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_for_an_upstream_that_takes_long() {
    for upstream in [Upstream::Slow(seconds(8)), Upstream::Busy(seconds(8))] {
        for path in [ALL, ONE] {
            let slow = lab(upstream, seconds(9)).await;
            let answer = read(&slow.lab, path, false).await;
            assert_eq!(answer, (200, true, Some(Read::Confirmed), 9), "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reads_without_end_take_a_third_of_the_time_of_an_upstream() {
    for (takes, expected) in [(1, 400), (10, 333), (100, 33), (1_500, 7)] {
        let slow = lab(Upstream::Slow(Duration::from_millis(takes)), Duration::ZERO).await;
        let began = Instant::now();
        let mut n_lists = 0;
        while began.elapsed() < seconds(10) {
            read(&slow.lab, ONE, false).await;
            n_lists += 1;
        }
        assert!(
            (expected - 1..=expected + 1).contains(&n_lists),
            "{takes}: {n_lists}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_takes_longer_than_its_first_limit_is_asked_for_again() {
    let slow = lab(Upstream::Slow(seconds(20)), seconds(1)).await;
    let (code, is_new, read, took) = read(&slow.lab, ALL, false).await;
    assert_eq!((code, is_new, read), (200, true, Some(Read::Confirmed)));
    assert!((35..=36).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_as_long_as_its_request_may_take() {
    for (query, limit) in [("", 60), ("?timeout=5s", 5), ("?timeout=10m", 60)] {
        for upstream in [Upstream::Slow(seconds(300)), Upstream::Busy(seconds(300))] {
            let slow = lab(upstream, seconds(90)).await;
            let answer = read(&slow.lab, &format!("{ALL}{query}"), false).await;
            assert_eq!(answer, (504, false, None, limit), "{query}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_from_the_cache_does_not_wait_so_long() {
    for path in [ALL, ONE] {
        let slow = lab(Upstream::Slow(seconds(300)), seconds(90)).await;
        let answer = read(&slow.lab, path, true).await;
        assert_eq!(answer, (200, false, Some(Read::Cached), 15), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_waits_for_an_upstream_that_waits() {
    let slow = lab(Upstream::Unconfirmed(seconds(14)), seconds(90)).await;
    assert_eq!(read(&slow.lab, ALL, false).await, (504, false, None, 60));
}

#[tokio::test(start_paused = true)]
async fn no_read_waits_for_an_unavailable_upstream() {
    for upstream in [Upstream::Dead, Upstream::Unconfirmed(seconds(0))] {
        for path in [ALL, ONE] {
            let slow = lab(upstream, seconds(90)).await;
            let answer = read(&slow.lab, path, false).await;
            assert_eq!(answer, (200, false, Some(Read::Cached), 0), "{path}");
        }
    }
    let slow = lab(Upstream::Slow(seconds(300)), seconds(90)).await;
    slow.health
        .mark_disconnected("services", "silent".to_owned());
    let answer = read(&slow.lab, ALL, false).await;
    assert_eq!(answer, (200, false, Some(Read::Cached), 3));
}
