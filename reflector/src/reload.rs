//! Change of the configuration at run time.
//!
//! Files and objects are read again when they change, and applied if they are valid; otherwise the
//! former configuration stays in effect, and the error is reported. Only what changed is touched.

use std::collections::HashSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use proto_types::name::DnsLabel;
use reflector_planner::{Policy, SourceName};
use runtime::Network;
use runtime::files::content;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clusterset;
use crate::compat::CommandLine;
use crate::config::{ClusterSetConfig, Config, GlobalConfig, ObjectPlace, SourceConfig};
use crate::config_map::ConfigMapText;
use crate::informers::Opened;
use crate::source_objects::SourceObjects;

/// Result of a reload.
pub(crate) enum Reload {
    /// It is to be applied.
    Changed(Box<Change>),
    /// It is not, for that reason.
    Refused(String),
}

/// Effect of a changed configuration.
pub(crate) struct Change {
    pub(crate) policy: Policy,
    /// Those that are not followed any more.
    pub(crate) stopped: Vec<SourceName>,
    /// Those that are new, or followed in another way from now on.
    pub(crate) opened: Vec<Opened>,
    /// `true` if mirrors can be in any namespace from now on.
    pub(crate) is_everywhere: bool,
    /// Warnings about accepted settings.
    pub(crate) notes: Vec<String>,
}

/// Looks whether the configuration has changed.
pub(crate) struct Reloader {
    network: Network,
    line: CommandLine,
    inputs: Vec<PathBuf>,
    seen: u64,
    policy: Policy,
    notes: Vec<String>,
    sources: Vec<SourceConfig>,
    local_namespace: Option<DnsLabel>,
    /// Places of sources that are objects.
    object_places: Vec<ObjectPlace>,
    global: Option<GlobalConfig>,
    /// Sender of the configuration of the clusterset.
    cluster_set: Option<watch::Sender<clusterset::Configuration>>,
    cluster_set_config: Option<ClusterSetConfig>,
    refused: Option<String>,
    further: Further,
    reloads: mpsc::Sender<Reload>,
}

// Interval of checks. A mounted ConfigMap takes a minute to change; a person who edits a file
// waits.
const LOOK: Duration = Duration::from_secs(1);

impl Reloader {
    /// For what was read from that line, and runs now.
    pub(crate) fn new(
        network: Network,
        line: CommandLine,
        config: &Config,
        (further, cluster_set): (Further, Option<watch::Sender<clusterset::Configuration>>),
    ) -> (Self, mpsc::Receiver<Reload>) {
        let (reloads, receiver) = mpsc::channel(1);
        let reloader = Self {
            network,
            line,
            inputs: config.inputs.clone(),
            seen: content(&config.inputs),
            policy: config.policy.clone(),
            notes: config.warnings(),
            sources: config.sources.clone(),
            local_namespace: config.local_namespace().cloned(),
            object_places: config.object_places.clone(),
            global: config.global.clone(),
            cluster_set,
            cluster_set_config: config.cluster_set.clone(),
            refused: None,
            further,
            reloads,
        };
        (reloader, receiver)
    }

    /// Looks until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) -> Result<(), Infallible> {
        let look = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let Some(reload) = self.read_if_changed().await else {
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

    /// Reads the configuration if it changed; returns the result.
    async fn read_if_changed(&mut self) -> Option<Reload> {
        let seen = content(&self.inputs);
        let has_changed = match &mut self.further.config_map {
            Some(config_map) => config_map.has_changed().await,
            None => Ok(false),
        };
        let objects = self.further.objects.iter_mut();
        // Each takes note of its changes.
        let changed = objects.filter_map(|it| it.has_changed().then_some(()));
        let has_changed_objects = 0 < changed.count();
        let is_new = seen != self.seen || has_changed_objects || has_changed == Ok(true);
        match has_changed {
            // Other changes are applied, and this one is reported again afterwards.
            Err(why) if !is_new => return self.refuse(why),
            // What was refused may lack what has come by now.
            Ok(_) | Err(_) if !is_new && self.refused.is_none() => return None,
            Ok(_) | Err(_) => {}
        }
        self.seen = seen;
        self.reload().await
    }

    /// Says why another configuration is not applied, once.
    fn refuse(&mut self, why: String) -> Option<Reload> {
        let is_known = self.refused.replace(why.clone()).as_ref() == Some(&why);
        (!is_known).then_some(Reload::Refused(why))
    }

    /// Reads the configuration; returns the result.
    async fn reload(&mut self) -> Option<Reload> {
        match self.change().await {
            Ok(change) => {
                let is_new = self.takes_over(&change);
                let was_refused = self.refused.take().is_some();
                (is_new || was_refused).then(|| Reload::Changed(Box::new(change)))
            }
            Err(error) => self.refuse(runtime::reasons(error.as_ref())),
        }
    }

    /// Returns whether it has changed: files may have other text, or other credentials, for the
    /// same.
    fn takes_over(&mut self, change: &Change) -> bool {
        let is_same = self.policy == change.policy
            && self.notes == change.notes
            && change.stopped.is_empty()
            && change.opened.is_empty();
        self.policy = change.policy.clone();
        self.notes.clone_from(&change.notes);
        !is_same
    }

    async fn change(&mut self) -> anyhow::Result<Change> {
        let Further {
            config_map,
            objects,
        } = &mut self.further;
        let text = config_map.as_ref().and_then(|it| it.text.as_ref());
        let config = read(&self.line, text, objects)?;
        if config.object_places != self.object_places {
            bail!(
                "sourcesFromCRD or clusterProfiles names another namespace or selector: restart \
                 the reflector"
            );
        }
        if config.config_map.as_ref() != config_map.as_ref().map(ConfigMapText::key) {
            bail!("sourceURLs names another ConfigMap: restart the reflector");
        }
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
            bail!(
                "global services have another cluster, selector or migration: restart the reflector"
            );
        }
        self.change_cluster_set(&config)?;
        let fresh = config.sources.iter();
        let fresh = fresh.filter(|it| !self.sources.contains(it)).cloned();
        let opened = open(&self.network, fresh.collect()).await?;
        let notes = config.warnings();
        let names: HashSet<_> = config.sources.iter().map(|it| &it.name).collect();
        let before = self.sources.iter().map(|it| &it.name);
        let stopped = before.filter(|it| !names.contains(it)).cloned().collect();
        for objects in &mut self.further.objects {
            objects.decided(&config.verdicts);
        }
        self.sources = config.sources;
        // A reflector that watches all namespaces continues to do so.
        self.local_namespace = self.local_namespace.take().and(local_namespace.clone());
        if self.inputs != config.inputs {
            self.inputs = config.inputs;
            // What is in them now may not be what was read.
            self.seen = 0;
        }
        Ok(Change {
            policy: config.policy,
            stopped,
            opened,
            is_everywhere: local_namespace.is_none(),
            notes,
        })
    }
}

impl Reloader {
    /// Tells the controller of the clusterset which clusters there are.
    fn change_cluster_set(&self, config: &Config) -> anyhow::Result<()> {
        let identity = |it: &Option<ClusterSetConfig>| {
            let it = it.as_ref()?;
            Some((it.name.clone(), it.cluster.clone()))
        };
        if identity(&self.cluster_set_config) != identity(&config.cluster_set) {
            bail!("clusterSet has another name or another cluster: restart the reflector");
        }
        let (Some(sender), Some(set)) = (&self.cluster_set, &config.cluster_set) else {
            return Ok(());
        };
        let settings = clusterset::settings(set, config);
        let sources: Vec<_> = clusterset::members(&config.sources).cloned().collect();
        sender.send_if_modified(|it| {
            let is_new = it.settings != settings || it.sources != sources;
            (it.settings, it.sources) = (settings, sources);
            is_new
        });
        Ok(())
    }
}

/// Further sources.
#[derive(Default)]
pub(crate) struct Further {
    /// Source URLs in a ConfigMap, if they are configured.
    pub(crate) config_map: Option<ConfigMapText>,
    /// Objects of each kind that is read.
    pub(crate) objects: Vec<SourceObjects>,
}

/// Reads the configuration with what further sources there are now.
pub(crate) fn read(
    line: &CommandLine,
    config_map: Option<&String>,
    objects: &mut [SourceObjects],
) -> anyhow::Result<Config> {
    let filled = |objects: &mut [SourceObjects]| {
        let mut args = line.read()?;
        args.config_map = config_map.cloned();
        for objects in objects {
            objects.fill(&mut args);
        }
        Ok::<_, anyhow::Error>(args)
    };
    let config = Config::try_from(filled(objects)?)?;
    let formers = objects.iter().map(|it| it.with_former(&config.verdicts));
    let formers: Vec<_> = formers.collect();
    if formers.iter().all(Option::is_none) {
        return Ok(config);
    }
    // Those that do not fit stay as they were.
    let mut args = filled(objects)?;
    for (objects, former) in objects.iter().zip(formers) {
        if let Some(former) = former {
            objects.fill_with(former, &mut args);
        }
    }
    Ok(Config::try_from(args)?)
}

/// The ways to these sources, side by side: a credential plugin may take its time.
pub(crate) async fn open(
    network: &Network,
    sources: Vec<SourceConfig>,
) -> anyhow::Result<Vec<Opened>> {
    let opened = sources.into_iter().map(async |source| {
        let name = source.name.clone();
        let opened = Opened::new(network, source).await;
        opened.with_context(|| format!("source {name}"))
    });
    futures::future::try_join_all(opened).await
}
