//! A cluster of either kind.

use anyhow::{Context, bail};
use control_plane::ControlPlane;
use control_plane::assets::{self, Found};
use embedded_cluster::{EmbeddedCluster, Fault, Options};
use kube::config::Kubeconfig;

use crate::args::PlaygroundOptions;

/// Which kind of clusters a playground has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In the memory of the playground's own process.
    Embedded,
    /// etcd, kube-apiserver and controllers, as processes.
    Real,
}

/// One cluster. Ends when dropped.
pub(crate) enum Cluster {
    /// A Kubernetes API in memory.
    Embedded(Box<EmbeddedCluster>),
    /// A real control plane.
    Real(Box<ControlPlane>),
}

/// A real control plane takes 400 MiB and some processor time while it starts.
const MAX_REAL_SOURCES: u16 = 6;

impl Kind {
    /// The kind that is wished for.
    pub(crate) const fn of(wishes: &PlaygroundOptions) -> Self {
        if wishes.real {
            Self::Real
        } else {
            Self::Embedded
        }
    }

    /// In one word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Real => "real",
        }
    }

    /// Whether so many of them can be had here; what to do if not.
    pub(crate) async fn check(self, n_sources: u16) -> anyhow::Result<()> {
        match self {
            Self::Embedded => Ok(()),
            Self::Real if MAX_REAL_SOURCES < n_sources => bail!(
                "--real takes at most {MAX_REAL_SOURCES} sources, since each is an etcd and a \
                 kube-apiserver; lower --sources, or leave out --real"
            ),
            Self::Real => match tokio::task::spawn_blocking(assets::find_or_build).await?? {
                Found::Ready(_) => Ok(()),
                Found::Missing(why) => {
                    bail!("--real needs real control planes: {why}; or leave out --real")
                }
            },
        }
    }
}

impl Cluster {
    /// Starts one; it is ready.
    pub(crate) async fn start(kind: Kind, name: &str) -> anyhow::Result<Self> {
        match kind {
            Kind::Embedded => {
                let cluster = EmbeddedCluster::start(Options::named(name)).await;
                let cluster = cluster.with_context(|| format!("cluster {name}"))?;
                Ok(Self::Embedded(Box::new(cluster)))
            }
            Kind::Real => {
                let plane = ControlPlane::builder(name).controllers().start().await;
                let plane = plane.with_context(|| format!("cluster {name}"))?;
                Ok(Self::Real(Box::new(plane)))
            }
        }
    }

    /// How it is reached, with all rights.
    pub(crate) fn kubeconfig(&self) -> anyhow::Result<Kubeconfig> {
        match self {
            Self::Embedded(cluster) => Ok(Kubeconfig::from_yaml(&cluster.kubeconfig())?),
            Self::Real(plane) => Ok(Kubeconfig::read_from(plane.kubeconfig())?),
        }
    }

    /// Takes its API server away.
    pub(crate) async fn fail(&self) -> anyhow::Result<()> {
        match self {
            Self::Embedded(cluster) => {
                cluster.fail(Fault::Refuse);
                Ok(())
            }
            Self::Real(plane) => plane.kill_apiserver().await,
        }
    }

    /// Brings its API server back, with all that it had.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        match self {
            Self::Embedded(cluster) => {
                cluster.heal();
                Ok(())
            }
            Self::Real(plane) => plane.start_apiserver().await,
        }
    }
}
