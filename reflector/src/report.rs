//! What people and dashboards are told: the log, metrics, readiness and `/status`, all
//! from the same facts and in the same words.

mod digest;

use std::collections::{BTreeSet, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use proto_types::Resource;
use reflector_planner::{LocalKey, Policy, Problem, SourceName, World};
use runtime::{Flag, Readiness};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::announce::{Announcer, Notice};
use crate::feed::{Feed, Sign};
use crate::metrics::{FeedLabels, Metrics, ProblemLabels};
use crate::status::{FeedStatus, Mirrors, NOT_FOLLOWED, SourceStatus, Status};

use digest::Digest;

/// What was told so far, so that nothing is told twice.
pub(crate) struct Report {
    metrics: Metrics,
    feeds: HashMap<Feed, Contact>,
    sources: Vec<SourceName>,
    problems: HashMap<LocalKey, BTreeSet<Problem>>,
    digest: Digest,
    announcer: Announcer,
    local: Flag,
    ready: HashMap<SourceName, Flag>,
}

/// How a feed stands with its server.
#[derive(Debug, Default)]
struct Contact {
    last: Option<Instant>,
    lost: Option<String>,
}

impl Report {
    pub(crate) fn new(
        policy: &Policy,
        metrics: Metrics,
        readiness: &Readiness,
        announcer: Announcer,
    ) -> Self {
        let all = policy.sources().iter().chain(policy.members());
        let mut sources: Vec<SourceName> = Vec::new();
        for source in all {
            if !sources.contains(&source.name) {
                sources.push(source.name.clone());
            }
        }
        let flag = |name: &SourceName| {
            let flag = readiness.flag(format!("source {name}"), "neither listed nor failed yet");
            (name.clone(), flag)
        };
        Self {
            metrics,
            feeds: HashMap::new(),
            problems: HashMap::new(),
            digest: Digest::default(),
            announcer,
            local: readiness.flag("local", "the local cluster is not listed yet"),
            ready: sources.iter().map(flag).collect(),
            sources,
        }
    }

    /// A feed heard something, and the world took it over.
    pub(crate) fn heard(&mut self, feed: &Feed, sign: &Sign, world: &World) {
        let contact = self.feeds.entry(feed.clone()).or_default();
        let lost = match sign {
            Sign::Alive => None,
            Sign::Rewound => {
                warn!(%feed, "history went back, as after a restore from a backup; taken over");
                None
            }
            Sign::Lost(failure) => Some(failure.to_string()),
        };
        match (&lost, &contact.lost) {
            (Some(why), before) if before.as_ref() != Some(why) => {
                warn!(%feed, why, "{NOT_FOLLOWED}");
            }
            (None, Some(_)) => info!(%feed, "followed again"),
            (None, None) if contact.last.is_none() => info!(%feed, "followed"),
            (_, _) => {}
        }
        contact.lost = lost;
        if contact.lost.is_none() {
            contact.last = Some(Instant::now());
        }
        self.measure(feed, world);
        self.judge_readiness(feed, world);
    }

    /// A plan has these problems, about a mirror that may exist.
    pub(crate) fn planned(&mut self, key: &LocalKey, uid: Option<&str>, problems: Vec<Problem>) {
        let now: BTreeSet<_> = problems.into_iter().collect();
        let before = self.problems.remove(key).unwrap_or_default();
        for problem in now.difference(&before) {
            self.digest.came(problem);
            self.announcer.announce(Notice {
                key: key.clone(),
                uid: uid.map(Into::into),
                problem: problem.clone(),
            });
            self.metrics.problems.get_or_create(&label(problem)).inc();
        }
        for problem in before.difference(&now) {
            self.digest.went(problem);
            self.metrics.problems.get_or_create(&label(problem)).dec();
        }
        if !now.is_empty() {
            self.problems.insert(key.clone(), now);
        }
    }

    /// Tells the log what came and went meanwhile.
    pub(crate) fn tell(&mut self) {
        self.digest.tell();
    }

    /// How things are.
    pub(crate) fn status(&self, world: &World, n_waiting: usize, leads: bool) -> Status {
        let sources = self.sources.iter();
        let problems: BTreeSet<_> = self.problems.values().flatten().collect();
        Status {
            sources: sources.map(|name| self.source(name, world)).collect(),
            problems: problems.into_iter().map(Into::into).collect(),
            mirrors: Mirrors {
                services: world.local().services().count(),
                slices: world.local().slices().count(),
            },
            waiting: n_waiting,
            leads,
        }
    }

    fn source(&self, name: &SourceName, world: &World) -> SourceStatus {
        let feeds = Feed::all_of(name, world.policy());
        let feeds = feeds.iter().map(|feed| {
            let contact = self.feeds.get(feed);
            let (state, objects) = known(feed, world);
            FeedStatus {
                resource: feed.resource_name().to_owned(),
                state: state.to_owned(),
                objects,
                age_seconds: contact.and_then(|it| Some(it.last?.elapsed().as_secs())),
                last_error: contact.and_then(|it| it.lost.clone()),
            }
        });
        SourceStatus {
            name: name.to_string(),
            feeds: feeds.collect(),
        }
    }

    fn measure(&self, feed: &Feed, world: &World) {
        let Some(source) = feed.source() else {
            return;
        };
        let labels = FeedLabels {
            source: source.clone(),
            resource: feed.resource_name(),
        };
        let (state, objects) = known(feed, world);
        let number = match state {
            "synced" => 2,
            "stale" => 1,
            _ => 0,
        };
        let metrics = &self.metrics;
        metrics.source_state.get_or_create(&labels).set(number);
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
    fn judge_readiness(&self, feed: &Feed, world: &World) {
        let Some(source) = feed.source() else {
            if world.local().is_listed() {
                self.local.raise();
            }
            return;
        };
        let feeds = Feed::all_of(source, world.policy());
        let heard = |feed: &Feed| {
            let contact = self.feeds.get(feed);
            contact.is_some_and(|it| it.lost.is_some()) || known(feed, world).0 != "unsynced"
        };
        if let Some(flag) = self.ready.get(source)
            && feeds.iter().all(heard)
        {
            flag.raise();
        }
    }
}

/// How much is known of what a feed follows, and how many objects that are.
fn known(feed: &Feed, world: &World) -> (&'static str, usize) {
    let rank = feed
        .source()
        .and_then(|name| world.policy().rank(name, feed.role()));
    let Some(rank) = rank else {
        return ("local", 0);
    };
    let source = world.source(rank);
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

fn label(problem: &Problem) -> ProblemLabels {
    ProblemLabels {
        source: problem.source.clone(),
        reason: problem.cause.reason(),
    }
}
