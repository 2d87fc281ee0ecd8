//! Every metric of this program. Objects are never labels.

use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use proto_types::Resource;
use reflector_planner::SourceName;

use crate::feed::Feed;

/// The reason of a problem that a source has as a whole.
pub(crate) const OTHER_CLUSTER: &str = "OtherCluster";

/// The metrics, shared by those who count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Writes to the local API server.
    pub(crate) writes: Family<WriteLabels, Counter>,
    /// How much is known of a source.
    pub(crate) source_state: Family<FeedLabels, Gauge>,
    /// How many objects of a source are known.
    pub(crate) source_objects: Family<FeedLabels, Gauge>,
    /// When a source was last heard.
    pub(crate) source_last_contact: Family<FeedLabels, Gauge>,
    /// What is wrong now.
    pub(crate) problems: Family<ProblemLabels, Gauge>,
    /// Events about problems.
    pub(crate) events: Family<EventLabels, Counter>,
    /// Whether the configuration that is there is not the one that is followed.
    pub(crate) configuration_refused: Gauge,
    /// Whether this process writes.
    pub(crate) leader: Gauge,
    /// Plans made.
    pub(crate) plans: Counter,
    /// Keys that wait for their plan.
    pub(crate) queue_depth: Gauge,
    /// Keys that are tried again later.
    pub(crate) retrying: Gauge,
}

/// One resource of one source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct FeedLabels {
    /// The source.
    pub(crate) source: SourceName,
    /// The resource, and what it is for.
    pub(crate) resource: &'static str,
}

/// What was written, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct WriteLabels {
    /// `create`, `update`, `replace` or `delete`.
    pub(crate) verb: &'static str,
    /// The resource.
    pub(crate) resource: Resource,
    /// `ok`, or why not.
    pub(crate) result: &'static str,
}

/// What came of an Event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EventLabels {
    /// `created`, or why not.
    pub(crate) result: &'static str,
}

/// A kind of problem of one source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ProblemLabels {
    /// The source.
    pub(crate) source: SourceName,
    /// Of which kind.
    pub(crate) reason: &'static str,
}

impl Metrics {
    /// The metrics, and where they are read.
    pub(crate) fn registered() -> (Self, Registry) {
        let it = Self::default();
        let mut all = Registry::with_prefix("reflector");
        all.register(
            "writes",
            "Writes to the local API server, by how they ended",
            it.writes.clone(),
        );
        all.register(
            "source_state",
            "How much is known of a source: 0 nothing, 1 what was before it was lost, 2 all",
            it.source_state.clone(),
        );
        all.register(
            "source_objects",
            "How many objects of a source are known",
            it.source_objects.clone(),
        );
        all.register_with_unit(
            "source_last_contact_timestamp",
            "When a source was last heard, since 1970",
            Unit::Seconds,
            it.source_last_contact.clone(),
        );
        all.register(
            "problems",
            "What cannot be done as asked, see the log or /status",
            it.problems.clone(),
        );
        all.register(
            "events",
            "Kubernetes Events about problems, by what came of them",
            it.events.clone(),
        );
        all.register(
            "configuration_refused",
            "Whether the configuration changed and is wrong, so that the former one goes on",
            it.configuration_refused.clone(),
        );
        all.register(
            "leader",
            "Whether this process writes: 1, or 0 while another one does",
            it.leader.clone(),
        );
        all.register("plans", "Plans made", it.plans.clone());
        all.register(
            "queue_depth",
            "Local Services that wait for their plan",
            it.queue_depth.clone(),
        );
        all.register(
            "retrying",
            "Local Services whose writes failed and are tried again later",
            it.retrying.clone(),
        );
        (it, all)
    }

    /// A source is not followed any more, or anew.
    pub(crate) fn forget(&self, source: &SourceName) {
        for feed in Feed::every(source) {
            let source = source.clone();
            let resource = feed.resource_name();
            let labels = FeedLabels { source, resource };
            self.source_state.remove(&labels);
            self.source_objects.remove(&labels);
            self.source_last_contact.remove(&labels);
        }
        self.problems.remove(&ProblemLabels {
            source: source.clone(),
            reason: OTHER_CLUSTER,
        });
    }
}

impl EncodeLabelSet for FeedLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        let source = self.source.as_str();
        [("source", source), ("resource", self.resource)].encode(encoder)
    }
}

impl EncodeLabelSet for WriteLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        let resource = self.resource.plural();
        [
            ("verb", self.verb),
            ("resource", resource),
            ("result", self.result),
        ]
        .encode(encoder)
    }
}

impl EncodeLabelSet for EventLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        [("result", self.result)].encode(encoder)
    }
}

impl EncodeLabelSet for ProblemLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> std::fmt::Result {
        [("source", self.source.as_str()), ("reason", self.reason)].encode(encoder)
    }
}
