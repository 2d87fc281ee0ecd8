//! Breakages of a source that the reflector reports: its certificate, its grant, its addresses.

use k8s_openapi::jiff::SignedDuration;

use super::clocks::Shifted;
use super::{Checks, Engineer};
use crate::cluster::Cluster;
use crate::command_line::kubelet::Kubelet;
use crate::lab::{Lab, Program};

impl Checks<'_> {
    /// A cluster that is ten minutes ahead.
    pub(super) async fn another_clock(
        &mut self,
        lab: &Lab,
        (east, local): (&Cluster, &Cluster),
    ) -> anyhow::Result<()> {
        let shifted = Shifted::start(east, SignedDuration::from_mins(10)).await?;
        let kubeconfig = lab.file("shifted.yaml", &shifted.kubeconfig("east", local)?)?;
        let engineer = Engineer { kubeconfig };
        self.found_by(&engineer, "The clocks of two clusters differ")
            .await
    }

    /// Files of both programs, which they read while they run.
    pub(super) async fn files_of_the_programs(
        &mut self,
        kubelet: &Kubelet,
        emitter: &Program,
    ) -> anyhow::Result<()> {
        let range = "import: {endpointCIDRs: [10.99.0.0/16]}";
        kubelet.edit("reflector/config.yaml", |text| {
            text.replace("prefix: east", &format!("prefix: east\n  {range}"))
        })?;
        self.found("endpointCIDRs of a source lacks its pods")
            .await?;
        kubelet.edit("reflector/config.yaml", |text| {
            text.replace(&format!("\n  {range}"), "")
        })?;
        let access = "access/access.yaml";
        for (breakage, right, wrong) in [
            (
                "The emitter grants the reflector no view",
                "heliograph:reflector",
                "heliograph:another",
            ),
            (
                "The emitter expects tokens of another audience",
                "heliograph-east",
                "another",
            ),
        ] {
            kubelet.edit(access, |text| text.replace(right, wrong))?;
            self.found(breakage).await?;
            kubelet.edit(access, |text| text.replace(wrong, right))?;
        }
        emitter.stop().await?;
        kubelet.certify(2002)?;
        emitter.start().await?;
        self.found("The certificate of the emitter has expired")
            .await
    }
}
