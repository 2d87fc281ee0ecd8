//! What was typed, as [`Args`], and what it means, as [`Config`].

mod args;
mod file;
mod global;
mod import;
mod naming;
mod schema;
mod shown;
mod source;
mod staleness;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use proto_types::name::DnsLabel;
use proto_types::{LabelSelector, label};
use reflector_planner::policy::{self, Policy};
use reflector_planner::{Placement, RemovedSources, SourceName, SourcePolicy};
use runtime::{Access, Authority};

pub use args::Args;
pub(crate) use args::{Command, Kind};
pub use file::{File, FileError};
pub(crate) use global::our_selector;
pub use global::{FailbackEntry, GlobalConfig, GlobalEntry};
pub use import::ImportEntry;
pub use naming::NamingEntry;
pub use schema::schema;
pub use shown::Shown;
pub use source::{InvalidSource, SourceEntry};
pub use staleness::{StalenessEntry, StalenessOfEntry};

/// What was asked for, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The local cluster.
    pub local: Access,
    /// The sources, in the policy's order.
    pub sources: Vec<SourceConfig>,
    /// Which Services become one, if any do.
    pub global: Option<GlobalConfig>,
    /// What to do with what they say.
    pub policy: Policy,
    /// Where the admin port listens.
    pub listen: SocketAddr,
    /// How it is decided who writes, where there are several.
    pub election: Option<Election>,
    /// What should be known of what was accepted.
    pub notes: Vec<String>,
    /// The files and directories that say all this.
    pub inputs: Vec<PathBuf>,
}

/// How several processes agree on who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Election {
    /// The Lease.
    pub name: String,
    /// Where it is; where this process is, if absent.
    pub namespace: Option<DnsLabel>,
    /// How long after its last sign of life a writer is replaced.
    pub duration: Duration,
}

/// How a source is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// What it is called.
    pub name: SourceName,
    /// How it is reached.
    pub access: Access,
    /// Where the authority of its certificate is fetched from.
    pub ca_url: Option<Uri>,
    /// Whether its Services are mirrored one by one.
    pub mirrors: bool,
    /// Whether its Services may be members of global ones.
    pub joins: bool,
    /// Which cluster it must be, by the uid of its `kube-system` namespace.
    pub cluster: Option<Box<str>>,
    /// What of it is mirrored.
    pub selector: LabelSelector,
    /// The only namespace that is mirrored; all of them if absent.
    pub namespace: Option<DnsLabel>,
}

/// Why there is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not one.
    #[error(transparent)]
    File(#[from] FileError),
    /// A source is not one.
    #[error(transparent)]
    Source(#[from] InvalidSource),
    /// The sources do not go together.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// Nothing to reflect.
    #[error("no sources: name them with --source, or in a file with --config")]
    NoSources,
    /// The local cluster's ranges are not ranges.
    #[error("{0}")]
    LocalRanges(String),
    /// A selector of members that is none.
    #[error("global: selector {selector:?}: {why}")]
    GlobalSelector {
        /// The text.
        selector: String,
        /// What is wrong with it.
        why: String,
    },
    /// Modes without the names that they are about.
    #[error(
        "global: migration moves Services under their own names, and so goes with sameName: true: \
         add that, or remove migration"
    )]
    MigrationElsewhere,
    /// A time that is none.
    #[error("global.failback: {0}")]
    Failback(String),
    /// A zone that is none of ours.
    #[error(
        "source {name}: its zone {theirs:?} is called {ours:?} here, which is none of this \
         cluster's zones; name it in global.zones, or correct zones of the source"
    )]
    UnknownZone {
        /// The source.
        name: SourceName,
        /// Its zone.
        theirs: String,
        /// What it is called here.
        ours: String,
    },
    /// Global Services without a place.
    #[error(
        "global: there is no namespace for global Services: name one with --mirror-namespace or \
         mirrorNamespace, or set sameName: true"
    )]
    NoGlobalNamespace,
    /// A prefix without a place for what has it.
    #[error(
        "source {0} has a prefix, and there is no namespace for prefixed mirrors: name one with \
         --mirror-namespace or mirrorNamespace, or give the source sameName: true"
    )]
    NoMirrorNamespace(SourceName),
}

impl TryFrom<Args> for Config {
    type Error = Error;

    fn try_from(args: Args) -> Result<Self, Error> {
        let Args {
            command: _,
            config,
            sources: named,
            mirror_namespace,
            kubeconfig,
            context,
            listen,
            leader_elect,
            lease_name,
            lease_namespace,
            lease_duration,
            log_level: _,
            log_format: _,
            global,
            notes,
            mut inputs,
            may_be_empty,
        } = args;
        inputs.extend(config.clone());
        let file = config.map(|path| File::read(&path)).transpose()?;
        let file = file.unwrap_or_default();
        let mirror_namespace = mirror_namespace.or(file.mirror_namespace);
        let entries: Vec<_> = file.sources.into_iter().chain(named).collect();
        if entries.is_empty() && !may_be_empty {
            return Err(Error::NoSources);
        }
        let global = global.or(file.global);
        let global = global.map(|it| it.check(&entries, mirror_namespace.as_ref()));
        let (global, members) = global.transpose()?.unzip();
        let mut policy = global::policy(&entries, members, mirror_namespace.as_ref())?;
        policy.removed_sources = match file.removed_sources {
            file::RemovedSources::Keep => RemovedSources::Keep,
            file::RemovedSources::Delete => RemovedSources::Delete,
        };
        policy.local_ranges =
            import::ranges("localRanges", &file.local_ranges).map_err(Error::LocalRanges)?;
        policy.hold = file.hold_seconds.unwrap_or(Policy::HOLD);
        Ok(Self {
            local: match kubeconfig {
                Some(path) => Access::Kubeconfig { path, context },
                None => Access::InCluster,
            },
            sources: entries
                .into_iter()
                .map(SourceEntry::check)
                .collect::<Result<_, _>>()?,
            global,
            policy,
            listen,
            election: leader_elect.then(|| Election {
                name: lease_name.to_string(),
                namespace: lease_namespace,
                duration: lease_duration,
            }),
            notes,
            inputs,
        })
    }
}

impl SourceConfig {
    /// How it is reached with that authority.
    pub(crate) fn access_by(&self, authority: PathBuf) -> Access {
        let mut access = self.access.clone();
        if let Access::Url { authority: it, .. } = &mut access {
            *it = Some(Authority::File(authority));
        }
        access
    }

    /// The selector that the source's server evaluates: never what is a mirror
    /// there, also where that server is not an emitter.
    #[must_use]
    pub fn full_selector(&self) -> LabelSelector {
        let never: LabelSelector = label::never_mirrored()
            .parse()
            .expect("a constant selector parses");
        self.selector.clone().and(never)
    }
}

fn source_policy(
    entry: &SourceEntry,
    mirror_namespace: Option<&DnsLabel>,
) -> Result<SourcePolicy, Error> {
    Ok(SourcePolicy {
        import: entry.imported()?,
        naming: entry.called()?,
        staleness: entry.staleness.0,
        staleness_of: entry.exceptions()?,
        known_as: entry.known_as().map(Into::into),
        missing_namespaces: entry.missing_namespaces(),
        ..SourcePolicy::new(entry.name.clone(), placement(entry, mirror_namespace)?)
    })
}

fn placement(entry: &SourceEntry, mirror_namespace: Option<&DnsLabel>) -> Result<Placement, Error> {
    match (&entry.prefix, entry.same_name) {
        (Some(prefix), false) => match mirror_namespace {
            Some(namespace) => Ok(Placement::Prefixed {
                prefix: prefix.clone(),
                namespace: namespace.clone(),
            }),
            None => Err(Error::NoMirrorNamespace(entry.name.clone())),
        },
        (None, true) => Ok(Placement::SameName),
        (Some(_), true) => Err(InvalidSource::TwoPlacements(entry.name.clone()).into()),
        (None, false) => Err(InvalidSource::NoPlacement(entry.name.clone()).into()),
    }
}

#[cfg(test)]
mod tests;
