//! Owns the state of the clusterset: applies news, plans, and has the plans written.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use futures::FutureExt;
use proto_types::ObjectKey;
use reflector_clusterset::api::Version;
use reflector_clusterset::{
    ClusterId, ClusterSet, ImportProblem, RelistRequest, Settings, Update, actions, plan, problems,
};
use reflector_planner::{MirrorKey, MonotonicTime};
use runtime::Network;
use tokio::sync::{mpsc, watch as channel};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::follow::{watch_cluster, watch_own};
use super::property::ExpectedProperties;
use super::question::Question;
use super::report::ImportReporter;
use super::watch::{ControllerChannel, Message, Relists, Watched};
use super::write::{Done, perform};
use crate::config::SourceConfig;
use crate::events::EventRecorder;
use crate::leader_election::Leadership;
use crate::local_ranges::{self, Ranges};
use crate::pins::Pins;
use crate::queue::{Queue, Requeue};
use crate::write::Writer;

/// Owns the state of the clusterset.
pub(super) struct Controller {
    network: Network,
    pins: Pins,
    pub(super) set: ClusterSet,
    pub(super) version: Option<Version>,
    pub(super) queue: Queue,
    writer: Writer,
    leadership: Leadership,
    configurations: channel::Receiver<Configuration>,
    sender: mpsc::Sender<Message>,
    messages: mpsc::Receiver<Message>,
    watches: JoinSet<()>,
    sources: BTreeMap<ClusterId, (SourceConfig, AbortHandle)>,
    relists: BTreeMap<ClusterId, Relists>,
    report: ImportReporter,
    /// True if the local cluster has the names of the configuration. Otherwise nothing is written.
    is_named: bool,
    writes: JoinSet<Done>,
    started: Instant,
    questions: mpsc::Receiver<Question>,
    /// CIDRs of the local cluster, unless they are not wanted.
    local_ranges: Option<Ranges>,
    /// Reason for which a resource of a cluster is not watched now.
    pub(super) failures: BTreeMap<(ClusterId, Watched), String>,
    /// Problems of the imports, as they were planned last.
    pub(super) problems: BTreeMap<ObjectKey, Vec<ImportProblem>>,
}

/// Configuration of the clusterset and of its sources.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// The clusterset.
    pub(crate) settings: Settings,
    /// The sources that are clusters of the set.
    pub(crate) sources: Vec<SourceConfig>,
}

/// Messages that wait for the controller. A task with more waits.
const BACKLOG: usize = 64;

/// Writes in flight, one import each.
const MAX_WRITES: usize = 16;

/// Messages and plans of one turn.
const MAX_AT_ONCE: usize = 256;

const TICK: Duration = Duration::from_secs(1);

/// Time that writes in flight have to end at shutdown.
const GRACE: Duration = Duration::from_secs(5);

enum Event {
    Message(Message),
    Done(Done),
    Tick,
    Configuration,
    Question(Question),
    LocalRanges,
    Other,
}

impl Controller {
    /// Creates a controller and begins to watch.
    pub(super) fn new(
        (network, pins): (Network, Pins),
        (mut configurations, questions): (
            channel::Receiver<Configuration>,
            mpsc::Receiver<Question>,
        ),
        (writer, announcer): (Writer, EventRecorder),
        local_ranges: Option<Ranges>,
    ) -> Self {
        let Configuration { settings, sources } = configurations.borrow_and_update().clone();
        let (sender, messages) = mpsc::channel(BACKLOG);
        let mut this = Self {
            network,
            pins,
            set: ClusterSet::new(settings),
            version: None,
            queue: Queue::default(),
            leadership: writer.leadership.clone(),
            report: ImportReporter::new(writer.metrics.clone(), announcer),
            writer,
            configurations,
            sender,
            messages,
            watches: JoinSet::new(),
            sources: BTreeMap::new(),
            relists: BTreeMap::new(),
            is_named: false,
            writes: JoinSet::new(),
            started: Instant::now(),
            questions,
            local_ranges,
            failures: BTreeMap::new(),
            problems: BTreeMap::new(),
        };
        this.watch_local();
        for source in sources {
            this.watch_source(source);
        }
        this
    }

    fn watch_local(&mut self) {
        let names = ExpectedProperties {
            cluster: self.set.settings().local.clone(),
            set: self.set.settings().name.clone(),
        };
        let line = ControllerChannel::new(&self.sender);
        let watch = watch_own(names, self.writer.client.clone(), line);
        self.watches.spawn(watch);
    }

    fn watch_source(&mut self, source: SourceConfig) {
        let Ok(cluster) = source.name.as_str().parse::<ClusterId>() else {
            return;
        };
        let names = ExpectedProperties {
            cluster: cluster.clone(),
            set: self.set.settings().name.clone(),
        };
        let target = (self.network.clone(), names, self.pins.clone());
        let line = ControllerChannel::new(&self.sender);
        self.relists.insert(cluster.clone(), line.relists.clone());
        let task = watch_cluster(source.clone(), target, line);
        let handle = self.watches.spawn(task);
        if let Some((_, before)) = self.sources.insert(cluster, (source, handle)) {
            before.abort();
        }
    }

    /// Runs until `shutdown`.
    pub(super) async fn run(mut self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => break,
                _ = tick.tick() => Event::Tick,
                event = self.next() => event,
            };
            self.take(event);
            for _ in 1..MAX_AT_ONCE {
                match self.messages.recv().now_or_never() {
                    Some(Some(message)) => self.take(Event::Message(message)),
                    Some(None) | None => break,
                }
            }
            self.dispatch();
        }
        let rest = async { while self.writes.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, rest).await;
        Ok(())
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            Some(message) = self.messages.recv() => Event::Message(message),
            Some(done) = self.writes.join_next() => match done {
                Ok(done) => Event::Done(done),
                Err(error) => {
                    error!(%error, "a write of the clusterset failed");
                    Event::Other
                }
            },
            Some(ended) = self.watches.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    error!(%error, "a watch of the clusterset failed");
                }
                Event::Other
            }
            Ok(()) = self.configurations.changed() => Event::Configuration,
            Some(question) = self.questions.recv() => Event::Question(question),
            () = local_ranges::changed(&mut self.local_ranges) => Event::LocalRanges,
            () = self.leadership.changed() => Event::Other,
            () = self.queue.retry() => Event::Other,
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Message(Message::Update(update)) => self.update(*update),
            Event::Message(Message::Version(version)) => self.version = Some(version),
            Event::Message(Message::Named(is_named)) => self.is_named = is_named,
            Event::Message(Message::Heard(cluster, watched)) => {
                self.failures.remove(&(cluster, watched));
            }
            Event::Message(Message::Failed(cluster, watched, why)) => {
                self.failures.insert((cluster, watched), why);
            }
            Event::Question(question) => self.answer(question),
            Event::Done(done) => self.finish(done),
            Event::Tick => self.tick(),
            Event::Configuration => self.reconfigure(),
            Event::LocalRanges => {
                if let Some(ranges) = local_ranges::learned(&mut self.local_ranges) {
                    self.update(Update::LocalRanges(ranges));
                }
            }
            Event::Other => {}
        }
    }

    fn tick(&mut self) {
        self.update(Update::Tick(MonotonicTime(self.started.elapsed())));
        for RelistRequest { cluster, part } in self.set.relist_requests() {
            if let Some(relists) = self.relists.get(&cluster) {
                relists.request(part);
            }
        }
        let problems = self.leadership.holds().then_some(&self.problems);
        self.report
            .measure(&self.set, problems.into_iter().flatten());
    }

    fn update(&mut self, update: Update) {
        let affected = self.set.update(update);
        self.enqueue(affected);
    }

    fn enqueue(&mut self, keys: impl IntoIterator<Item = ObjectKey>) {
        // In order, so that a run can be understood.
        for key in keys.into_iter().collect::<BTreeSet<_>>() {
            self.queue.add(&None, MirrorKey::new(key));
        }
    }

    fn reconfigure(&mut self) {
        let Configuration { settings, sources } = self.configurations.borrow_and_update().clone();
        let mut anew = BTreeSet::new();
        let wanted: BTreeMap<_, _> = sources
            .into_iter()
            .filter_map(|it| Some((it.name.as_str().parse::<ClusterId>().ok()?, it)))
            .collect();
        let known = std::mem::take(&mut self.sources);
        let has_same_name = settings.name == self.set.settings().name;
        for (cluster, (source, handle)) in known {
            if has_same_name && wanted.get(&cluster) == Some(&source) {
                self.sources.insert(cluster, (source, handle));
            } else {
                handle.abort();
                anew.insert(cluster);
            }
        }
        info!(clusterset = %settings.name, n_clusters = settings.clusters.len(), "changed the clusters of the clusterset");
        self.relists
            .retain(|cluster, _| wanted.contains_key(cluster));
        self.failures
            .retain(|(cluster, _), _| settings.clusters.contains_key(cluster));
        let affected = self.set.reconfigure(settings, &anew);
        self.enqueue(affected);
        for (cluster, source) in wanted {
            if !self.sources.contains_key(&cluster) {
                self.watch_source(source);
            }
        }
    }

    fn finish(&mut self, done: Done) {
        let Done {
            key,
            again,
            rejected,
            fields,
            schemas,
        } = done;
        for (field, value, message) in fields {
            self.update(Update::FieldRejected(field, value, message));
        }
        for schema in schemas {
            self.update(Update::Schema(schema));
        }
        if let Some(why) = &rejected {
            warn!(%key, why, "could not write an import");
        }
        let is_settled = rejected.is_some() || again.is_none();
        if is_settled {
            let rejected = rejected.map(Into::into);
            let mut affected = self.set.update(Update::Rejected(key.clone(), rejected));
            // The conditions change by it.
            let is_new = affected.remove(&key);
            self.enqueue(affected);
            if is_new && again.is_some() {
                self.queue.failed(MirrorKey::new(key), Requeue::Now);
                return;
            }
        }
        match again {
            None => self.queue.settled(&MirrorKey::new(key)),
            Some(again) => self.queue.failed(MirrorKey::new(key), again),
        }
    }

    /// Plans the imports whose turn it is, and has their actions performed.
    fn dispatch(&mut self) {
        let Some(version) = self.version else {
            return;
        };
        if !self.is_named || !self.set.local().is_listed() {
            return;
        }
        if !local_ranges::are_known(self.local_ranges.as_ref(), self.started) {
            return;
        }
        for _ in 0..MAX_AT_ONCE {
            if MAX_WRITES <= self.writes.len() || !self.leadership.holds() {
                return;
            }
            let Some(local) = self.queue.pop() else {
                return;
            };
            let key = local.object();
            let plan = plan(&self.set, key);
            if let Some(plan) = &plan {
                let problems = problems(&self.set, key, plan);
                let before = self.problems.remove(key).unwrap_or_default();
                self.report
                    .note((&self.set, version), key, (&before, &problems));
                if !problems.is_empty() {
                    self.problems.insert(key.clone(), problems);
                }
            }
            let actions = plan.map(|it| actions(&self.set, key, &it, version, &now()));
            match actions {
                Some(actions) if !actions.is_empty() => {
                    let write = perform(self.writer.clone(), key.clone(), actions);
                    self.writes.spawn(write);
                }
                Some(_) | None => self.queue.settled(&local),
            }
        }
    }
}

/// Time for conditions, in whole seconds.
pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now().round(jiff::Unit::Second);
    now.map(|it| it.to_string()).unwrap_or_default()
}
