//! The permissions that ClusterProfiles need.

use std::sync::Arc;

use control_plane::{Keeper, Scene};
use serde_json::json;

use super::declared::{clean_up, is_mirrored, is_recorded};
use super::{Account, Line, PATIENCE, Run, is_ready, quiet_clusters};
use crate::cluster_profiles;
use crate::lab::{Cluster, Lab, Program};
use crate::manifests::flags;

const PROFILES: &str = "/apis/multicluster.x-k8s.io/v1alpha1/namespaces/heliograph/clusterprofiles";

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/\
                   clusterprofiles.multicluster.x-k8s.io";

pub(crate) async fn profiles_need_the_rights_of_the_component_and_no_more(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("profiles")?;
    let (east, local) = quiet_clusters(&scene).await?;
    let lab = Lab::new(scene)?;
    cluster_profiles::install(&local).await?;
    crate::manifests::install(&local, "manifests/examples/cluster-profiles").await?;
    east.create_namespace("demo").await?;
    east.create_service("web").await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let account = Account {
        name: "reflector",
        roles: &[
            "namespaces/heliograph/roles/heliograph-reflector-cluster-profiles",
            "clusterroles/heliograph-reflector-cluster-profile-crd",
        ],
        cluster: &local,
    };
    let mut arguments = flags(&local, "reflector", &["--admin-bind-address", "--config"]).await?;
    arguments.push("--state-namespace=heliograph".to_owned());
    let config = json!({
        "mirrorNamespace": "mirrors",
        "clusterProfiles": {"namespace": "heliograph", "defaults": {"prefix": "{source}"}},
    });
    let profiles = Profiles {
        lab: &lab,
        local: &local,
        line: Line {
            kubeconfig: account.kubeconfig(&keeper).await?,
            config: lab.file("config.json", &config.to_string())?,
            flags: arguments,
        },
        url: &emitter.url,
    };
    account.prove(async |run| profiles.works(run).await).await
}

struct Profiles<'a> {
    lab: &'a Lab,
    local: &'a Cluster,
    line: Line,
    url: &'a str,
}

impl Profiles<'_> {
    async fn works(&self, run: Run) -> anyhow::Result<()> {
        self.create("early").await?;
        let reflector = self.line.start(self.lab, &run)?;
        let outcome = self.exercise(&reflector, &run).await;
        reflector.kill().await?;
        clean_up(self.local, PROFILES).await?;
        outcome
    }

    async fn create(&self, name: &str) -> anyhow::Result<()> {
        cluster_profiles::create(self.local, "heliograph", name, self.url).await
    }

    async fn exercise(&self, reflector: &Program, run: &Run) -> anyhow::Result<()> {
        is_ready(PATIENCE, reflector).await?;
        let local = self.local;
        is_mirrored(local, "early", run).await?;
        self.create("late").await?;
        is_mirrored(local, "late", run).await?;
        let place = (CRD, "heliograph.dev/cluster-profiles");
        is_recorded(local, place, &["early", "late"], run).await
    }
}
