//! Looks at the reflector and at its cluster, as anybody could.

use std::net::SocketAddr;
use std::time::Duration;

use proto_types::{LabelSelector, Resource, label};
use reflector::status::Status;
use runtime::{Limits, Scope, Watcher};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::playground_view::ViewUpdate;

/// How often the reflector is asked.
const PERIOD: Duration = Duration::from_millis(500);

/// It answers from memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks a reflector how it is, again and again.
pub(crate) async fn ask(
    reflector: SocketAddr,
    news: mpsc::Sender<ViewUpdate>,
) -> anyhow::Result<()> {
    let client = kube::Client::try_from(kube::Config::new(format!("http://{reflector}").parse()?))?;
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        period.tick().await;
        let answer = tokio::time::timeout(PATIENCE, status(&client)).await;
        let answer = answer.map_err(|_| format!("it does not answer within {PATIENCE:?}"));
        if news
            .send(ViewUpdate::Status(answer.flatten()))
            .await
            .is_err()
        {
            return Ok(());
        }
    }
}

/// Follows the mirrors of one resource.
pub(crate) async fn follow(
    local: kube::Client,
    resource: Resource,
    news: mpsc::Sender<ViewUpdate>,
) {
    let selector: LabelSelector = label::SOURCE.parse().expect("a label's name is a selector");
    let scope = Scope {
        resource: resource.names(),
        namespace: None,
        selector,
    };
    let mut reader = Watcher::new(local, scope, Limits::default());
    while news
        .send(ViewUpdate::Mirrors(resource, reader.next().await))
        .await
        .is_ok()
    {}
}

async fn status(client: &kube::Client) -> Result<Status, String> {
    let request = http::Request::get("/status").body(Vec::new());
    let request = request.map_err(|error| error.to_string())?;
    let answer = client.request(request).await;
    answer.map_err(|error| error.to_string())
}
