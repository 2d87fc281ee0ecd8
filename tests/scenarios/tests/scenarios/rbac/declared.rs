//! Steps that the permissions of Sources and of ClusterProfiles have in common.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use super::{Run, within};
use crate::lab::{Cluster, mirror};

/// ConfigMap with the names of the declared sources.
const RECORD: &str = "/api/v1/namespaces/heliograph/configmaps/heliograph-reflector-sources";

/// Time for a status or a record, which are compared each two seconds.
const FOR_RECORD: Duration = Duration::from_secs(8);

/// Deletes the declared sources, all mirrors and the record.
pub(super) async fn clean_up(local: &Cluster, declared: &str) -> anyhow::Result<()> {
    local.delete(declared).await?;
    let services = "/api/v1/namespaces/mirrors/services";
    local.delete(services).await?;
    let slices = "/apis/discovery.k8s.io/v1/namespaces/mirrors/endpointslices";
    local.delete(slices).await?;
    let nothing = r#"{"data":null,"metadata":{"annotations":null}}"#;
    local.patch(RECORD, nothing).await
}

/// Waits until the Service `web` is mirrored under a prefix.
pub(super) async fn is_mirrored(local: &Cluster, prefix: &str, run: &Run) -> anyhow::Result<()> {
    let key = mirror(prefix, "web");
    let patience = run.patience.max(Duration::from_secs(4));
    within(patience, &format!("{key} is there"), async || {
        ensure!(local.service(&key).await?.is_some(), "there is none");
        Ok(())
    })
    .await
}

/// Returns the time for a status or a record.
pub(super) fn for_record(run: &Run) -> Duration {
    run.patience.max(FOR_RECORD)
}

/// Waits until an annotation of the record has these names under the UID of a CRD.
pub(super) async fn is_recorded(
    local: &Cluster,
    (crd, annotation): (&str, &str),
    names: &[&str],
    run: &Run,
) -> anyhow::Result<()> {
    let crd = local.read(crd).await?;
    let uid = crd["metadata"]["uid"].as_str().unwrap_or_default();
    let evidence = json!({ uid: names }).to_string();
    within(for_record(run), "it is recorded with the CRD", async || {
        let record = local.read(RECORD).await?;
        let found = &record["metadata"]["annotations"][annotation];
        ensure!(found.as_str() == Some(&evidence), "{record}");
        Ok(())
    })
    .await
}
