//! Finds the version of the Multi-Cluster Services API that a cluster serves.

use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use proto_types::multicluster::{GROUP, Version};
use serde::Deserialize;

/// Interval between two attempts. The CRDs may be installed at any time.
pub const RETRY: Duration = Duration::from_secs(5);

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct ApiGroup {
    #[serde(default)]
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

/// Waits until the cluster serves the API, and returns its version. `complain` is told why it is
/// not there, once for each reason.
pub async fn found(client: &kube::Client, complain: impl Fn(&str)) -> Version {
    let mut told = None;
    loop {
        let why = match version(client).await {
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
async fn version(client: &kube::Client) -> Result<Version, String> {
    let request = Request::get(format!("/apis/{GROUP}"))
        .header(header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|it| it.to_string())?;
    let answer = async {
        let response = client.send(request).await.map_err(|it| it.to_string())?;
        let code = response.status();
        if code == StatusCode::NOT_FOUND {
            return Err(format!(
                "the cluster does not serve {GROUP}; install the CRDs of the Multi-Cluster Services API"
            ));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await;
        let body = body.map_err(|it| it.to_string())?.to_bytes();
        if !code.is_success() {
            return Err(format!("{code}"));
        }
        serde_json::from_slice::<ApiGroup>(&body).map_err(|it| it.to_string())
    };
    let group = tokio::time::timeout(TIMEOUT, answer).await;
    let group = group.map_err(|_| format!("no answer in {TIMEOUT:?}"))??;
    let is_served = |version: &Version| {
        let mut versions = group.versions.iter();
        versions.any(|it| it.version == version.as_str())
    };
    let preferred = Version::ALL.into_iter().find(is_served);
    preferred.ok_or_else(|| format!("the cluster serves no version of {GROUP} that is supported"))
}
