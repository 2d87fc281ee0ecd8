//! Leader election: of several replicas the one that holds a Lease writes.
//!
//! A leader may write until some time after it *requested* its last renewal. Others may acquire the
//! Lease only a longer time after they *observed* that renewal. So no clocks are compared, and a
//! leader that cannot renew stops before another one starts. A standby replica watches everything,
//! and only has to begin to write.

use std::convert::Infallible;
use std::future::pending;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use futures::TryStreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use kube::api::{PostParams, WatchParams};
use runtime::Flag;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::config::Election;

/// State of the leader election in this process.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    until: watch::Receiver<Option<Instant>>,
    seen: watch::Receiver<LeaseState>,
}

/// The Lease as a process sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LeaseState {
    /// Holder, as last observed.
    pub(crate) holder: Option<String>,
    /// Reason for which the Lease can be neither read nor written, with the remedy.
    pub(crate) error: Option<String>,
}

/// Takes part in the election.
pub(crate) struct Elector {
    leases: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    until: watch::Sender<Option<Instant>>,
    state: watch::Sender<LeaseState>,
    /// Raised as soon as the Lease was read or written.
    answered: Flag,
    /// The Lease as it was last seen, and when that was new.
    seen: Option<(Lease, Instant)>,
    complained: bool,
}

// A process that lives as long as there are computers.
const FOREVER: Duration = Duration::from_hours(24 * 365 * 10);
// The last writes have that long to end, and then the lease runs out by itself.
const PATIENCE: Duration = Duration::from_secs(10);

impl Leadership {
    /// Returns the leadership of a single replica.
    pub(crate) fn always() -> Self {
        let (_, until) = watch::channel(Some(Instant::now() + FOREVER));
        let (_, seen) = watch::channel(LeaseState::default());
        Self { until, seen }
    }

    /// Returns the Lease as this process sees it; empty where there is none.
    pub(crate) fn lease(&self) -> LeaseState {
        self.seen.borrow().clone()
    }

    /// Returns whether a write may begin now.
    pub(crate) fn holds(&self) -> bool {
        self.until.borrow().is_some_and(|it| Instant::now() < it)
    }

    /// Waits until it begins, ends or is prolonged. A dropped call loses nothing.
    pub(crate) async fn changed(&mut self) {
        if self.until.changed().await.is_err() {
            pending::<()>().await;
        }
    }

    /// Waits until no write may be on its way any more.
    pub(crate) async fn ended(mut self) {
        while self.holds() {
            let until = *self.until.borrow_and_update();
            let Some(until) = until else {
                return;
            };
            let _ = timeout_at(until, self.changed()).await;
        }
    }
}

impl Elector {
    /// Takes part for one process, which is called `instance` among people.
    pub(crate) fn new(
        client: kube::Client,
        election: &Election,
        instance: &str,
        answered: Flag,
    ) -> (Self, Leadership) {
        let (sender, until) = watch::channel(None);
        let (state, seen) = watch::channel(LeaseState::default());
        let leases = match &election.namespace {
            Some(namespace) => Api::namespaced(client, namespace.as_str()),
            None => Api::default_namespaced(client),
        };
        // A pod that restarts has its name again, and must not take itself for its past.
        let nonce = RandomState::new().hash_one(instance);
        let elector = Self {
            leases,
            name: election.name.clone(),
            identity: format!("{instance}_{nonce:016x}"),
            duration: election.duration,
            until: sender,
            state,
            answered,
            seen: None,
            complained: false,
        };
        (elector, Leadership { until, seen })
    }

    /// Takes part until `shutdown`; then, when nothing is written any more, releases the Lease.
    pub(crate) async fn run(
        mut self,
        shutdown: CancellationToken,
        quiet: CancellationToken,
    ) -> Result<(), Infallible> {
        let elect = async {
            loop {
                self.attempt().await;
                self.pause().await;
            }
        };
        tokio::select! {
            () = elect => {}
            () = shutdown.cancelled() => {}
        }
        if self.is_leading() && timeout(PATIENCE, quiet.cancelled()).await.is_ok() {
            self.until.send_replace(None);
            self.release().await;
        }
        Ok(())
    }

    /// Namespace and name of the Lease.
    fn place(&self) -> String {
        match self.leases.namespace() {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Shorter than the lease, by more than clocks of two machines run apart.
    fn deadline(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// Several attempts fit before the deadline.
    fn period(&self) -> Duration {
        self.duration / 5
    }

    fn is_leading(&self) -> bool {
        self.until.borrow().is_some_and(|it| Instant::now() < it)
    }

    /// Renews the lease, or takes it where it is free.
    async fn attempt(&mut self) {
        let begun = Instant::now();
        match timeout(self.deadline() / 2, self.acquire()).await {
            Ok(Ok(true)) => {
                if !self.is_leading() {
                    info!(lease = self.name, identity = self.identity, "leading");
                }
                self.complained = false;
                self.answered(Some(self.identity.clone()));
                self.until.send_replace(Some(begun + self.deadline()));
            }
            Ok(Ok(false)) => self.stand_by(),
            Ok(Err(error)) => self.complain(&words(&error)),
            Err(_) => self.complain("no answer in time"),
        }
    }

    /// The API server answered, and the Lease is of that process.
    fn answered(&self, holder: Option<String>) {
        self.answered.raise();
        let error = None;
        self.state.send_replace(LeaseState { holder, error });
    }

    /// Becomes a standby replica: another one holds the Lease.
    fn stand_by(&mut self) {
        let holder = self.seen.as_ref().and_then(|(lease, _)| holder(lease));
        self.answered(holder.cloned());
        if self.until.borrow().is_some() || !self.complained {
            info!(lease = self.name, holder, "standing by");
        }
        self.complained = true;
        self.until.send_replace(None);
    }

    /// Logs that the Lease could not be requested. The leader continues until the deadline.
    fn complain(&mut self, why: &str) {
        self.seen = self.seen.take().filter(|(lease, _)| !self.is_mine(lease));
        let error = format!("the Lease {} cannot be had: {why}", self.place());
        let is_new = self.state.borrow().error.as_ref() != Some(&error);
        self.state.send_modify(|it| it.error = Some(error));
        if self.complained && !is_new {
            debug!(lease = self.name, why, "no lease");
        } else {
            warn!(lease = self.name, why, "cannot get the lease; trying again");
        }
        self.complained = true;
    }

    /// Returns whether this process holds the Lease.
    async fn acquire(&mut self) -> Result<bool, kube::Error> {
        let seen = self.seen.as_ref().map(|(lease, _)| lease);
        let lease = match seen.filter(|lease| self.is_mine(lease)) {
            Some(lease) => Some(lease.clone()),
            None => self.leases.get_opt(&self.name).await?,
        };
        let Some(lease) = lease else {
            let lease = self.claimed(None);
            let lease = self.leases.create(&PostParams::default(), &lease).await;
            return self.taken(lease);
        };
        let since = self.see(&lease);
        let is_free = holder(&lease).is_none() || lasts(&lease) <= since.elapsed();
        if !self.is_mine(&lease) && !is_free {
            return Ok(false);
        }
        let claimed = self.claimed(Some(lease));
        let params = PostParams::default();
        let replaced = self.leases.replace(&self.name, &params, &claimed).await;
        self.taken(replaced)
    }

    fn is_mine(&self, lease: &Lease) -> bool {
        holder(lease) == Some(&self.identity)
    }

    /// Since when the lease is as it is.
    fn see(&mut self, lease: &Lease) -> Instant {
        let version = |lease: &Lease| lease.metadata.resource_version.clone();
        if let Some((seen, since)) = &self.seen
            && version(seen) == version(lease)
        {
            return *since;
        }
        let now = Instant::now();
        self.seen = Some((lease.clone(), now));
        now
    }

    /// Returns whether the Lease was acquired. Another replica may have been faster, which is no
    /// failure.
    fn taken(&mut self, answer: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
        match answer {
            Ok(lease) => {
                self.seen = Some((lease, Instant::now()));
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                self.seen = None;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The Lease as this process holds it.
    fn claimed(&self, lease: Option<Lease>) -> Lease {
        let mut lease = lease.unwrap_or_else(|| Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        });
        let is_mine = self.is_mine(&lease);
        let now = MicroTime(Timestamp::now());
        let spec = lease.spec.get_or_insert_default();
        if !is_mine {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |it| it + 1));
        }
        spec.holder_identity = Some(self.identity.clone());
        let seconds = self.duration.as_secs_f64().ceil() as i32;
        spec.lease_duration_seconds = Some(seconds);
        spec.renew_time = Some(now);
        lease
    }

    /// Waits until there may be something to do.
    async fn pause(&self) {
        if self.is_leading() {
            return sleep(self.period()).await;
        }
        let Some((lease, since)) = &self.seen else {
            return sleep(self.period()).await;
        };
        let over = *since + lasts(lease);
        tokio::select! {
            () = self.change(lease) => {}
            // Not at once again where a lease that is over cannot be had.
            () = sleep_until(over.max(Instant::now() + self.period())) => {}
        }
    }

    /// Waits until the Lease changes, also by its release.
    async fn change(&self, lease: &Lease) {
        let params = WatchParams::default().fields(&format!("metadata.name={}", self.name));
        let version = lease.metadata.resource_version.as_deref().unwrap_or("0");
        let heard = async {
            let events = self.leases.watch(&params, version).await?;
            std::pin::pin!(events).try_next().await
        };
        match heard.await {
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => sleep(self.period()).await,
        }
    }

    /// Releases the Lease, so that no standby replica has to wait for its expiry.
    async fn release(&self) {
        match timeout(self.deadline(), self.give_up()).await {
            Ok(Ok(())) => info!(lease = self.name, "let go"),
            Ok(Err(error)) => warn!(lease = self.name, %error, "not let go; it runs out"),
            Err(elapsed) => warn!(lease = self.name, %elapsed, "not let go; it runs out"),
        }
    }

    async fn give_up(&self) -> Result<(), kube::Error> {
        let mut lease = self.leases.get(&self.name).await?;
        if !self.is_mine(&lease) {
            return Ok(());
        }
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            ..lease.spec.unwrap_or_default()
        });
        let params = PostParams::default();
        self.leases.replace(&self.name, &params, &lease).await?;
        Ok(())
    }
}

/// The words of the API server, with the remedy.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!(
            "{}; grant get, watch, create and update on leases of that namespace to the \
             ServiceAccount of the reflector",
            status.message
        ),
        kube::Error::Api(status) if status.code == 404 => {
            format!("{}; create that namespace", status.message)
        }
        kube::Error::Api(status) => status.message.clone(),
        other => runtime::reasons(other),
    }
}

fn holder(lease: &Lease) -> Option<&String> {
    let holder = lease.spec.as_ref()?.holder_identity.as_ref();
    holder.filter(|it| !it.is_empty())
}

/// Returns the time from the last renewal of a Lease to its expiry.
fn lasts(lease: &Lease) -> Duration {
    let seconds = lease.spec.as_ref().and_then(|it| it.lease_duration_seconds);
    Duration::from_secs(u64::try_from(seconds.unwrap_or(0)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
