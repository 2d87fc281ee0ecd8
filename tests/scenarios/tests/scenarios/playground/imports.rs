//! The Service that the playground exports by ServiceExports, and its import.

use anyhow::ensure;

use super::Playground;
use crate::lab::eventually;

impl Playground {
    pub(super) async fn imports_what_is_exported(&self) -> anyhow::Result<()> {
        let slices = format!(
            "{} -l multicluster.kubernetes.io/service-name=web --no-headers",
            self.line("get serviceimports")?
                .replace("serviceimports", "endpointslices")
        );
        eventually("the exported Service is imported", async || {
            let imports = self.type_line_with("get serviceimports").await?;
            ensure!(imports.contains("ClusterSetIP"), "{imports}");
            let n = self.type_in(&slices).await?.lines().count();
            ensure!(0 < n, "there are no endpoints");
            let why = self.type_line_with("explain demo/web").await?;
            ensure!(
                why.contains("demo/web is imported as its clusters export it"),
                "{why}"
            );
            Ok(())
        })
        .await?;
        let n_before = self.type_in(&slices).await?.lines().count();
        self.type_line_with("delete serviceexport web").await?;
        eventually("its endpoints leave the import", async || {
            let n = self.type_in(&slices).await?.lines().count();
            ensure!(n + 1 == n_before, "{n} of {n_before}");
            Ok(())
        })
        .await
    }
}
