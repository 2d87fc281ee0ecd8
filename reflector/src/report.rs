//! Reports to people and dashboards: log, metrics, readiness and `/status`, all from the same
//! facts.

mod conditions;
mod doubles;
mod held;
mod lasting;
mod problem_log;
mod problems;
mod unheard;
mod upstream_monitor;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{SystemTime, UNIX_EPOCH};

use proto_types::Resource;
use reflector_planner::{Index, MirrorKey, Policy, Problem, SourceName};
use runtime::{FailureCause, Flag, Readiness};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::events::EventRecorder;
use crate::metrics::{Metrics, of_failure, of_feed};
use crate::status::{
    ConfigurationStatus, FeedStatus, Mirrors, NOTHING_HEARD, REFUSED, SOURCE_DISCONNECTED,
    SourceStatus, Status,
};
use crate::watch_target::{ConnectionState, WatchTarget};

use conditions::Conditions;
use doubles::Doubles;
use held::Held;
pub(crate) use held::until;
use problem_log::ProblemLog;
use unheard::Since;
use upstream_monitor::UpstreamMonitor;

/// Warnings of one configuration that are logged.
const MAX_LOGGED: usize = 20;

/// Reported state, for reports of changes alone.
pub(crate) struct StatusReporter {
    metrics: Metrics,
    feeds: HashMap<WatchTarget, Contact>,
    sources: Vec<SourceName>,
    configuration: ConfigurationStatus,
    /// Message about mirrors outside of the mirror namespace, which were found at the start.
    pub(crate) found: Option<String>,
    problems: HashMap<MirrorKey, BTreeSet<Problem>>,
    /// Failures of whole watches that do not end by themselves.
    lasting: BTreeMap<WatchTarget, FailureCause>,
    behind: UpstreamMonitor,
    doubles: Doubles,
    since: Since,
    conditions: Conditions,
    held: Held,
    digest: ProblemLog,
    announcer: EventRecorder,
    /// `true` if this process is the leader.
    leads: bool,
    local: Flag,
    ready: HashMap<SourceName, Flag>,
}

/// Contact of a watch with its server.
#[derive(Debug, Default)]
struct Contact {
    last: Option<Instant>,
    lost: Option<String>,
    /// Since when it is lost.
    lost_since: Option<Instant>,
    /// `true` if its endpoints are read from Endpoints.
    reads_endpoints: bool,
}

impl StatusReporter {
    pub(crate) fn new(
        policy: &Policy,
        metrics: Metrics,
        readiness: &Readiness,
        announcer: EventRecorder,
        notes: Vec<String>,
    ) -> Self {
        let sources = names(policy);
        log(&[], &notes);
        let flag = |name: &SourceName| {
            let flag = readiness.flag(format!("source {name}"), "neither listed nor failed yet");
            (name.clone(), flag)
        };
        let mut since = Since::default();
        since.follow(&sources);
        unheard::measure(&sources, &HashMap::new(), policy, &metrics);
        Self {
            since,
            doubles: Doubles::default(),
            metrics,
            feeds: HashMap::new(),
            configuration: ConfigurationStatus {
                refused: None,
                notes,
            },
            found: None,
            problems: HashMap::new(),
            lasting: BTreeMap::new(),
            behind: UpstreamMonitor::default(),
            conditions: Conditions::default(),
            held: Held::default(),
            digest: ProblemLog::default(),
            announcer,
            leads: true,
            local: readiness.flag("local", "the local cluster is not listed yet"),
            ready: sources.iter().map(flag).collect(),
            sources,
        }
    }

    /// Takes over the sources of a changed configuration. The state of changed ones is unknown
    /// again.
    pub(crate) fn reconfigured(
        &mut self,
        policy: &Policy,
        anew: &HashSet<SourceName>,
        notes: Vec<String>,
    ) {
        let sources = names(policy);
        info!(n_sources = sources.len(), "configuration changed");
        log(&self.configuration.notes, &notes);
        let stays = |name: &SourceName| sources.contains(name) && !anew.contains(name);
        self.feeds.retain(|feed, _| feed.source().is_none_or(stays));
        self.lasting
            .retain(|feed, _| feed.source().is_none_or(stays));
        self.behind.retain(stays);
        for name in self.sources.iter().filter(|it| !stays(it)) {
            info!(source = %name, "not followed any more as it was");
            self.ready.remove(name);
            self.metrics.remove(name);
            self.since.restart(name);
        }
        for name in anew {
            info!(source = %name, "followed from now on");
        }
        self.since.follow(&sources);
        unheard::measure(&sources, &self.feeds, policy, &self.metrics);
        self.sources = sources;
        self.configuration = ConfigurationStatus {
            refused: None,
            notes,
        };
        self.metrics.last_reload.set(1);
    }

    /// Another configuration cannot be applied.
    pub(crate) fn refused(&mut self, why: String) {
        warn!(why, "{REFUSED}");
        self.configuration.refused = Some(why);
        self.metrics.last_reload.set(0);
    }

    /// Records the resource from which endpoints are read.
    pub(crate) fn reads(&mut self, feed: &WatchTarget, resource: Resource) {
        let contact = self.feeds.entry(feed.clone()).or_default();
        contact.reads_endpoints = resource == Resource::Endpoints;
    }

    /// A watch sent an event, and the index has applied it.
    pub(crate) fn handle(&mut self, feed: &WatchTarget, sign: &ConnectionState, index: &Index) {
        if let (ConnectionState::Upstream(lost), Some(source)) = (sign, feed.source()) {
            return self.behind.note(&self.metrics, source, lost.as_ref());
        }
        let contact = self.feeds.entry(feed.clone()).or_default();
        lasting::note(&mut self.lasting, &self.metrics, feed, sign);
        let lost = match sign {
            ConnectionState::Unrelated | ConnectionState::Upstream(_) => return,
            ConnectionState::Connected => None,
            ConnectionState::Rewound => {
                warn!(%feed, "history went back, as after a restore from a backup; taken over");
                None
            }
            ConnectionState::Disconnected(failure) => {
                if let Some(source) = feed.source() {
                    let labels = of_failure(source, feed.resource_name(), failure.reason());
                    self.metrics.source_failures.get_or_create(&labels).inc();
                }
                Some(failure.with_remedy())
            }
        };
        match (&lost, &contact.lost) {
            (Some(why), before) if before.as_ref() != Some(why) => {
                warn!(%feed, why, "{SOURCE_DISCONNECTED}");
            }
            (None, Some(_)) => info!(%feed, "followed again"),
            (None, None) if contact.last.is_none() => info!(%feed, "followed"),
            (_, _) => {}
        }
        contact.lost = lost;
        let now = Instant::now();
        match contact.lost {
            Some(_) => contact.lost_since = contact.lost_since.or(Some(now)),
            None => (contact.lost_since, contact.last) = (None, Some(now)),
        }
        self.measure(feed, index);
        self.evaluate_readiness(feed, index);
    }

    /// Tells the log what came and went in the meantime.
    pub(crate) fn log(&mut self, policy: &Policy) {
        self.digest.log();
        let lost = self.feeds.iter().filter_map(|(feed, contact)| {
            let why = contact.lost.as_deref()?;
            Some((feed.source()?, why, contact.lost_since?.elapsed()))
        });
        let unheard = self.since.unheard(&self.feeds, policy);
        let unheard = unheard.map(|(name, since)| (name, NOTHING_HEARD, since));
        let lasting = lasting::of_sources(&self.lasting, &self.behind, &self.doubles);
        for notice in self.conditions.changed(lost.chain(unheard), lasting) {
            if self.leads {
                self.announcer.announce(notice);
            }
        }
    }

    /// Measures deletion holds.
    pub(crate) fn held(&mut self, index: &Index) {
        self.held.measure(&self.metrics, index);
    }

    /// Returns the status.
    pub(crate) fn status(&self, index: &Index, n_waiting: usize, leads: bool) -> Status {
        let sources = self.sources.iter();
        let problems: BTreeSet<_> = self.problems.values().flatten().collect();
        let lasting = lasting::of_sources(&self.lasting, &self.behind, &self.doubles);
        Status {
            sources: sources.map(|name| self.source(name, index)).collect(),
            problems: lasting
                .chain(problems.into_iter().map(Into::into))
                .collect(),
            mirrors: Mirrors {
                services: index.local().services().count(),
                slices: index.local().slices().count(),
                endpoints: index.local().n_endpoints(),
            },
            held: held::status(index),
            waiting: n_waiting,
            leads,
            writer: None,
            lease_error: None,
            configuration: self.configuration(),
            write_error: None,
            cluster_set: None,
        }
    }

    fn configuration(&self) -> ConfigurationStatus {
        let mut configuration = self.configuration.clone();
        configuration.notes.extend(self.found.clone());
        configuration
    }

    fn source(&self, name: &SourceName, index: &Index) -> SourceStatus {
        let feeds = WatchTarget::all_of(name, index.policy());
        let feeds = feeds.iter().map(|feed| {
            let contact = self.feeds.get(feed);
            let (state, objects) = known(feed, index);
            FeedStatus {
                resource: match contact {
                    Some(it) if it.reads_endpoints => feed.endpoints_name(),
                    Some(_) | None => feed.resource_name(),
                }
                .to_owned(),
                state: state.to_owned(),
                objects,
                age_seconds: contact.and_then(|it| Some(it.last?.elapsed().as_secs())),
                last_error: contact.and_then(|it| it.lost.clone()),
            }
        });
        SourceStatus {
            name: name.to_string(),
            cluster: None,
            cluster_unknown: None,
            feeds: feeds.collect(),
        }
    }

    fn measure(&self, feed: &WatchTarget, index: &Index) {
        let Some(source) = feed.source() else {
            return;
        };
        let labels = of_feed(source, feed.resource_name());
        let (state, objects) = known(feed, index);
        let metrics = &self.metrics;
        metrics.set_state(source, feed.resource_name(), state);
        let objects = i64::try_from(objects).unwrap_or(i64::MAX);
        metrics.source_objects.get_or_create(&labels).set(objects);
        if self.feeds.get(feed).is_some_and(|it| it.lost.is_none()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let seconds = now.map_or(0, |it| it.as_secs().cast_signed());
            metrics
                .source_last_contact
                .get_or_create(&labels)
                .set(seconds);
        }
    }

    /// Ready means: what can be known is known. A source that fails is not waited
    /// for; its mirrors are there, and stay.
    fn evaluate_readiness(&self, feed: &WatchTarget, index: &Index) {
        let Some(source) = feed.source() else {
            if index.local().is_listed() {
                self.local.raise();
            }
            return;
        };
        let feeds = WatchTarget::all_of(source, index.policy());
        let heard = |feed: &WatchTarget| {
            let contact = self.feeds.get(feed);
            contact.is_some_and(|it| it.lost.is_some()) || known(feed, index).0 != "unsynced"
        };
        if let Some(flag) = self.ready.get(source)
            && feeds.iter().all(heard)
        {
            flag.raise();
        }
    }
}

/// Logs the warnings of a configuration that the former one did not have.
fn log(before: &[String], notes: &[String]) {
    let new = || notes.iter().filter(|it| !before.contains(it));
    for note in new().take(MAX_LOGGED) {
        warn!(%note, "about the configuration");
    }
    let n_more = new().skip(MAX_LOGGED).count();
    if 0 < n_more {
        warn!(n_more, "about the configuration; see reflector status");
    }
}

/// All sources, each once, as mirrored and as members.
pub(crate) fn names(policy: &Policy) -> Vec<SourceName> {
    let mut names: Vec<SourceName> = Vec::new();
    for source in policy.sources().iter().chain(policy.members()) {
        if !names.contains(&source.name) {
            names.push(source.name.clone());
        }
    }
    names
}

/// Returns the state of a watched resource, and the number of its known objects.
pub(crate) fn known(feed: &WatchTarget, index: &Index) -> (&'static str, usize) {
    let rank = feed
        .source()
        .and_then(|name| index.policy().rank(name, feed.role()));
    let Some(rank) = rank else {
        return ("local", 0);
    };
    let source = index.source(rank);
    match feed.resource() {
        Resource::Services => {
            let known = source.services.known();
            (source.services.as_str(), known.map_or(0, |it| it.len()))
        }
        Resource::EndpointSlices | Resource::Endpoints => {
            let known = source.slices.known();
            (source.slices.as_str(), known.map_or(0, |it| it.len()))
        }
    }
}
