//! What upstream itself tells, over a connection that nobody disturbs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use http::Request;
use proto_types::Resource;
use serde_json::Value;

use super::change::{Change, Objects, What, identity};
use crate::lab::EXPORT;
use crate::stream::Watch;

/// Every change of what is exported, in its order.
pub(super) struct Truth {
    client: kube::Client,
    resources: Vec<Told>,
}

struct Told {
    resource: Resource,
    changes: Vec<Change>,
    versions: BTreeMap<String, u64>,
    watch: Watch,
}

/// The stream is silent when it has told nothing for so long.
const SILENCE: Duration = Duration::from_millis(250);

impl Truth {
    pub(super) async fn begin(client: kube::Client) -> anyhow::Result<Self> {
        let mut resources = Vec::new();
        for resource in Resource::ALL {
            let (revision, objects) = list(&client, resource).await?;
            resources.push(Told {
                resource,
                changes: Vec::new(),
                versions: versions(&objects)?,
                watch: watch(&client, resource, &revision).await?,
            });
        }
        Ok(Self { client, resources })
    }

    /// Goes on after upstream was away, during which nothing has changed.
    pub(super) async fn resume(&mut self) -> anyhow::Result<()> {
        for told in &mut self.resources {
            let (revision, objects) = list(&self.client, told.resource).await?;
            ensure!(
                versions(&objects)? == told.versions,
                "{} have changed unseen",
                told.resource
            );
            told.watch = watch(&self.client, told.resource, &revision).await?;
        }
        Ok(())
    }

    /// Returns when all has been told that has happened, and nothing happens.
    pub(super) async fn settle(&mut self) -> anyhow::Result<()> {
        for told in &mut self.resources {
            let mut n_quiet = 0;
            while n_quiet < 3 {
                let n_told = told.hear().await?;
                let (_, objects) = list(&self.client, told.resource).await?;
                let is_quiet = n_told == 0 && versions(&objects)? == told.versions;
                n_quiet = if is_quiet { n_quiet + 1 } else { 0 };
            }
        }
        Ok(())
    }

    /// What was told of a resource so far.
    pub(super) fn changes(&self, resource: Resource) -> &[Change] {
        let told = self.resources.iter().find(|it| it.resource == resource);
        told.map_or(&[], |it| &it.changes)
    }

    /// What is exported of a resource.
    pub(super) async fn objects(&self, resource: Resource) -> anyhow::Result<Objects> {
        Ok(list(&self.client, resource).await?.1)
    }
}

impl Told {
    /// Takes in what is told until nothing is; returns how much it was.
    async fn hear(&mut self) -> anyhow::Result<usize> {
        let mut n_told = 0;
        while let Ok(line) = tokio::time::timeout(SILENCE, self.watch.line()).await {
            let event: Value = serde_json::from_str(&line?)?;
            let what = What::deserialize(&event)?;
            let (key, revision) = identity(&event["object"])?;
            match what {
                What::Deleted => self.versions.remove(&key),
                _ => self.versions.insert(key.clone(), revision),
            };
            self.changes.push(Change {
                what,
                key,
                revision,
            });
            n_told += 1;
        }
        Ok(n_told)
    }
}

impl What {
    fn deserialize(event: &Value) -> anyhow::Result<Self> {
        serde_json::from_value(event["type"].clone()).with_context(|| event.to_string())
    }
}

async fn watch(client: &kube::Client, resource: Resource, revision: &str) -> anyhow::Result<Watch> {
    let query = format!("resourceVersion={revision}&timeoutSeconds=600");
    Watch::of(client, &resource.collection(None), &query).await
}

async fn list(client: &kube::Client, resource: Resource) -> anyhow::Result<(String, Objects)> {
    let path = resource.collection(None);
    let path = format!("{path}?labelSelector={EXPORT}%3Dtrue");
    let mut list: Value = client.request(Request::get(path).body(Vec::new())?).await?;
    let items = list["items"].as_array_mut().context("a list has items")?;
    let objects = items.drain(..).map(|it| Ok((identity(&it)?.0, it)));
    let objects = objects.collect::<anyhow::Result<Objects>>()?;
    let revision = list["metadata"]["resourceVersion"].as_str();
    Ok((
        revision.context("a list has a revision")?.to_owned(),
        objects,
    ))
}

fn versions(objects: &Objects) -> anyhow::Result<BTreeMap<String, u64>> {
    objects.values().map(identity).collect()
}
