//! Connection of an emitter to its upstream, as it reports it in the headers of each response.
//!
//! An open watch of a disconnected emitter looks like a quiet watch of a connected one. A
//! reader therefore requests the state of the emitter from time to time.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use kube::client::Body;
use proto_types::evidence::{Read, Upstream};
use tokio::time::Instant;

/// Header of each response of an emitter: connection to its upstream.
pub const HEADER: HeaderName = HeaderName::from_static("heliograph-upstream");

/// Header beside it while the emitter is disconnected: seconds since the last contact of the
/// first API server, through all emitters on the way.
pub const AGE: HeaderName = HeaderName::from_static("heliograph-upstream-age");

/// Header of a list: `confirmed` if it was compared with the first API server during the
/// request, else `cached`. A request carries `confirmed` to require the comparison.
pub const READ: HeaderName = HeaderName::from_static("heliograph-read");

/// Value of [`READ`] for a compared list.
pub const CONFIRMED: HeaderValue = HeaderValue::from_static("confirmed");

/// Value of [`READ`] for a list from memory.
pub const CACHED: HeaderValue = HeaderValue::from_static("cached");

const CONNECTED: &str = "connected";
const DISCONNECTED: &str = "disconnected: ";
// Written by emitters before the first release.
const LOST: &str = "lost: ";

/// Length limit of a reason.
const MAX_CHARS: usize = 300;

/// Costs a server one small response from memory.
const PATH: &str = "/api/v1/namespaces/kube-system";

/// Time between two requests.
const PERIODS: Periods = Periods {
    said: Duration::from_secs(10),
    not_said: Duration::from_secs(60),
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Difference between two times of the last contact that is no difference: ages are in
/// whole seconds, and responses take time.
const TOLERANCE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Periods {
    /// For an emitter.
    said: Duration,
    /// For another server, which an emitter may replace.
    not_said: Duration,
}

/// Connection of a server to its upstream, as the server reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamStatus {
    /// The server reports none: it is a kube-apiserver, or it does not respond.
    Nothing,
    /// The server is connected.
    Connected,
    /// The server is disconnected.
    Disconnected(Disconnected),
}

/// Reason and duration of a lost connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnected {
    /// Reason.
    pub why: String,
    /// Time since the last contact of the first API server.
    pub age: Duration,
}

impl UpstreamStatus {
    /// Reads the headers of a response.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let said = headers.get(HEADER).and_then(|it| it.to_str().ok());
        let Some(said) = said else {
            return Self::Nothing;
        };
        let why = said
            .strip_prefix(DISCONNECTED)
            .or_else(|| said.strip_prefix(LOST));
        match why {
            Some(why) => Self::Disconnected(Disconnected {
                why: why.chars().take(MAX_CHARS).collect(),
                age: age(headers).unwrap_or_default(),
            }),
            None => Self::Connected,
        }
    }

    /// Returns the headers of a response that reports this.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let (said, age) = match self {
            Self::Nothing => (None, None),
            Self::Connected => (Some(CONNECTED.to_owned()), None),
            Self::Disconnected(Disconnected { why, age }) => {
                let visible = |it: char| if matches!(it, ' '..='~') { it } else { '?' };
                let why: String = why.chars().take(MAX_CHARS).map(visible).collect();
                (Some(format!("{DISCONNECTED}{why}")), Some(age.as_secs()))
            }
        };
        let said = said.and_then(|it| HeaderValue::try_from(it).ok());
        let said = said.map(|it| (HEADER, it));
        said.into_iter()
            .chain(age.map(|it| (AGE, HeaderValue::from(it))))
    }

    /// Returns it as evidence: a server that reports nothing counts as connected.
    #[must_use]
    pub fn evidence(&self) -> Upstream {
        match self {
            Self::Nothing | Self::Connected => Upstream::Connected,
            Self::Disconnected(it) => Upstream::Disconnected(it.why.as_str().into()),
        }
    }

    /// Returns the relation of a list to the present, which came with this.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap) -> Read {
        match (headers.get(READ), self) {
            (Some(read), _) if *read == CONFIRMED => Read::Confirmed,
            (Some(_), _) => Read::Cached,
            // A kube-apiserver reads with a quorum, and emitters before the first release
            // compared every list.
            (None, _) => Read::Confirmed,
        }
    }
}

fn age(headers: &HeaderMap) -> Option<Duration> {
    let age = headers.get(AGE)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(age))
}

/// Periodic request for the state of a server.
pub struct UpstreamPoller {
    client: kube::Client,
    periods: Periods,
    next: Instant,
    told: Option<(String, Instant)>,
}

impl UpstreamPoller {
    /// Begins with a server whose state is not known.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self {
            client,
            periods: PERIODS,
            next: Instant::now(),
            told: None,
        }
    }

    /// Returns the next change: the lost connection, or `None` for a connection.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Disconnected> {
        loop {
            tokio::time::sleep_until(self.next).await;
            // The connection may lead to one of several replicas, of which another is connected.
            let connection = match self.told {
                Some(_) => Connection::New,
                None => Connection::Any,
            };
            let said = tokio::time::timeout(PATIENCE, poll(&self.client, connection)).await;
            let (now, again) = match said.unwrap_or(UpstreamStatus::Nothing) {
                // A server that does not respond is reported by its readers.
                UpstreamStatus::Nothing => (None, self.periods.not_said),
                UpstreamStatus::Connected => (None, self.periods.said),
                UpstreamStatus::Disconnected(it) => (Some(it), self.periods.said),
            };
            self.next = Instant::now() + again;
            if self.is_news(now.as_ref()) {
                return now;
            }
        }
    }

    fn is_news(&mut self, now: Option<&Disconnected>) -> bool {
        let now = now.and_then(|it| {
            let heard = Instant::now().checked_sub(it.age)?;
            Some((it.why.clone(), heard))
        });
        let is_known = match (&self.told, &now) {
            (None, None) => true,
            (Some((why, heard)), Some((why_now, heard_now))) => {
                let moved = heard_now.max(heard).duration_since(*heard.min(heard_now));
                why == why_now && moved <= TOLERANCE
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_known {
            self.told = now;
        }
        !is_known
    }
}

/// Connection that carries a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Whichever is open.
    Any,
    /// One that closes after the response, so that the next request takes another one, which
    /// may lead to another replica.
    New,
}

impl Connection {
    /// Adds the header that requests it.
    pub fn poller(self, headers: &mut HeaderMap) {
        if self == Self::New {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Requests the state of a server once.
pub async fn poll(client: &kube::Client, connection: Connection) -> UpstreamStatus {
    let mut request = Request::get(PATH)
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .expect("a constant path is a URI");
    connection.poller(request.headers_mut());
    let answer = client.send(request).await;
    answer.map_or(UpstreamStatus::Nothing, |answer| {
        UpstreamStatus::of(answer.headers())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock_server::{Answer, MockServer};

    fn disconnected(why: &str, seconds: u64) -> UpstreamStatus {
        UpstreamStatus::Disconnected(Disconnected {
            why: why.to_owned(),
            age: Duration::from_secs(seconds),
        })
    }

    #[test]
    fn headers_are_read_as_they_were_written() {
        let long = "x".repeat(1000);
        for (said, read) in [
            (UpstreamStatus::Nothing, UpstreamStatus::Nothing),
            (UpstreamStatus::Connected, UpstreamStatus::Connected),
            (disconnected("no", 7), disconnected("no", 7)),
            (
                disconnected("n\u{f6}\r\nx: y", 0),
                disconnected("n???x: y", 0),
            ),
            (disconnected(&long, 0), disconnected(&long[..MAX_CHARS], 0)),
        ] {
            assert_eq!(UpstreamStatus::of(&said.headers().collect()), read);
        }
    }

    #[test]
    fn words_of_older_emitters_are_understood() {
        let read = |value| {
            let value = HeaderValue::from_static(value);
            UpstreamStatus::of(&[(HEADER, value)].into_iter().collect())
        };
        assert_eq!(read("followed"), UpstreamStatus::Connected);
        assert_eq!(
            read("lost: no connection"),
            disconnected("no connection", 0)
        );
    }

    #[test]
    fn only_a_list_that_says_so_is_cached() {
        let read = |headers: &[(HeaderName, HeaderValue)]| {
            let headers = headers.iter().cloned().collect();
            UpstreamStatus::of(&headers).read(&headers)
        };
        assert_eq!(read(&[]), Read::Confirmed);
        assert_eq!(read(&[(READ, CONFIRMED)]), Read::Confirmed);
        assert_eq!(read(&[(READ, CACHED)]), Read::Cached);
    }

    async fn asking(answers: Vec<Answer>) -> (MockServer, UpstreamPoller) {
        let server = MockServer::start(answers).await;
        let client = crate::connect(&server.access(), "test").await.unwrap();
        let mut asking = UpstreamPoller::new(client);
        asking.periods = Periods {
            said: Duration::from_millis(1),
            not_said: Duration::from_millis(1),
        };
        (server, asking)
    }

    #[tokio::test]
    async fn a_lost_connection_is_reported_once_and_its_return_too() {
        let lost = "200 OK\r\nheliograph-upstream: lost: no connection";
        let now = "200 OK\r\nheliograph-upstream: disconnected: no connection";
        let followed = "503 Service Unavailable\r\nheliograph-upstream: followed";
        let connected = "200 OK\r\nheliograph-upstream: connected";
        let answers = ["200 OK", followed, connected, lost, now, connected];
        let answers = answers.map(|head| Answer::refusal(head, "{}"));
        let (server, mut asking) = asking(answers.into()).await;
        let heard = [asking.next().await, asking.next().await];
        let why = heard.map(|it| it.map(|it| it.why));
        assert_eq!(why, [Some("no connection".to_owned()), None]);
        let asked = server.requests();
        let is_new: Vec<_> = asked
            .iter()
            .map(|it| it.contains("connection: close"))
            .collect();
        // After the loss by new connections, of which one may lead to a connected replica.
        assert_eq!(is_new, [false, false, false, false, true, true]);
    }

    #[tokio::test]
    async fn a_later_contact_is_reported_again() {
        let at = |seconds| {
            let head = format!(
                "200 OK\r\nheliograph-upstream: disconnected: x\r\nheliograph-upstream-age: {seconds}"
            );
            Answer::refusal(Box::leak(head.into_boxed_str()), "{}")
        };
        let (server, mut asking) = asking(vec![at(100), at(101), at(2)]).await;
        let ages = [asking.next().await, asking.next().await];
        let ages = ages.map(|it| it.map(|it| it.age.as_secs()));
        assert_eq!(ages, [Some(100), Some(2)]);
        assert_eq!(server.requests().len(), 3);
    }
}
