//! The record of the cluster identity of each source, in a ConfigMap of the reflector's namespace.
//!
//! Mirrors have the same annotation, and users that may write Services in a mirror's namespace can
//! forge it. Only the reflector writes the record. If there is no record yet, the annotations of
//! mirrors are recorded once. If there cannot be one, they remain the source of the identity.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use proto_types::name::DnsLabel;
use reflector_planner::SourceName;
use runtime::Tasks;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::identity::Clusters;
use crate::leader_election::Leadership;

/// Clusters by the names of sources.
pub(crate) type Record = BTreeMap<SourceName, Clusters>;

/// State of the record of cluster identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pinned {
    /// It is not read yet.
    Unread,
    /// There is none, or it has never been written.
    None,
    /// It cannot be had.
    Unavailable,
    /// It was read, or written.
    Recorded(Record),
}

/// Keeper of the record.
pub(crate) struct Keeper {
    client: kube::Client,
    namespace: String,
    name: String,
    leadership: Leadership,
    pinned: watch::Sender<Pinned>,
    wanted: watch::Receiver<Record>,
    has_warned: bool,
}

/// Both ends of a [`Keeper`], for the controllers.
#[derive(Debug, Clone)]
pub(crate) struct Pins {
    pinned: watch::Receiver<Pinned>,
    wanted: watch::Sender<Record>,
}

/// Set when the record is written for the first time.
const WRITTEN: &str = "heliograph.dev/source-clusters";

const RETRY: Duration = Duration::from_secs(1);
const RETRY_WRITE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(10);

impl Pins {
    /// Without a namespace for the record.
    pub(crate) fn unavailable() -> Self {
        Self {
            pinned: watch::channel(Pinned::Unavailable).1,
            wanted: watch::Sender::new(Record::new()),
        }
    }

    /// Returns the state of the record.
    pub(crate) fn now(&self) -> Pinned {
        self.pinned.borrow().clone()
    }

    /// Waits until the record is read, or cannot be had.
    pub(crate) async fn read(&self) -> Pinned {
        let mut pinned = self.pinned.clone();
        let read = pinned.wait_for(|it| *it != Pinned::Unread).await;
        // A record that is not kept any more does not exist.
        read.map_or(Pinned::Unavailable, |it| it.clone())
    }

    /// Has more written down.
    pub(crate) fn want(&self, record: Record) {
        self.wanted.send_if_modified(|it| {
            let is_new = record
                .iter()
                .any(|(name, clusters)| it.get(name) != Some(clusters));
            it.extend(record);
            is_new
        });
    }
}

impl Pinned {
    /// Returns the clusters that a source may be; `None` if the mirrors decide.
    pub(crate) fn of(&self, source: &SourceName) -> Option<Clusters> {
        match self {
            Self::Unread | Self::None | Self::Unavailable => None,
            Self::Recorded(record) => Some(record.get(source).cloned().unwrap_or_default()),
        }
    }
}

impl Keeper {
    /// Keeper of the record of that name, and what the controller needs of it.
    pub(crate) fn new(
        client: kube::Client,
        namespace: &DnsLabel,
        name: String,
        leadership: Leadership,
    ) -> (Self, Pins) {
        let (pinned, read) = watch::channel(Pinned::Unread);
        let (wanted, wants) = watch::channel(Record::new());
        let keeper = Self {
            client,
            namespace: namespace.to_string(),
            name,
            leadership,
            pinned,
            wanted: wants,
            has_warned: false,
        };
        let pins = Pins {
            pinned: read,
            wanted,
        };
        (keeper, pins)
    }

    /// Reads the record, and writes it when more is known.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let run = async {
            self.read_first().await;
            loop {
                if self.wanted.changed().await.is_err() {
                    return std::future::pending().await;
                }
                while !self.write().await {
                    tokio::time::sleep(RETRY_WRITE).await;
                }
            }
        };
        tokio::select! {
            () = run => {}
            () = shutdown.cancelled() => {}
        }
    }

    async fn read_first(&mut self) {
        loop {
            match self.read().await {
                Ok(map) => {
                    let pinned = map.as_ref().and_then(recorded);
                    let pinned = pinned.map_or(Pinned::None, Pinned::Recorded);
                    self.pinned.send_replace(pinned);
                    return;
                }
                Err(Failure::Forbidden) => {
                    self.warn("the reflector may not read it");
                    self.pinned.send_replace(Pinned::Unavailable);
                    return;
                }
                Err(Failure::Other(_)) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// Adds what is wanted to the record; returns whether it is done, or can never be.
    async fn write(&mut self) -> bool {
        let wanted = self.wanted.borrow_and_update().clone();
        if !self.leadership.holds() {
            return false;
        }
        let written = async {
            let map = self.read().await?;
            let mut record = map.as_ref().and_then(recorded).unwrap_or_default();
            let before = record.clone();
            record.extend(wanted);
            if map.as_ref().is_some_and(is_written) && before == record {
                return Ok(record);
            }
            let (method, path, body) = self.request(map, &record);
            self.send(method, &path, Some(&body)).await?;
            Ok(record)
        };
        match written.await {
            Ok(record) => {
                info!(n_sources = record.len(), "recorded the clusters of sources");
                self.has_warned = false;
                // What was unavailable at the start may have been forged in the meantime.
                if *self.pinned.borrow() != Pinned::Unavailable {
                    self.pinned.send_replace(Pinned::Recorded(record));
                }
                true
            }
            Err(Failure::Forbidden) => {
                self.warn("the reflector may not write it");
                false
            }
            Err(Failure::Other(why)) => {
                self.warn(&why);
                false
            }
        }
    }

    fn request(&self, map: Option<Value>, record: &Record) -> (Method, String, Value) {
        let all = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        let (method, path) = match map {
            Some(_) => (Method::PUT, format!("{all}/{}", self.name)),
            None => (Method::POST, all),
        };
        let mut map = map.unwrap_or_else(|| {
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": self.name, "namespace": self.namespace},
            })
        });
        map["metadata"]["annotations"][WRITTEN] = json!("recorded");
        let entries = record.iter().map(|(source, clusters)| {
            let clusters: Vec<_> = clusters.iter().map(|it| &**it).collect();
            (source.to_string(), json!(clusters.join(" ")))
        });
        map["data"] = Value::Object(entries.collect::<Map<_, _>>());
        (method, path, map)
    }

    async fn read(&self) -> Result<Option<Value>, Failure> {
        let path = format!(
            "/api/v1/namespaces/{}/configmaps/{}",
            self.namespace, self.name
        );
        self.send(Method::GET, &path, None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, Failure> {
        let body = body.map(|it| it.to_string().into_bytes());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body.unwrap_or_default());
        let request = request.map_err(|why| Failure::Other(why.to_string()))?;
        let answer = tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await;
        match answer {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(kube::Error::Api(status))) => match StatusCode::from_u16(status.code) {
                Ok(StatusCode::NOT_FOUND) => Ok(None),
                Ok(StatusCode::FORBIDDEN) => Err(Failure::Forbidden),
                _ => Err(Failure::Other(status.message.clone())),
            },
            Ok(Err(error)) => Err(Failure::Other(error.to_string())),
            Err(elapsed) => Err(Failure::Other(elapsed.to_string())),
        }
    }

    fn warn(&mut self, why: &str) {
        if !std::mem::replace(&mut self.has_warned, true) {
            let (namespace, name) = (&self.namespace, &self.name);
            warn!(%namespace, %name, why, "cannot record the clusters of sources");
        }
    }
}

/// Keeps the record of which cluster each source is, where there is a namespace for it.
pub(crate) fn keep(
    config: &Config,
    client: &kube::Client,
    leadership: &Leadership,
    tasks: &mut Tasks,
) -> Pins {
    let Some(record) = &config.record else {
        return Pins::unavailable();
    };
    let name = record.name.clone();
    let client = client.clone();
    let (keeper, pins) = Keeper::new(client, &record.namespace, name, leadership.clone());
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("record", async move {
        keeper.run(shutdown).await;
        Ok::<(), Infallible>(())
    });
    pins
}

enum Failure {
    Forbidden,
    Other(String),
}

fn is_written(map: &Value) -> bool {
    map["metadata"]["annotations"][WRITTEN].is_string()
}

/// The record within a ConfigMap that was written before.
fn recorded(map: &Value) -> Option<Record> {
    if !is_written(map) {
        return None;
    }
    let entries = map["data"].as_object().into_iter().flatten();
    let entries = entries.filter_map(|(source, clusters)| {
        let clusters = clusters.as_str()?.split_whitespace().map(Into::into);
        Some((source.parse().ok()?, clusters.collect()))
    });
    Some(entries.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Pinned, WRITTEN, recorded};
    use crate::identity::Clusters;

    #[test]
    fn a_record_that_was_written_goes_before_mirrors() {
        let map = json!({
            "metadata": {"annotations": {WRITTEN: "recorded"}},
            "data": {"east": "a b", "Bad Name": "c"},
        });
        let pinned = Pinned::Recorded(recorded(&map).unwrap());
        let east: Clusters = ["a".into(), "b".into()].into();
        assert_eq!(pinned.of(&"east".parse().unwrap()), Some(east));
        // A source that is not in it was never identified: mirrors do not count.
        assert_eq!(pinned.of(&"west".parse().unwrap()), Some(Clusters::new()));
    }

    #[test]
    fn without_a_record_mirrors_say_it() {
        assert_eq!(recorded(&json!({"metadata": {}})), None);
        for pinned in [Pinned::Unread, Pinned::None, Pinned::Unavailable] {
            assert_eq!(pinned.of(&"east".parse().unwrap()), None);
        }
    }
}
