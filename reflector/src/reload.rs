//! Another configuration while all goes on.
//!
//! What says it is read again when it changes, and taken over if it is whole and right;
//! if not, what runs goes on, and it is said why. Only what changed is touched.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use proto_types::name::DnsLabel;
use reflector_planner::{Policy, SourceName};
use runtime::files::content;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::compat::Line;
use crate::config::{Config, GlobalConfig, SourceConfig};
use crate::following::Opened;

/// What became of another configuration.
pub(crate) enum Reload {
    /// It is to be taken over.
    Changed(Box<Change>),
    /// It is not, for that reason.
    Refused(String),
}

/// What is to be done for another configuration.
pub(crate) struct Change {
    pub(crate) policy: Policy,
    /// Those that are not followed any more.
    pub(crate) stopped: Vec<SourceName>,
    /// Those that are new, or followed in another way from now on.
    pub(crate) opened: Vec<Opened>,
    /// Whether mirrors may be in any namespace from now on.
    pub(crate) is_everywhere: bool,
    /// What should be known of what was accepted.
    pub(crate) notes: Vec<String>,
}

/// Looks whether the configuration has changed.
pub(crate) struct Reloader {
    line: Line,
    inputs: Vec<PathBuf>,
    seen: u64,
    sources: Vec<SourceConfig>,
    local_namespace: Option<DnsLabel>,
    global: Option<GlobalConfig>,
    refused: Option<String>,
    reloads: mpsc::Sender<Reload>,
}

// A mounted ConfigMap takes a minute to change; a person who edits a file waits.
const LOOK: Duration = Duration::from_secs(1);

impl Reloader {
    /// For what was read from that line, and runs now.
    pub(crate) fn new(line: Line, config: &Config) -> (Self, mpsc::Receiver<Reload>) {
        let (reloads, receiver) = mpsc::channel(1);
        let reloader = Self {
            line,
            inputs: config.inputs.clone(),
            seen: content(&config.inputs),
            sources: config.sources.clone(),
            local_namespace: config.local_namespace().cloned(),
            global: config.global.clone(),
            refused: None,
            reloads,
        };
        (reloader, receiver)
    }

    /// Looks until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let look = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let seen = content(&self.inputs);
                // What was refused may lack what has come by now.
                if seen == self.seen && self.refused.is_none() {
                    continue;
                }
                self.seen = seen;
                let Some(reload) = self.reload().await else {
                    continue;
                };
                if self.reloads.send(reload).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = look => shutdown.cancelled().await,
            () = shutdown.cancelled() => {}
        }
        Ok(())
    }

    /// What there is to tell of what is there now.
    async fn reload(&mut self) -> Option<Reload> {
        match self.change().await {
            Ok(change) => {
                self.refused = None;
                Some(Reload::Changed(Box::new(change)))
            }
            Err(error) => {
                let why = format!("{error:#}");
                let is_known = self.refused.replace(why.clone()).as_ref() == Some(&why);
                (!is_known).then_some(Reload::Refused(why))
            }
        }
    }

    async fn change(&mut self) -> anyhow::Result<Change> {
        let config = Config::try_from(self.line.read()?)?;
        let local_namespace = config.local_namespace().cloned();
        if let (Some(before), Some(now)) = (&self.local_namespace, &local_namespace)
            && before != now
        {
            // What is in the former one would not be seen any more.
            bail!(
                "mirrors are in namespace {before}: to have them in {now}, restart the reflector"
            );
        }
        if self.global != config.global {
            bail!("global services have another cluster or selector: restart the reflector");
        }
        let fresh = config.sources.iter();
        let fresh = fresh.filter(|it| !self.sources.contains(it)).cloned();
        let opened = open(fresh.collect()).await?;
        let names: HashSet<_> = config.sources.iter().map(|it| &it.name).collect();
        let before = self.sources.iter().map(|it| &it.name);
        let stopped = before.filter(|it| !names.contains(it)).cloned().collect();
        self.sources = config.sources;
        // Whoever looks at all namespaces goes on doing so.
        self.local_namespace = self.local_namespace.take().and(local_namespace.clone());
        self.inputs = config.inputs;
        self.seen = content(&self.inputs);
        Ok(Change {
            policy: config.policy,
            stopped,
            opened,
            is_everywhere: local_namespace.is_none(),
            notes: config.notes,
        })
    }
}

/// The ways to these sources, side by side: a credential plugin may take its time.
pub(crate) async fn open(sources: Vec<SourceConfig>) -> anyhow::Result<Vec<Opened>> {
    let opened = sources.into_iter().map(async |source| {
        let name = source.name.clone();
        let opened = Opened::new(source).await;
        opened.with_context(|| format!("source {name}"))
    });
    futures::future::try_join_all(opened).await
}
