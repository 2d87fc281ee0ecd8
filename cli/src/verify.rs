//! `heliograph verify`: proves that connections to a mirror of a source are answered, and
//! names the step that fails.
//!
//! | module | does |
//! |---|---|
//! | `observed` | facts about each step |
//! | `diagnosis` | findings made of the facts; pure |
//! | `objects` | the Service and pods of a run, and their deletion |
//! | `mirrored` | reads the mirror in the local cluster |

mod diagnosis;
mod mirrored;
mod objects;
mod observed;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use proto_types::ObjectKey;
use tokio::time::Instant;

use crate::PROBLEMS;
use crate::admin::Admin;
use crate::args::{self, Global, Server};
use crate::check::finding::{self, Finding};
use crate::cluster::Cluster;
use crate::installation::{Installed, Program};
use crate::output::{Mark, Printer};
use crate::probe::{Probed, connect};

use mirrored::{Mirror, mirror};
use objects::Objects;
use observed::{Observed, Step};

/// Time between two looks at a cluster.
const PERIOD: Duration = Duration::from_millis(250);

/// Time for one request from here.
const REQUEST: Duration = Duration::from_secs(2);

/// Bytes of a large answer to a request from here.
const LARGE: usize = 64 << 10;

/// Time within which kube-proxy writes its rules for a new Service.
const PROGRAMMED: Duration = Duration::from_secs(10);

/// The clusters of a run.
struct Verification<'a> {
    asked: &'a args::Verify,
    /// Cluster with the probe Service; absent if an existing Service is probed.
    source: Option<Cluster>,
    local: Cluster,
    /// Flags of the cluster that reads.
    reader: Global,
    /// Name of the source.
    name: String,
    observed: Observed,
}

/// Runs the subcommand.
pub(crate) async fn run(
    global: &Global,
    asked: &args::Verify,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    let mut verification = Verification::open(global, asked).await?;
    let mut objects = Objects::new(asked);
    let stop = runtime::shutdown::on_signal()?;
    let work = verification.observe(&mut objects);
    let worked = stop.run_until_cancelled(work).await;
    // Whatever happened, nothing stays.
    let left = objects.delete_all().await;
    for object in &left {
        eprintln!("heliograph: cannot delete {object}");
    }
    match worked {
        Some(done) => done?,
        None => eprintln!("heliograph: interrupted; the findings are those up to now"),
    }
    let findings = diagnosis::findings(&verification.observed);
    printer.print(&findings, || finding::text(&findings, printer))?;
    let is_failed = findings.iter().any(|it: &Finding| it.mark == Mark::Failed);
    let is_bad = is_failed || !left.is_empty() || worked_not(&verification.observed);
    Ok(ExitCode::from(if is_bad { PROBLEMS } else { 0 }))
}

/// Returns whether a run ended before any connection.
fn worked_not(observed: &Observed) -> bool {
    observed.endpoints.is_empty()
}

impl<'a> Verification<'a> {
    async fn open(global: &Global, asked: &'a args::Verify) -> anyhow::Result<Self> {
        let local = match &asked.to_context {
            Some(context) => Cluster::of_context(global, context).await?,
            None => Cluster::of(global).await?,
        };
        let source = match &global.context {
            Some(context) if asked.service.is_none() => {
                Some(Cluster::of_context(global, context).await?)
            }
            Some(_) | None => None,
        };
        ensure!(
            asked.service.is_some() || (source.is_some() && asked.to_context.is_some()),
            "name the source cluster with --context and the cluster that reads with \
             --to-context, or an existing mirror Service with --service"
        );
        let mut reader = global.clone();
        if asked.to_context.is_some() {
            reader.context.clone_from(&asked.to_context);
        }
        let name = asked.source_name.clone().or(global.context.clone());
        Ok(Self {
            asked,
            source,
            local,
            reader,
            name: name.unwrap_or_default(),
            observed: Observed::default(),
        })
    }

    /// Image of the pods.
    async fn image(&self) -> anyhow::Result<String> {
        if let Some(image) = &self.asked.image {
            return Ok(image.clone());
        }
        let namespace = &self.reader.namespace;
        let installed = Installed::existing(&self.local, namespace, Program::Reflector).await?;
        Ok(installed.image().to_owned())
    }

    /// Goes through the steps until one fails.
    async fn observe(&mut self, objects: &mut Objects) -> anyhow::Result<()> {
        let mirror = match &self.asked.service {
            Some(service) => {
                let mirror = mirror(&self.local, service).await?;
                mirror.with_context(|| {
                    format!(
                        "cluster {} has no Service {service} with endpoints; see heliograph \
                         explain {service}",
                        self.local.name
                    )
                })?
            }
            None => match self.export(objects).await? {
                Some(mirror) => mirror,
                None => return Ok(()),
            },
        };
        self.connect(objects, &mirror).await
    }

    /// Exports the probe Service, and waits for its mirror.
    async fn export(&mut self, objects: &mut Objects) -> anyhow::Result<Option<Mirror>> {
        let source = self.source.clone().context("no source cluster")?;
        let none = Server {
            server: None,
            token_file: None,
        };
        let reflector = Admin::of_reflector(&self.reader, &none).await?;
        let image = self.image().await?;
        let began = Instant::now();
        let service = objects.export(&source, &image).await?;
        self.observed.service = service.to_string();
        let deadline = began + self.asked.timeout;
        let mut steps = Vec::new();
        loop {
            if !self.observed.is_reached(Step::Started) {
                match objects.server_state(&source).await? {
                    Ok(true) => steps.push(Step::Started),
                    Ok(false) => {}
                    Err(why) => self.observed.waiting = Some(why),
                }
            }
            let home = mirrored::home(&reflector, &service, &self.name).await?;
            self.observed.problems.clone_from(&home.problems);
            if home.is_claimed {
                steps.push(Step::Exported);
            }
            let found = match &home.local {
                Some(local) => mirror(&self.local, local).await?,
                None => None,
            };
            if found.is_some() {
                steps.push(Step::Mirrored);
            }
            for step in steps.drain(..) {
                self.observed.reach(step, began.elapsed());
            }
            if found.is_some() || deadline <= Instant::now() {
                return Ok(found);
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Connects from a pod of the local cluster, or from here.
    async fn connect(&mut self, objects: &mut Objects, mirror: &Mirror) -> anyhow::Result<()> {
        let targets = mirror.targets();
        self.observed.mirror = mirror.service.to_string();
        let is_foreign = self.asked.service.is_some();
        if self.asked.from_here {
            let connect = args::Connect {
                targets: targets.all(),
                requests: self.asked.requests,
                timeout: REQUEST,
                bytes: if is_foreign { 0 } else { LARGE },
                tcp_only: is_foreign,
                wait: Some(PROGRAMMED),
            };
            self.observed.take(&targets, connect::all(&connect).await);
            return Ok(());
        }
        let image = self.image().await?;
        objects
            .connect(&self.local, &image, &targets.all(), is_foreign)
            .await?;
        let deadline = Instant::now() + self.asked.timeout + objects::CONNECTING;
        let log = loop {
            match objects.client_log(&self.local).await? {
                Ok(Some(log)) => break log,
                Ok(None) => {}
                Err(why) => self.observed.waiting = Some(why),
            }
            if deadline <= Instant::now() {
                return Ok(());
            }
            tokio::time::sleep(PERIOD).await;
        };
        let probed: Vec<Probed> = serde_json::from_str(&log)
            .with_context(|| format!("the client pod printed no result: {}", log.trim()))?;
        self.observed.take(&targets, probed);
        Ok(())
    }
}

/// Returns the key of an object of a namespace.
fn key(namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(namespace, name)
}
