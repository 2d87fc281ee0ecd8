//! Status for people: `/status`, and the table that `reflector status` prints.

mod cluster_set;
mod notices;
mod problems;

use std::fmt::{self, Write};

use reflector_planner::{Problem, SourceName};
use serde::{Deserialize, Serialize};

use crate::identity::ExpectedIdentity;

pub use cluster_set::{ClusterSetStatus, ClusterStatus};
pub use notices::{NO_WRITES, Notice, REFUSED};
pub use problems::by_reason;

/// Effect of a lost source, for log and status.
pub const SOURCE_DISCONNECTED: &str = "not followed; mirrors stay as they are, trying again";

/// Message for a source that has neither responded nor failed yet, for log and status.
pub const NOTHING_HEARD: &str = "no answer yet; if that lasts, look at the server, and at what is \
                                 between: load balancer, firewall, proxy";

/// Effect of a source that has lost its upstream, for log and status.
pub const UPSTREAM_KEPT: &str =
    "its emitter has lost its API server and serves what it knew; mirrors stay as they are";

/// Status of a reflector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Every source, in the order of the configuration.
    pub sources: Vec<SourceStatus>,
    /// Present problems.
    pub problems: Vec<ProblemStatus>,
    /// Deletions that are held.
    #[serde(default)]
    pub held: Vec<HeldStatus>,
    /// Number of managed objects.
    pub mirrors: Mirrors,
    /// Number of local Services that wait for their plan.
    #[serde(rename = "queueDepth", alias = "waiting")]
    pub waiting: usize,
    /// `true` if this process is the leader; otherwise it is a standby replica.
    #[serde(rename = "leader", alias = "leads")]
    pub leads: bool,
    /// Process that writes, by the name that the Lease has for it; absent where there is no Lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer: Option<String>,
    /// Reason for which the Lease can be neither read nor written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_error: Option<String>,
    /// State of the configuration.
    #[serde(default)]
    pub configuration: ConfigurationStatus,
    /// Reason for which the local API server takes no writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_error: Option<String>,
    /// The clusterset, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_set: Option<Box<ClusterSetStatus>>,
}

/// State of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// Error of the present configuration, which is not in use.
    #[serde(
        rename = "error",
        alias = "refused",
        skip_serializing_if = "Option::is_none"
    )]
    pub refused: Option<String>,
    /// Warnings about accepted settings.
    #[serde(rename = "warnings", alias = "notes")]
    pub notes: Vec<String>,
}

/// Status of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The source.
    pub name: String,
    /// Cluster identity: UID of its namespace `kube-system`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Reason for which the identity is unknown. Another cluster in its place would not be noticed.
    #[serde(
        rename = "clusterIdentityError",
        alias = "clusterUnknown",
        skip_serializing_if = "Option::is_none"
    )]
    pub cluster_unknown: Option<String>,
    /// Each of its resources.
    #[serde(rename = "resources", alias = "feeds")]
    pub feeds: Vec<FeedStatus>,
}

/// Status of one resource of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FeedStatus {
    /// The resource.
    pub resource: String,
    /// `unsynced`, `synced` or `stale`.
    pub state: String,
    /// Number of known objects.
    pub objects: usize,
    /// Time of the last contact.
    pub age_seconds: Option<u64>,
    /// Error of the last attempt while it is disconnected.
    pub last_error: Option<String>,
}

/// Present problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProblemStatus {
    /// For machines.
    pub reason: String,
    /// The source's object.
    pub object: String,
    /// The source.
    pub source: String,
    /// For people.
    pub message: String,
}

/// Deletions of one resource of one source that are held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldStatus {
    /// The source.
    pub source: String,
    /// The resource.
    pub resource: String,
    /// Number of Services whose deletion is held, or the deletion of all their endpoints.
    pub deletions: usize,
    /// Reason of the hold.
    pub reason: String,
    /// Time at which the source is listed again. What that list lacks too is deleted.
    pub until: String,
}

/// Number of managed objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mirrors {
    /// Mirror Services.
    pub services: usize,
    /// Mirror slices.
    #[serde(rename = "endpointSlices", alias = "slices")]
    pub slices: usize,
    /// Mirror Endpoints, where they are written beside slices.
    #[serde(default)]
    pub endpoints: usize,
}

impl SourceStatus {
    /// Returns whether one of its resources is disconnected.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.feeds.iter().any(|feed| feed.last_error.is_some())
    }
}

impl Status {
    /// Returns whether all resources of all sources are synced.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let mut resources = self.sources.iter().flat_map(|it| &it.feeds);
        resources.all(|it| it.state == "synced" && it.last_error.is_none())
    }
}

impl Status {
    /// Returns whether all sources are followed, the configuration is right, writes are taken and
    /// there is no problem.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let is_lost = self.sources.iter().any(SourceStatus::is_lost);
        let is_wrong = self.configuration.refused.is_some()
            || self.write_error.is_some()
            || self.lease_error.is_some();
        self.problems.is_empty() && !is_lost && !is_wrong
    }
}

impl From<&Problem> for ProblemStatus {
    fn from(problem: &Problem) -> Self {
        Self {
            reason: problem.cause.reason().to_owned(),
            object: problem.object.to_string(),
            source: problem.source.to_string(),
            message: problem.to_string(),
        }
    }
}

impl Status {
    /// Adds which cluster each source is.
    pub(crate) fn identify<'a>(
        &mut self,
        identities: impl Iterator<Item = (&'a SourceName, &'a ExpectedIdentity)>,
    ) {
        for (name, identity) in identities {
            let source = self.sources.iter_mut().find(|it| it.name == name.as_str());
            let Some(source) = source else {
                continue;
            };
            source.cluster = identity.cluster().map(Into::into);
            source.cluster_unknown = identity.why_unknown();
        }
    }
}

/// Returns a table of the watched resources.
pub(crate) fn source_table(sources: &[SourceStatus]) -> String {
    let columns = [
        "SOURCE",
        "RESOURCE",
        "STATE",
        "OBJECTS",
        "AGE",
        "LAST ERROR",
    ];
    let mut rows = vec![columns.map(str::to_owned).to_vec()];
    for source in sources {
        for feed in &source.feeds {
            rows.push(vec![
                source.name.clone(),
                feed.resource.clone(),
                feed.state.clone(),
                feed.objects.to_string(),
                feed.age_seconds
                    .map_or("-".to_owned(), |age| format!("{age}s")),
                feed.last_error.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
    }
    table(&rows)
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&source_table(&self.sources))?;
        let notices = self.notices();
        if !notices.is_empty() || !self.held.is_empty() {
            writeln!(f)?;
        }
        for notice in notices {
            writeln!(f, "{}", notice.text)?;
        }
        for held in &self.held {
            writeln!(f, "{held}")?;
        }
        let Mirrors {
            services,
            slices,
            endpoints,
        } = self.mirrors;
        write!(
            f,
            "\n{services} mirror Services, {slices} mirror EndpointSlices"
        )?;
        if 0 < endpoints {
            write!(f, ", {endpoints} mirror Endpoints")?;
        }
        writeln!(f)?;
        if let Some(set) = &self.cluster_set {
            writeln!(f, "{}", set.summary())?;
        }
        self.write_problems(f)
    }
}

impl Status {
    fn write_problems(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.leads {
            return Ok(());
        }
        if self.problems.is_empty() {
            return f.write_str("No problems\n");
        }
        writeln!(f)?;
        for line in problems::lines(&self.problems) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

impl fmt::Display for HeldStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            resource,
            deletions,
            reason,
            until,
        } = self;
        write!(
            f,
            "Source {source}: {deletions} deletions of {resource} are held until {until}, when the \
             source is listed again: {reason}"
        )
    }
}

/// Columns as wide as their widest cell; the last one as it comes.
fn table(rows: &[Vec<String>]) -> String {
    let n_columns = rows.first().map_or(0, Vec::len);
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max();
    let widths: Vec<_> = (0..n_columns).map(|i| width(i).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths).take(n_columns - 1) {
            let _ = write!(text, "{cell:width$}   ");
        }
        let _ = writeln!(text, "{}", row.last().map_or("", String::as_str));
    }
    text
}

#[cfg(test)]
pub(crate) mod tests;
