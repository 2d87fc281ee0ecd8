//! `reflector plan`: a preview of the effect of a configuration, by the code that performs it, and
//! without a write.
//!
//! A source that cannot be read is reported, and its known mirrors are held.

mod files;
mod imports;
mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use proto_types::{ObjectKey, Resource};
use reflector_clusterset::ImportExplanation;
use reflector_planner::{
    Index, PlannedAction, ServicePreview, SourceName, Step, Update, WriteFailure, explain, plan,
    previews, steps,
};
use serde::Serialize;

use crate::admin_client;
use crate::compat::CommandLine;
use crate::config::{Args, Config, Output, SourceFile};
use crate::explained::{Explained, explained};
use crate::report::{known, names};
use crate::status::{FeedStatus, SourceStatus, source_table};
use crate::watch_target::WatchTarget;

use imports::Imports;

pub(crate) use files::{Objects, by_files};
pub(crate) use live::{by_clusters, with_discovered};

/// Prints the preview of a configuration, or the explanation of one Service, by files of objects or by
/// clusters.
pub(crate) async fn print(
    (line, args): (&CommandLine, Args),
    (local_objects, source_objects): (Option<PathBuf>, &[SourceFile]),
    (explained, output): (Option<ObjectKey>, Output),
) -> anyhow::Result<ExitCode> {
    let config = Config::try_from(args)?;
    let explained = explained.as_ref();
    let (warnings, mut report) = match local_objects {
        Some(local) => {
            let local = Objects::read(&local)?;
            let config = local.declared(config, line)?;
            let warnings = config.notes.clone();
            let report = by_files(config, &local, source_objects, explained)?;
            (warnings, report)
        }
        None => {
            let client = runtime::connect(&config.local, crate::USER_AGENT).await?;
            let config = with_discovered(config, line, &client).await?;
            let warnings = config.notes.clone();
            let report = by_clusters((config, client), explained).await?;
            (warnings, report)
        }
    };
    report.warnings = warnings;
    if explained.is_some() {
        admin_client::print_all(&report.explained, output)?;
        return Ok(ExitCode::from(report.exit_code_of_explanation()));
    }
    admin_client::print(&report, output)?;
    Ok(ExitCode::from(report.exit_code()))
}

/// Preview of the effect of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlanReport {
    /// Warnings about the configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// Every source, in the order of the configuration.
    sources: Vec<SourceStatus>,
    /// Number of objects by action.
    summary: BTreeMap<String, usize>,
    /// The namespaces that would be created.
    namespaces: BTreeSet<String>,
    /// The local Services with actions or problems.
    services: Vec<ServicePreview>,
    /// Imports of the clusterset, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_set: Option<Imports>,
    /// Explanations of the requested Service.
    #[serde(skip)]
    pub(crate) explained: Vec<Explained>,
}

/// Reason for which a resource was not read, by resource.
type Lost = BTreeMap<WatchTarget, String>;

impl PlanReport {
    fn of(
        index: &Index,
        lost: &Lost,
        namespaces: BTreeSet<String>,
        cluster_set: Option<Imports>,
    ) -> Self {
        let services = previews(index);
        let actions = ["create", "update", "replace", "delete", "hold"];
        let mut summary = BTreeMap::from(actions.map(|it| (it.to_owned(), 0)));
        let planned = services.iter().flat_map(|it| &it.actions);
        let of_imports = cluster_set.iter().flat_map(Imports::actions);
        for action in planned.map(|it| it.action.as_str()).chain(of_imports) {
            *summary.entry(action.to_owned()).or_default() += 1;
        }
        Self {
            warnings: Vec::new(),
            sources: sources(index, lost),
            summary,
            namespaces,
            services,
            cluster_set,
            explained: Vec::new(),
        }
    }

    /// Adds the explanations of a Service, if one is named, by the state that the report is made of.
    fn explaining(
        mut self,
        index: &Index,
        import: Option<ImportExplanation>,
        key: Option<&ObjectKey>,
    ) -> Self {
        let services = key.map(|key| explain(index, key)).unwrap_or_default();
        self.explained = explained(services, import);
        self
    }

    /// Returns the exit code: 1 if a source was not read, so that the preview is incomplete; 2 if
    /// there are writes or problems; 0 otherwise.
    pub(crate) fn exit_code(&self) -> u8 {
        let set = self.cluster_set.as_ref();
        let has_problem = self.services.iter().any(|it| !it.problems.is_empty())
            || set.is_some_and(Imports::has_problem);
        let is_lost = self.lost().next().is_some() || set.is_some_and(Imports::is_lost);
        if is_lost {
            return 1;
        }
        if self.is_change() || has_problem {
            2
        } else {
            0
        }
    }

    /// Returns the exit code of an explanation: 1 if a source was not read, 2 if there is a
    /// problem, 0 otherwise.
    pub(crate) fn exit_code_of_explanation(&self) -> u8 {
        match self.exit_code() {
            1 => 1,
            _ if self.explained.iter().all(Explained::is_well) => 0,
            _ => 2,
        }
    }

    /// Returns whether anything would be written.
    fn is_change(&self) -> bool {
        let mut actions = self.services.iter().flat_map(|it| &it.actions);
        let mut of_imports = self.cluster_set.iter().flat_map(Imports::actions);
        actions.any(PlannedAction::is_write)
            || !self.namespaces.is_empty()
            || of_imports.next().is_some()
    }

    /// Returns the sources that are not read.
    fn lost(&self) -> impl Iterator<Item = &SourceStatus> {
        self.sources.iter().filter(|it| it.is_lost())
    }
}

fn sources(index: &Index, lost: &Lost) -> Vec<SourceStatus> {
    let feeds = |name: &SourceName| {
        let feeds = WatchTarget::all_of(name, index.policy());
        let feeds = feeds.into_iter().map(|feed| {
            let (state, objects) = known(&feed, index);
            FeedStatus {
                resource: feed.resource_name().to_owned(),
                state: state.to_owned(),
                objects,
                age_seconds: None,
                last_error: lost.get(&feed).cloned(),
            }
        });
        feeds.collect()
    };
    let names = names(index.policy()).into_iter();
    let sources = names.map(|name| SourceStatus {
        name: name.to_string(),
        cluster: None,
        cluster_unknown: None,
        feeds: feeds(&name),
    });
    sources.collect()
}

/// Returns the writes that are due, before any of them was tried.
fn intended(index: &Index) -> Vec<Step> {
    let mut keys: Vec<_> = index.keys().into_iter().collect();
    keys.sort();
    let all = keys.iter();
    let all = all.flat_map(|key| steps(&plan(index, key), key, index.local()));
    all.collect()
}

/// Says of Services that are to be created where there is no namespace whether it would
/// be created too; returns those that would.
fn without_namespaces(index: &mut Index, missing: &BTreeSet<String>) -> BTreeSet<String> {
    let steps = intended(index).into_iter();
    let steps = steps.filter(|it| it.resource == Resource::Services && it.makes_service());
    let mut created = BTreeSet::new();
    for step in steps.filter(|it| missing.contains(it.key.namespace())) {
        if step.namespace.is_some() {
            created.insert(step.key.namespace().to_owned());
        } else {
            let write_failure = WriteFailure::NamespaceMissing;
            index.update(Update::Blocked(step.resource, step.key, write_failure));
        }
    }
    created
}

impl fmt::Display for PlanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "Configuration: {warning}")?;
        }
        f.write_str(&source_table(&self.sources))?;
        for SourceStatus { name, .. } in self.lost() {
            writeln!(f, "Source {name} is not read; its mirrors are held")?;
        }
        if !self.namespaces.is_empty() {
            writeln!(f)?;
        }
        for namespace in &self.namespaces {
            writeln!(f, "create Namespace {namespace}")?;
        }
        for service in &self.services {
            write!(f, "\n{service}")?;
        }
        if let Some(set) = &self.cluster_set {
            write!(f, "\n{set}")?;
        }
        let count = |action| self.summary.get(action).copied().unwrap_or_default();
        writeln!(
            f,
            "\n{} to create, {} to update, {} to replace, {} to delete, {} held",
            count("create"),
            count("update"),
            count("replace"),
            count("delete"),
            count("hold"),
        )?;
        let n_problems: usize = self.services.iter().map(|it| it.problems.len()).sum();
        let n_problems = n_problems + self.cluster_set.as_ref().map_or(0, Imports::n_problems);
        if 0 < n_problems {
            writeln!(f, "{n_problems} problems; see above")?;
        }
        let n_lost = self.lost().count();
        match n_lost {
            0 if self.cluster_set.as_ref().is_some_and(Imports::is_lost) => writeln!(
                f,
                "This plan is not complete: see the clusters of the clusterset; nothing was written"
            ),
            0 => writeln!(f, "This is a plan: nothing was written"),
            n => writeln!(
                f,
                "This plan is not complete: {n} of {} sources could not be read; nothing was written",
                self.sources.len()
            ),
        }
    }
}
