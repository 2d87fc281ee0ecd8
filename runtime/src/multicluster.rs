//! Finds the version of the Multi-Cluster Services API that a cluster serves.

use std::time::Duration;

use http::StatusCode;
use proto_types::multicluster::{GROUP, Version};
use serde::Deserialize;

use crate::document::{Unread, document};

/// Interval between two attempts. The CRDs may be installed at any time.
pub const RETRY: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct ApiGroup {
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

/// Waits until the cluster serves the API, and returns its version. Calls `complain` once for each
/// reason for which it is missing.
pub async fn found(client: &kube::Client, complain: impl Fn(&str)) -> Version {
    let mut told = None;
    loop {
        let why = match served(client).await {
            Ok(version) => return version,
            Err(why) => why,
        };
        if told.as_ref() != Some(&why) {
            complain(&why);
            told = Some(why);
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Returns the preferred version that the cluster serves, or why there is none.
///
/// # Errors
///
/// If the cluster does not answer, or serves no version that is supported.
pub async fn served(client: &kube::Client) -> Result<Version, String> {
    let group = document(client, &format!("/apis/{GROUP}")).await;
    let group: ApiGroup = group.map_err(|why| match why {
        Unread::Status(StatusCode::NOT_FOUND) => format!(
            "the cluster does not serve {GROUP}; install the CRDs of the Multi-Cluster Services API"
        ),
        other => other.to_string(),
    })?;
    let is_served = |version: &Version| {
        let mut versions = group.versions.iter();
        versions.any(|it| it.version == version.as_str())
    };
    let preferred = Version::ALL.into_iter().find(is_served);
    preferred.ok_or_else(|| format!("the cluster serves no version of {GROUP} that is supported"))
}
