//! client-go's informers: a program of its own, in every mode at once.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use control_plane::assets::{self, Found};
use proto_types::Resource;
use serde::Deserialize;
use serde_json::Value;

use super::change::{Change, Objects, Report, What};
use crate::lab::{EXPORT, Lab, Program};

/// One process, which follows one server.
pub(super) struct Informers {
    pub(super) name: String,
    program: Program,
}

/// Which server, and how it is reached.
pub(super) struct Reached<'a> {
    pub(super) name: &'a str,
    pub(super) url: String,
    pub(super) authority: Option<&'a Path>,
    pub(super) token: Option<String>,
    /// Whether it serves Namespaces in the way of an emitter.
    pub(super) namespaces: bool,
}

/// Whether informers ask for a list, or for a watch that begins with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    Listed,
    Streamed,
}

#[derive(Deserialize)]
struct Told {
    mode: String,
    resource: String,
    objects: Objects,
    lists: usize,
    streams: usize,
    watches: usize,
    events: Vec<Change>,
    wrongs: Vec<String>,
    requests: Vec<String>,
}

impl Informers {
    pub(super) async fn start(
        lab: &Lab,
        server: &Reached<'_>,
        lists: Lists,
    ) -> anyhow::Result<Self> {
        let name = format!("informers-{}-{lists:?}", server.name);
        let mut command = Command::new(binary().await?);
        command
            .arg("--server")
            .arg(&server.url)
            .arg(format!("--selector={EXPORT}=true"))
            .env(
                "KUBE_FEATURE_WatchListClient",
                (lists == Lists::Streamed).to_string(),
            );
        let mut resources: Vec<_> = Resource::ALL.iter().map(|it| it.plural()).collect();
        if server.namespaces {
            resources.push("namespaces");
        }
        command.args(["--resources", &resources.join(",")]);
        if let Some(authority) = server.authority {
            command.arg("--certificate-authority").arg(authority);
        }
        if let Some(token) = &server.token {
            command.args(["--token", token]);
        }
        let program = lab.start(&name, command, None)?;
        Ok(Self { name, program })
    }

    /// Waits until every informer has synced.
    pub(super) async fn ready(&self) -> anyhow::Result<()> {
        self.program.ready().await
    }

    pub(super) async fn reports(&self) -> anyhow::Result<Vec<Report>> {
        let all: Vec<Told> = serde_json::from_str(&self.program.admin("/report").await?)?;
        Ok(all.into_iter().map(|told| self.report(told)).collect())
    }

    fn report(&self, told: Told) -> Report {
        let resource = Resource::ALL.iter().find(|it| it.plural() == told.resource);
        Report {
            name: format!("{} {} {}", self.name, told.mode, told.resource),
            resource: resource.copied(),
            keeps: match told.mode.as_str() {
                "metadata" => only_metadata,
                _ => |object| Ok(object.clone()),
            },
            objects: told.objects,
            n_lists: told.lists + told.streams,
            told: format!("{} watches\n{}", told.watches, told.requests.join("\n")),
            wrongs: told.wrongs,
            changes: (told.events.into_iter())
                .filter(|it| it.what != What::Listed)
                .collect(),
            tells_new: true,
        }
    }
}

fn only_metadata(object: &Value) -> anyhow::Result<Value> {
    let metadata = object.get("metadata").context("it has metadata")?;
    Ok(serde_json::json!({ "metadata": metadata }))
}

async fn binary() -> anyhow::Result<std::path::PathBuf> {
    let find = || assets::find_or_build_client("informers");
    match tokio::task::spawn_blocking(find).await?? {
        Found::Ready(assets) => Ok(assets.binary("informers")),
        Found::Missing(why) => bail!("{why}"),
    }
}
