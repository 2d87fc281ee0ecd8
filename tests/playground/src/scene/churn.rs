//! What people and rollouts do in a source all day.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::sample::{self, MIRRORS, NAMESPACE, Sample};

/// How many writes of a source are under way while it is being filled.
const N_WRITES: usize = 8;

/// So often the Service that comes and goes does so, beside changes of endpoints.
const BEATS_OF_PASSING: u64 = 10;

/// A cluster may be broken, or hang, at any time.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes to one source.
pub(crate) struct Population {
    services: Api<Service>,
    slices: Api<EndpointSlice>,
    samples: Vec<Sample>,
    passing: Sample,
}

/// Creates a namespace, in a cluster that may have it.
async fn ensure_namespace(client: &kube::Client, name: &str) -> anyhow::Result<()> {
    let namespace = json!({"metadata": {"name": name}});
    create(&Api::<Namespace>::all(client.clone()), namespace).await
}

/// Prepares the cluster where mirrors go.
pub(crate) async fn prepare_local(client: &kube::Client) -> anyhow::Result<()> {
    ensure_namespace(client, MIRRORS).await?;
    // Imports have the namespaces of their exports.
    ensure_namespace(client, NAMESPACE).await
}

impl Population {
    /// Fills a source.
    pub(crate) async fn settle(
        client: &kube::Client,
        source: u8,
        n_services: u16,
    ) -> anyhow::Result<Self> {
        ensure_namespace(client, NAMESPACE).await?;
        let population = Self {
            services: Api::namespaced(client.clone(), NAMESPACE),
            slices: Api::namespaced(client.clone(), NAMESPACE),
            samples: sample::of_source(source, n_services),
            passing: sample::passing(source),
        };
        let samples = futures::stream::iter(&population.samples);
        let writes = samples.map(|it| population.create(it));
        let () = writes.buffer_unordered(N_WRITES).try_collect().await?;
        Ok(population)
    }

    /// Changes something so often a second, indefinitely.
    pub(crate) async fn churn(self, per_second: u16) {
        if per_second == 0 {
            return std::future::pending().await;
        }
        let mut beat = tokio::time::interval(Duration::from_secs(1) / u32::from(per_second));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for n in 1_u64.. {
            beat.tick().await;
            // What fails was broken on purpose, or deleted by who plays.
            let _ = tokio::time::timeout(PATIENCE, self.change(n)).await;
        }
    }

    async fn change(&self, n: u64) -> anyhow::Result<()> {
        if !n.is_multiple_of(BEATS_OF_PASSING) {
            return self.scale().await;
        }
        if (n / BEATS_OF_PASSING).is_multiple_of(2) {
            let delete = DeleteParams::default();
            self.services.delete(&self.passing.name, &delete).await?;
            self.slices
                .delete(&self.passing.slice_name(), &delete)
                .await?;
            return Ok(());
        }
        self.create(&self.passing).await
    }

    async fn scale(&self) -> anyhow::Result<()> {
        let Some(sample) = fastrand::choice(&self.samples) else {
            return Ok(());
        };
        let endpoints = sample.endpoints(fastrand::u8(1..=4), Timestamp::now());
        let patch = Patch::Merge(endpoints);
        let parameters = PatchParams::default();
        self.slices
            .patch(&sample.slice_name(), &parameters, &patch)
            .await?;
        Ok(())
    }

    async fn create(&self, sample: &Sample) -> anyhow::Result<()> {
        create(&self.services, sample.service()).await?;
        create(&self.slices, sample.slice(2, Timestamp::now())).await
    }
}

async fn create<K>(api: &Api<K>, object: Value) -> anyhow::Result<()>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + serde::Serialize,
{
    let object = serde_json::from_value(object)?;
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        // Somebody who plays was first.
        Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}
