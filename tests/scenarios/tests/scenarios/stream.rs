//! Lists and watches as they come off the wire, and what they amount to.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use futures::TryStreamExt;
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use proto_types::ResourceVersion;
use proto_types::frame::EventType;
use serde_json::Value;

use crate::lab::EXPORT;

/// The collection that scenarios watch.
pub(crate) const SERVICES: &str = "/api/v1/services";

/// A watch as its lines come, byte for byte.
pub(crate) struct Watch(futures::stream::BoxStream<'static, anyhow::Result<String>>);

impl Watch {
    pub(crate) async fn open(client: &kube::Client, query: &str) -> anyhow::Result<Self> {
        Self::of(client, SERVICES, query).await
    }

    /// A watch of another collection.
    pub(crate) async fn of(
        client: &kube::Client,
        collection: &str,
        query: &str,
    ) -> anyhow::Result<Self> {
        let path = format!("{collection}?watch=1&labelSelector={EXPORT}%3Dtrue&{query}");
        let response = client.send(Request::get(path).body(Body::empty())?).await?;
        ensure!(response.status() == 200, "{}", response.status());
        let bytes = response.into_body().into_data_stream();
        let bytes = bytes.map_err(std::io::Error::other).into_async_read();
        let lines = futures::io::AsyncBufReadExt::lines(futures::io::BufReader::new(bytes));
        Ok(Self(Box::pin(lines.map_err(anyhow::Error::from))))
    }

    pub(crate) async fn line(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(Duration::from_secs(20), self.0.try_next()).await;
        line.context("no event came")??
            .context("the watch has ended")
    }

    /// The next lines, up to the event of this resource version.
    pub(crate) async fn through(
        &mut self,
        revision: ResourceVersion,
    ) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let at = Event::parse(&line)?.revision;
            lines.push(line);
            if revision <= at {
                return Ok(lines);
            }
        }
    }
}

pub(crate) struct Event {
    event_type: EventType,
    name: String,
    pub(crate) revision: ResourceVersion,
}

impl Event {
    pub(crate) fn parse(line: &str) -> anyhow::Result<Self> {
        let event: Value = serde_json::from_str(line)?;
        let metadata = &event["object"]["metadata"];
        Ok(Self {
            event_type: serde_json::from_value(event["type"].clone())?,
            name: metadata["name"].as_str().unwrap_or_default().to_owned(),
            revision: metadata["resourceVersion"]
                .as_str()
                .context(line.to_owned())?
                .parse()?,
        })
    }
}

/// Names and resource versions: what a list or a replayed watch amounts to.
pub(crate) type State = BTreeMap<String, ResourceVersion>;

pub(crate) fn apply(state: &mut State, event: &Event) -> anyhow::Result<()> {
    let known = state.contains_key(&event.name);
    match event.event_type {
        EventType::Added => ensure!(!known, "{} was added twice", event.name),
        EventType::Modified | EventType::Deleted => ensure!(known, "{} was not there", event.name),
        EventType::Bookmark => return Ok(()),
        EventType::Error => bail!("an error event"),
    }
    match event.event_type {
        EventType::Deleted => state.remove(&event.name),
        _ => state.insert(event.name.clone(), event.revision),
    };
    Ok(())
}

pub(crate) fn state(list: &Value) -> anyhow::Result<(ResourceVersion, State)> {
    let items = list["items"].as_array().context("a list has items")?;
    let entry = |item: &Value| {
        let name = item["metadata"]["name"].as_str()?.to_owned();
        Some((
            name,
            item["metadata"]["resourceVersion"].as_str()?.parse().ok()?,
        ))
    };
    let state = items.iter().filter_map(entry).collect();
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .context("a list has a revision")?;
    Ok((revision.parse()?, state))
}

pub(crate) fn client(url: &str) -> anyhow::Result<kube::Client> {
    Ok(kube::Client::try_from(kube::Config::new(url.parse()?))?)
}
