//! How long a change at the source takes until a watch of the local cluster tells it.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use http::Request;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Args;
use super::cluster::{EXPORTS, Local, MAX_WRITES, Source, endpoint, slices_path, watch};

/// What changes took, the shortest first.
pub(crate) struct Changes {
    single: Vec<Duration>,
    /// From the first of many at once to the last of them.
    pub(crate) burst: Duration,
}

/// Longer than a change takes to be told by everybody.
const PATIENCE: Duration = Duration::from_secs(60);

/// One change has nothing to do with the next.
const PAUSE: Duration = Duration::from_millis(20);

impl Changes {
    const fn none() -> Self {
        Self {
            single: Vec::new(),
            burst: Duration::ZERO,
        }
    }

    /// What so many of them took at most.
    pub(crate) fn at(&self, share: f64) -> Duration {
        let i = (self.single.len() as f64 * share) as usize;
        let last = self.single.len().saturating_sub(1);
        self.single.get(i.min(last)).copied().unwrap_or_default()
    }
}

/// Makes changes one after another, then many at once. All who write follow the same ones
/// at the same time: whatever else the machine does, it does to all of them.
pub(crate) async fn measure<const N: usize>(
    source: &Source,
    local: &Local,
    namespaces: [&str; N],
    args: &Args,
) -> anyhow::Result<[Changes; N]> {
    let mut arrivals = Vec::new();
    for namespace in namespaces {
        arrivals.push(Arrivals::start(local, namespace).await?);
    }
    let mut changes = [const { Changes::none() }; N];
    for i in 0..args.changes {
        let address = unique_address();
        let start = Instant::now();
        change(source, i, &address).await?;
        for (arrivals, changes) in arrivals.iter_mut().zip(&mut changes) {
            changes.single.push(arrivals.of(&address).await? - start);
        }
        tokio::time::sleep(PAUSE).await;
    }
    let addresses: Vec<String> = (0..args.burst).map(|_| unique_address()).collect();
    let start = Instant::now();
    let burst = addresses.iter().enumerate();
    let burst = burst.map(|(i, address)| change(source, i, address));
    stream::iter(burst)
        .buffer_unordered(MAX_WRITES)
        .try_collect::<()>()
        .await?;
    for (arrivals, changes) in arrivals.iter_mut().zip(&mut changes) {
        changes.single.sort();
        for address in &addresses {
            let took = arrivals.of(address).await? - start;
            changes.burst = changes.burst.max(took);
        }
    }
    Ok(changes)
}

async fn change(source: &Source, i: usize, address: &str) -> anyhow::Result<()> {
    let name = format!("s{}-slice", i % source.n_services.max(1));
    let path = format!("{}/{name}", slices_path(EXPORTS));
    let patch = json!({"endpoints": [endpoint(address)]});
    let request = Request::patch(path)
        .header("content-type", "application/merge-patch+json")
        .body(patch.to_string().into_bytes())?;
    source.client.request_text(request).await?;
    Ok(())
}

/// An address that no slice had before.
fn unique_address() -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("10.{}.{}.{}", 200 + n / 62_500, n / 250 % 250, 1 + n % 250)
}

/// When addresses were first told.
struct Arrivals {
    told: mpsc::UnboundedReceiver<(String, Instant)>,
    known: HashMap<String, Instant>,
    watch: JoinSet<anyhow::Result<()>>,
}

impl Arrivals {
    async fn start(local: &Local, namespace: &str) -> anyhow::Result<Self> {
        let (sender, told) = mpsc::unbounded_channel();
        let mut events = watch::<EndpointSlice>(&local.client, &slices_path(namespace))
            .await?
            .boxed();
        let mut watch = JoinSet::new();
        watch.spawn(async move {
            while let Some(slice) = events.try_next().await? {
                let now = Instant::now();
                for endpoint in slice.endpoints.unwrap_or_default() {
                    for address in endpoint.addresses {
                        sender.send((address, now))?;
                    }
                }
            }
            anyhow::Ok(())
        });
        Ok(Self {
            told,
            known: HashMap::new(),
            watch,
        })
    }

    async fn of(&mut self, address: &str) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.known.remove(address) {
                return Ok(at);
            }
            let next = tokio::time::timeout_at(deadline, self.told.recv()).await;
            let next = next.with_context(|| format!("{address} never came"))?;
            if next.is_none() {
                self.watch.join_next().await.transpose()?.transpose()?;
            }
            ensure!(next.is_some(), "the watch of the local cluster ended");
            self.known.extend(next);
        }
    }
}
