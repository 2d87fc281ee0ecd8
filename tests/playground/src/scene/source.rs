//! One source: its cluster, and what answers at its emitter's address.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use control_plane::{Keeper, Process};

use super::cluster::Cluster;
use super::fault::{Condition, Fault};
use super::sample::EXPORT;
use super::{kubeconfig_in, program};

/// A cluster with an emitter.
pub(crate) struct Source {
    name: String,
    cluster: Cluster,
    port: u16,
    is_exporting: bool,
    condition: Condition,
    /// The emitter, or what stands in for it.
    answering: Option<Process>,
    keeper: Arc<Keeper>,
}

impl Source {
    /// A source whose emitter does not run yet.
    pub(crate) fn new(
        name: &str,
        cluster: Cluster,
        is_exporting: bool,
        keeper: &Arc<Keeper>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            cluster,
            port: control_plane::free_port()?,
            is_exporting,
            condition: Condition::Well,
            answering: None,
            keeper: Arc::clone(keeper),
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its cluster.
    pub(crate) const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Returns whether ServiceExports decide too what it exports.
    pub(crate) const fn is_exporting(&self) -> bool {
        self.is_exporting
    }

    /// Where its emitter serves.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts its emitter.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        self.answering = Some(self.emitter("true", self.is_exporting)?);
        Ok(())
    }

    /// Breaks it; what has been done is the answer.
    pub(crate) async fn break_by(&mut self, fault: Fault) -> anyhow::Result<String> {
        if self.condition == Condition::Broken(fault) {
            return Ok(format!("{}: {} already", self.name, fault.done()));
        }
        if self.condition != Condition::Well {
            self.heal().await?;
        }
        match fault {
            Fault::Stop => self.end().await?,
            Fault::Hang => {
                if let Some(emitter) = &mut self.answering {
                    emitter.pause()?;
                }
            }
            Fault::Corrupt => {
                self.end().await?;
                self.answering = Some(self.stranger()?);
            }
            Fault::Empty => {
                self.end().await?;
                self.answering = Some(self.emitter("nothing-has-this", false)?);
            }
            Fault::Apiserver => self.cluster.fail().await?,
        }
        self.condition = Condition::Broken(fault);
        Ok(format!("{}: {}", self.name, fault.done()))
    }

    /// Brings it back; what has been done is the answer.
    pub(crate) async fn heal(&mut self) -> anyhow::Result<String> {
        let Condition::Broken(fault) = self.condition else {
            return Ok(format!("{}: nothing is broken", self.name));
        };
        match fault {
            Fault::Stop | Fault::Corrupt | Fault::Empty => {
                self.end().await?;
                self.begin()?;
            }
            Fault::Hang => {
                if let Some(emitter) = &mut self.answering {
                    emitter.resume()?;
                }
            }
            Fault::Apiserver => self.cluster.heal().await?,
        }
        self.condition = Condition::Well;
        Ok(match fault {
            Fault::Apiserver => format!("{}: its API server runs again", self.name),
            Fault::Stop | Fault::Hang | Fault::Corrupt | Fault::Empty => {
                format!("{}: its emitter runs again", self.name)
            }
        })
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        match self.answering.take() {
            Some(mut process) => process.stop().await,
            None => Ok(()),
        }
    }

    fn emitter(&self, export: &str, has_exports: bool) -> anyhow::Result<Process> {
        let mut command = program("emitter")?;
        command
            .arg("--kubeconfig")
            .arg(kubeconfig_in(&self.folder()));
        command.args([
            "--context",
            &self.name,
            "--selector",
            &format!("{EXPORT}={export}"),
        ]);
        if has_exports {
            command.arg("--service-exports");
        }
        command.args(["--insecure-bind-address=127.0.0.1", "--secure-port=0"]);
        command.args([
            "--admin-bind-address=127.0.0.1:0",
            &format!("--insecure-port={}", self.port),
        ]);
        self.spawn(&command)
    }

    fn stranger(&self) -> anyhow::Result<Process> {
        let mut command = program("wrong-server")?;
        command.arg(self.port.to_string());
        self.spawn(&command)
    }

    fn spawn(&self, command: &Command) -> anyhow::Result<Process> {
        self.keeper
            .spawn(&format!("emitter-{}", self.name), command)
    }

    fn folder(&self) -> PathBuf {
        self.keeper.directory().to_owned()
    }
}
