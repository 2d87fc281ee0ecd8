//! What a reflector needs so that the local cluster's own Services join global ones.

use std::sync::Arc;

use anyhow::ensure;
use control_plane::{Keeper, Scene};
use serde_json::json;

use super::{Account, Line, PATIENCE, Run, is_ready, quiet_clusters, within};
use crate::global::{GLOBAL, join, leave};
use crate::lab::{Cluster, Lab, MIRRORS};
use crate::manifests::{flags, install};

pub(crate) async fn members_here_need_the_rights_of_the_component_and_no_more(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("joining")?;
    let (east, local) = quiet_clusters(&scene).await?;
    let lab = Lab::new(scene)?;
    install(&local, "manifests/examples/global").await?;
    for cluster in [&east, &local] {
        cluster.create_namespace("demo").await?;
    }
    let account = Account {
        name: "reflector",
        roles: &["clusterroles/heliograph-reflector-global"],
        cluster: &local,
    };
    let joining = Joining {
        lab: &lab,
        local: &local,
        line: Line {
            kubeconfig: account.kubeconfig(&keeper).await?,
            config: lab.file("config.json", &config(&east))?,
            flags: flags(&local, "reflector", &["--admin-bind-address", "--config"]).await?,
        },
    };
    account.prove(async |run| joining.works(run).await).await
}

fn config(east: &Cluster) -> String {
    let sources = json!([{"name": "east", "kubeconfig": east.plane.kubeconfig()}]);
    let global = json!({"cluster": "local"});
    json!({"mirrorNamespace": MIRRORS, "global": global, "sources": sources}).to_string()
}

struct Joining<'a> {
    lab: &'a Lab,
    local: &'a Cluster,
    line: Line,
}

impl Joining<'_> {
    async fn works(&self, run: Run) -> anyhow::Result<()> {
        let reflector = self.line.start(self.lab, &run)?;
        let outcome = async {
            is_ready(PATIENCE, &reflector).await?;
            join(self.local, 80, "10.2.0.1").await?;
            within(run.patience, "the local member joins", async || {
                let found = self.local.addresses(GLOBAL).await?;
                ensure!(found == ["10.2.0.1"], "it has {found:?}");
                Ok(())
            })
            .await?;
            // A list now and then would also find everything, only later.
            let is_lost = reflector.log().contains("not followed");
            ensure!(!is_lost, "the API server was lost, as the log says");
            leave(self.local).await?;
            within(run.patience, "it leaves", async || {
                ensure!(self.local.service(GLOBAL).await?.is_none(), "it is there");
                Ok(())
            })
            .await
        }
        .await;
        reflector.kill().await?;
        // It may have left, or not even joined.
        let _ = leave(self.local).await;
        let _ = self.local.delete_service(GLOBAL).await;
        let path = format!("/apis/discovery.k8s.io/v1/namespaces/{MIRRORS}/endpointslices");
        self.local.delete(&path).await?;
        outcome
    }
}
