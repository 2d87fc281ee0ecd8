//! The permissions that Sources of the CRD need.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::{Keeper, Scene};
use serde_json::json;

use super::declared::{clean_up, for_record, is_mirrored, is_recorded};
use super::{Account, Line, PATIENCE, Run, is_ready, quiet_clusters, within};
use crate::lab::{Cluster, Lab, Program};
use crate::manifests::flags;

const SOURCES: &str = "/apis/heliograph.dev/v1alpha1/namespaces/heliograph/sources";

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sources.heliograph.dev";

pub(crate) async fn sources_need_the_rights_of_the_component_and_no_more(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("sources")?;
    let (east, local) = quiet_clusters(&scene).await?;
    let lab = Lab::new(scene)?;
    crate::manifests::install(&local, "manifests/examples/sources").await?;
    east.create_namespace("demo").await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let account = Account {
        name: "reflector",
        roles: &[
            "namespaces/heliograph/roles/heliograph-reflector-source-objects",
            "clusterroles/heliograph-reflector-source-crd",
        ],
        cluster: &local,
    };
    let mut arguments = flags(&local, "reflector", &["--admin-bind-address", "--config"]).await?;
    ensure!(
        arguments.contains(&"--sources-from-crd".to_owned()),
        "{arguments:?}"
    );
    // In a pod the namespace is its own.
    arguments.retain(|it| it != "--sources-from-crd");
    arguments.push("--sources-from-crd=heliograph".to_owned());
    arguments.push("--state-namespace=heliograph".to_owned());
    let config = json!({"mirrorNamespace": "mirrors", "removedSources": "delete"});
    let objects = Objects {
        lab: &lab,
        local: &local,
        line: Line {
            kubeconfig: account.kubeconfig(&keeper).await?,
            config: lab.file("config.json", &config.to_string())?,
            flags: arguments,
        },
        url: &emitter.url,
    };
    account.prove(async |run| objects.works(run).await).await
}

struct Objects<'a> {
    lab: &'a Lab,
    local: &'a Cluster,
    line: Line,
    url: &'a str,
}

impl Objects<'_> {
    async fn works(&self, run: Run) -> anyhow::Result<()> {
        let reflector = self.line.start(self.lab, &run)?;
        let outcome = self.exercise(&reflector, &run).await;
        reflector.kill().await?;
        clean_up(self.local, SOURCES).await?;
        outcome
    }

    async fn exercise(&self, reflector: &Program, run: &Run) -> anyhow::Result<()> {
        is_ready(PATIENCE, reflector).await?;
        let source = |prefix: &str| {
            json!({
                "apiVersion": "heliograph.dev/v1alpha1", "kind": "Source",
                "metadata": {"name": "east"}, "spec": {"url": self.url, "prefix": prefix},
            })
        };
        self.local.post(SOURCES, &source("one").to_string()).await?;
        let local = self.local;
        is_mirrored(local, "one", run).await?;
        let path = format!("{SOURCES}/east");
        local.patch(&path, r#"{"spec":{"prefix":"two"}}"#).await?;
        is_mirrored(local, "two", run).await?;
        within(for_record(run), "it has a status", async || {
            let source = local.read(&path).await?;
            ensure!(source["status"]["observedGeneration"] == 2, "{source}");
            Ok(())
        })
        .await?;
        let place = (CRD, "heliograph.dev/source-objects");
        is_recorded(local, place, &["east"], run).await
    }
}
