//! However many consumers there are, upstream is asked as by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use futures::future::try_join_all;
use http::Request;
use proto_types::Resource;

use crate::lab::{Cluster, Lab, eventually};
use crate::stream::{Watch, client};

/// How often upstream was asked for each resource by the emitter.
type Asked = BTreeMap<(&'static str, Question), usize>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Watch,
    /// A list from which a history begins.
    List,
    /// A list of versions, to know how new what is known is.
    Probe,
}

const CONSUMERS: usize = 200;
const STORMS: usize = 3;

pub(crate) async fn upstream_is_asked_as_by_one_consumer(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    super::churn::populate(&east).await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let consumer = client(&emitter.url)?;
    consume(&consumer).await?;
    let before = asked(&east)?;
    let n_open = open_watches(&east).await?;
    for resource in Resource::ALL {
        let (name, question) = (resource.plural(), |it| before.get(&(resource.plural(), it)));
        let n_lists = question(Question::List).copied().unwrap_or_default();
        ensure!(n_lists == 1, "{name} were listed {n_lists} times");
    }

    for _ in 0..STORMS {
        let consumers = (0..CONSUMERS).map(|_| consume(&consumer));
        // Their watches are open all at once, and then all end.
        try_join_all(consumers).await?;
    }
    let after = asked(&east)?;
    let more = |resource: Resource, question| {
        let at = (resource.plural(), question);
        let n_before = before.get(&at).copied().unwrap_or_default();
        after.get(&at).copied().unwrap_or_default() - n_before
    };
    for resource in Resource::ALL {
        for question in [Question::Watch, Question::List] {
            let n_more = more(resource, question);
            ensure!(n_more == 0, "{resource}: {n_more} more of {question:?}");
        }
        // Those who ask at once are answered by one probe.
        let n_probes = more(resource, Question::Probe);
        eprintln!(
            "{resource}: {n_probes} probes for {} consumers",
            STORMS * CONSUMERS
        );
        ensure!(
            n_probes * 4 < STORMS * CONSUMERS,
            "{resource}: {n_probes} probes"
        );
    }
    eventually("as many watches are open as before", async || {
        let n_now = open_watches(&east).await?;
        ensure!(n_now == n_open, "{n_now} watches, not {n_open}");
        Ok(())
    })
    .await
}

/// As a controller that starts: lists of everything, and watches from there.
async fn consume(consumer: &kube::Client) -> anyhow::Result<Vec<Watch>> {
    let mut watches = Vec::new();
    for resource in Resource::ALL {
        let collection = resource.collection(None);
        let request = Request::get(&collection).body(Vec::new())?;
        let list: serde_json::Value = consumer.request(request).await?;
        let revision = list["metadata"]["resourceVersion"].as_str();
        let revision = revision.context("a list has a revision")?;
        let query = format!("resourceVersion={revision}&allowWatchBookmarks=1");
        watches.push(Watch::of(consumer, &collection, &query).await?);
    }
    Ok(watches)
}

fn asked(east: &Cluster) -> anyhow::Result<Asked> {
    let mut asked = Asked::new();
    let events = east.plane.audit_events()?;
    // Nobody else asks for what was not mirrored.
    for event in events
        .iter()
        .filter(|it| it.uri.contains("%21heliograph.dev"))
    {
        let resource = Resource::ALL
            .iter()
            .find(|it| it.plural() == event.resource);
        let resource = resource.with_context(|| format!("{event:?}"))?;
        let question = match event.verb.as_str() {
            "watch" => Question::Watch,
            _ if event.uri.contains("resourceVersion") => Question::List,
            _ => Question::Probe,
        };
        *asked.entry((resource.plural(), question)).or_default() += 1;
    }
    Ok(asked)
}

/// How many watches of what is exported upstream has open, whoever holds them.
async fn open_watches(east: &Cluster) -> anyhow::Result<u64> {
    let request = Request::get("/metrics").body(Vec::new())?;
    let metrics = east.client.request_text(request).await?;
    let mut n_open = 0;
    for line in metrics.lines() {
        let is_watch =
            line.starts_with("apiserver_longrunning_requests{") && line.contains("verb=\"WATCH\"");
        let is_ours =
            |resource: &Resource| line.contains(&format!("resource=\"{}\"", resource.plural()));
        if is_watch && Resource::ALL.iter().any(is_ours) {
            let value = line.rsplit(' ').next().context("a sample has a value")?;
            n_open += value.parse::<u64>()?;
        }
    }
    ensure!(0 < n_open, "upstream counts no watches");
    Ok(n_open)
}
