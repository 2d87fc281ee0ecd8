//! Whether a server that passes on what another one told still hears that one. It says so
//! with every answer, and whoever follows it asks from time to time: a quiet watch of what
//! it remembers looks as one of what is.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use kube::client::Body;
use tokio::time::Instant;

/// What a server that passes something on says with every answer.
pub const HEADER: HeaderName = HeaderName::from_static("heliograph-upstream");

const CONNECTED: &str = "connected";
const DISCONNECTED: &str = "disconnected: ";
// As emitters before 0.1 wrote it.
const LOST: &str = "lost: ";

/// As long as the longest sentence that is of use to somebody far away.
const MAX_CHARS: usize = 300;

/// Costs a server one small answer from memory.
const PATH: &str = "/api/v1/namespaces/kube-system";

/// How often a server is asked.
const PERIODS: Periods = Periods {
    said: Duration::from_secs(10),
    not_said: Duration::from_secs(60),
};

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy)]
struct Periods {
    /// Who is lost is told within so long.
    said: Duration,
    /// Who says nothing is no such server, but may be replaced by one.
    not_said: Duration,
}

/// What a server says of the one behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Nothing: it speaks for itself, or does not answer.
    Nothing,
    /// It is heard.
    Followed,
    /// It is not, for that reason.
    Lost(String),
}

impl Said {
    /// What the headers of an answer say.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let said = headers.get(HEADER).and_then(|it| it.to_str().ok());
        match said {
            None => Self::Nothing,
            Some(said) => match said.strip_prefix(DISCONNECTED).or(said.strip_prefix(LOST)) {
                Some(why) => Self::Lost(why.chars().take(MAX_CHARS).collect()),
                None => Self::Followed,
            },
        }
    }

    /// The same as a header's value; nothing is said by none.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::Nothing => return None,
            Self::Followed => CONNECTED.to_owned(),
            Self::Lost(why) => {
                let visible = |it: char| if matches!(it, ' '..='~') { it } else { '?' };
                let why: String = why.chars().take(MAX_CHARS).map(visible).collect();
                format!("{DISCONNECTED}{why}")
            }
        };
        HeaderValue::try_from(text).ok()
    }
}

/// Asks a server from time to time.
pub struct Asking {
    client: kube::Client,
    periods: Periods,
    next: Instant,
    told: Option<String>,
}

impl Asking {
    /// That server, of which nothing is known yet.
    #[must_use]
    pub fn new(client: kube::Client) -> Self {
        Self {
            client,
            periods: PERIODS,
            next: Instant::now(),
            told: None,
        }
    }

    /// What is new: why it has lost the one behind it, or that it has not. A dropped call
    /// loses nothing.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            tokio::time::sleep_until(self.next).await;
            let said = tokio::time::timeout(PATIENCE, ask(&self.client)).await;
            let (now, again) = match said.unwrap_or(Said::Nothing) {
                // Who does not answer is lost itself, which is told by others.
                Said::Nothing => (None, self.periods.not_said),
                Said::Followed => (None, self.periods.said),
                Said::Lost(why) => (Some(why), self.periods.said),
            };
            self.next = Instant::now() + again;
            if now != self.told {
                self.told.clone_from(&now);
                return now;
            }
        }
    }
}

async fn ask(client: &kube::Client) -> Said {
    let request = Request::get(PATH)
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .expect("a constant path is a URI");
    let answer = client.send(request).await;
    answer.map_or(Said::Nothing, |answer| Said::of(answer.headers()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Answer, Scripted};

    #[test]
    fn what_is_said_is_read_as_it_was_meant() {
        let long = "x".repeat(1000);
        for (said, read) in [
            (Said::Nothing, Said::Nothing),
            (Said::Followed, Said::Followed),
            (Said::Lost("no".to_owned()), Said::Lost("no".to_owned())),
            (
                Said::Lost("n\u{f6}\r\nx: y".to_owned()),
                Said::Lost("n???x: y".to_owned()),
            ),
            (
                Said::Lost(long.clone()),
                Said::Lost(long[..MAX_CHARS].to_owned()),
            ),
        ] {
            let header = said.header().map(|value| (HEADER, value));
            assert_eq!(Said::of(&header.into_iter().collect()), read);
        }
    }

    #[tokio::test]
    async fn who_is_lost_is_told_once_and_so_is_that_it_is_back() {
        let lost = "200 OK\r\nheliograph-upstream: lost: no connection";
        let disconnected = "200 OK\r\nheliograph-upstream: disconnected: no connection";
        let followed = "503 Service Unavailable\r\nheliograph-upstream: followed";
        let connected = "200 OK\r\nheliograph-upstream: connected";
        let answers = ["200 OK", followed, connected, disconnected, lost, followed];
        let answers = answers.map(|head| Answer::refusal(head, "{}"));
        let server = Scripted::start(answers.into()).await;
        let client = crate::connect(&server.access(), "test").await.unwrap();
        let mut asking = Asking::new(client);
        asking.periods = Periods {
            said: Duration::from_millis(1),
            not_said: Duration::from_millis(1),
        };
        let heard = [asking.next().await, asking.next().await];
        assert_eq!(heard, [Some("no connection".to_owned()), None]);
        assert_eq!(server.asked().len(), 6);
    }
}
