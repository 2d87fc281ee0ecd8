//! One control plane.
//!
//! Invariants: a plane that has been handed out was ready; its API server comes back at
//! the same address and with the same data; no two planes share ports, data, keys or
//! the addresses of Services.

mod components;
mod files;
mod history;

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use kube::config::{KubeConfigOptions, Kubeconfig};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::assets::{Assets, Found};
use crate::audit::{self, AuditEvent};
use crate::certificates::Certificates;
use crate::keeper::{Keeper, Process};
use crate::kubectl::Kubectl;

use self::components::{Addresses, next_service_cidr};
pub use self::history::EtcdBackup;

/// What a control plane is to be like.
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    controllers: bool,
    audit: bool,
    users: Vec<String>,
    service_cidr: Option<String>,
    issuer: String,
    apiserver_args: Vec<String>,
    apiserver: Option<PathBuf>,
    address: IpAddr,
    prefix: Vec<String>,
}

/// etcd, kube-apiserver and, if wanted, kube-controller-manager. Ends when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    name: String,
    assets: Assets,
    addresses: Addresses,
    service_cidr: String,
    authority: String,
    builder: Builder,
    processes: Mutex<Processes>,
    keeper: Keeper,
}

#[derive(Debug, Default)]
struct Processes {
    etcd: Option<Process>,
    apiserver: Option<Process>,
    controllers: Option<Process>,
}

/// The user who may do everything.
const ADMIN: &str = "admin";

const DEFAULT_NAMESPACE: &str = "/api/v1/namespaces/default";

/// A start takes about two seconds; a loaded machine may take a few times that.
const PATIENCE: Duration = Duration::from_secs(40);

/// Ports are chosen and then bound by somebody else, so another process can be faster.
const TRIES: usize = 3;

impl Builder {
    /// With kube-controller-manager: endpoints, slices, namespaces and garbage.
    #[must_use]
    pub const fn controllers(mut self) -> Self {
        self.controllers = true;
        self
    }

    /// With an audit log; see [`ControlPlane::audit_events`].
    #[must_use]
    pub const fn audit(mut self) -> Self {
        self.audit = true;
        self
    }

    /// With a further user, who may do what RBAC says: nothing, to begin with.
    #[must_use]
    pub fn user(mut self, name: &str) -> Self {
        self.users.push(name.to_owned());
        self
    }

    /// With Services that get addresses of this range, such as `10.96.0.0/16`. Without,
    /// each plane has a range that no other has.
    #[must_use]
    pub fn service_cidr(mut self, range: &str) -> Self {
        self.service_cidr = Some(range.to_owned());
        self
    }

    /// With an API server that listens on that address instead of loopback, as a node's.
    #[must_use]
    pub const fn address(mut self, address: IpAddr) -> Self {
        self.address = address;
        self
    }

    /// With processes that another command becomes, such as `ip netns exec east`.
    #[must_use]
    pub fn prefix(mut self, command: &[&str]) -> Self {
        self.prefix = command.iter().map(|&it| it.to_owned()).collect();
        self
    }

    /// With a further flag for kube-apiserver.
    #[must_use]
    pub fn apiserver_arg(mut self, arg: &str) -> Self {
        self.apiserver_args.push(arg.to_owned());
        self
    }

    /// With another kube-apiserver than the pinned one.
    #[must_use]
    pub fn apiserver(mut self, binary: &Path) -> Self {
        self.apiserver = Some(binary.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> anyhow::Result<ControlPlane> {
        let assets = match tokio::task::spawn_blocking(crate::assets::find_or_build).await?? {
            Found::Ready(assets) => assets,
            Found::Missing(why) => bail!(why),
        };
        if self.controllers {
            assets.have_controllers()?;
        }
        let mut tries = 1;
        loop {
            let plane = ControlPlane::prepare(self.clone(), assets.clone())?;
            let Err(error) = plane.start().await else {
                return Ok(plane);
            };
            let logs = plane.logs();
            if TRIES <= tries || !logs.contains("address already in use") {
                return Err(error.context(format!("cannot start {}\n{logs}", self.name)));
            }
            tries += 1;
        }
    }
}

impl ControlPlane {
    /// A control plane of that name, with nothing but what it must have.
    #[must_use]
    pub fn builder(name: &str) -> Builder {
        Builder {
            name: name.to_owned(),
            controllers: false,
            audit: false,
            users: Vec::new(),
            service_cidr: None,
            issuer: "https://kubernetes.default.svc".to_owned(),
            apiserver_args: Vec::new(),
            apiserver: None,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            prefix: Vec::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its files are, until it is dropped.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.keeper.directory()
    }

    /// Where its API server listens.
    #[must_use]
    pub fn url(&self) -> String {
        self.addresses.apiserver_url()
    }

    /// The authority of its certificates, in PEM.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// A kubeconfig with all rights.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_for(ADMIN)
    }

    /// The text of a kubeconfig with all rights, which refers to no file.
    pub fn inline_kubeconfig(&self) -> anyhow::Result<String> {
        let text = std::fs::read_to_string(self.kubeconfig())?;
        let (before, rest) = text
            .split_once("certificate-authority: \"")
            .context("it names the file of its authority")?;
        let (_, after) = rest.split_once('"').context("its path ends")?;
        let data = base64::engine::general_purpose::STANDARD.encode(self.authority());
        Ok(format!(
            "{before}certificate-authority-data: \"{data}\"{after}"
        ))
    }

    /// The kubeconfig of a user that was named to the builder.
    #[must_use]
    pub fn kubeconfig_for(&self, user: &str) -> PathBuf {
        self.file(&format!("{user}.kubeconfig"))
    }

    /// The bearer token of the user who may do everything.
    #[must_use]
    pub fn admin_token(&self) -> String {
        self.token_for(ADMIN)
    }

    /// The bearer token of a user that was named to the builder.
    #[must_use]
    pub fn token_for(&self, user: &str) -> String {
        format!("{user}-token")
    }

    /// kubectl with all rights.
    #[must_use]
    pub fn kubectl(&self) -> Kubectl {
        let binary = self.assets.binary("kubectl");
        Kubectl::new(binary, self.keeper.directory(), self.kubeconfig())
    }

    /// kubectl with the rights of a user that was named to the builder.
    #[must_use]
    pub fn kubectl_for(&self, user: &str) -> Kubectl {
        let binary = self.assets.binary("kubectl");
        Kubectl::new(binary, self.keeper.directory(), self.kubeconfig_for(user))
    }

    /// A client with all rights.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        // It would be the environment's, which is not meant for loopback.
        config.proxy_url = None;
        Ok(kube::Client::try_from(config)?)
    }

    /// Every request that has been answered so far. Needs [`Builder::audit`].
    pub fn audit_events(&self) -> anyhow::Result<Vec<AuditEvent>> {
        audit::read(&self.file("audit.log"))
    }

    /// Stops the API server in good order; etcd goes on.
    pub async fn stop_apiserver(&self) -> anyhow::Result<()> {
        let apiserver = self.processes.lock().apiserver.take();
        apiserver
            .context("the API server does not run")?
            .stop()
            .await
    }

    /// Ends the API server at once; etcd goes on.
    pub async fn kill_apiserver(&self) -> anyhow::Result<()> {
        let apiserver = self.processes.lock().apiserver.take();
        apiserver
            .context("the API server does not run")?
            .kill()
            .await
    }

    /// Starts the API server again, at the same address and with the same data.
    pub async fn start_apiserver(&self) -> anyhow::Result<()> {
        let apiserver = self.spawn_apiserver()?;
        self.processes.lock().apiserver = Some(apiserver);
        self.ready().await
    }

    /// Lets the API server hang: it accepts connections and never answers.
    pub fn pause_apiserver(&self) -> anyhow::Result<()> {
        let mut processes = self.processes.lock();
        let apiserver = processes.apiserver.as_mut();
        apiserver.context("the API server does not run")?.pause()
    }

    /// Lets a paused API server go on.
    pub fn resume_apiserver(&self) -> anyhow::Result<()> {
        let mut processes = self.processes.lock();
        let apiserver = processes.apiserver.as_mut();
        apiserver.context("the API server does not run")?.resume()
    }

    /// The ends of all logs.
    #[must_use]
    pub fn logs(&self) -> String {
        let Processes {
            etcd,
            apiserver,
            controllers,
        } = &*self.processes.lock();
        let all = [etcd, apiserver, controllers].into_iter().flatten();
        all.map(|process| format!("--- {} {}\n{}\n", self.name, process.name(), process.log()))
            .collect()
    }

    fn prepare(builder: Builder, assets: Assets) -> anyhow::Result<Self> {
        let certificates = Certificates::new(builder.address)?;
        let plane = Self {
            name: builder.name.clone(),
            service_cidr: (builder.service_cidr.clone()).unwrap_or_else(next_service_cidr),
            addresses: Addresses::choose(builder.address)?,
            keeper: Keeper::new(&builder.name)?,
            authority: certificates.authority.clone(),
            processes: Mutex::default(),
            assets,
            builder,
        };
        plane.write_files(&certificates)?;
        Ok(plane)
    }

    async fn start(&self) -> anyhow::Result<()> {
        let etcd = self.spawn_etcd()?;
        let apiserver = self.spawn_apiserver()?;
        {
            let mut processes = self.processes.lock();
            processes.etcd = Some(etcd);
            processes.apiserver = Some(apiserver);
        }
        self.ready().await?;
        if self.builder.controllers {
            let controllers = self.spawn_controllers()?;
            self.processes.lock().controllers = Some(controllers);
        }
        Ok(())
    }

    /// Waits until the API server is ready, as long as all that was started runs.
    async fn ready(&self) -> anyhow::Result<()> {
        let client = self.client().await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // `/readyz` does not wait for the namespace in which tests begin to write.
            if answers(&client, "/readyz").await? && answers(&client, DEFAULT_NAMESPACE).await? {
                return Ok(());
            }
            if let Some(name) = self.processes.lock().ended() {
                bail!("{name} of {} has ended", self.name);
            }
            if deadline < Instant::now() {
                bail!(
                    "the API server of {} is not ready after {PATIENCE:?}",
                    self.name
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.keeper.directory().join(name)
    }
}

async fn answers(client: &kube::Client, path: &str) -> anyhow::Result<bool> {
    let request = http::Request::get(path).body(Vec::new())?;
    Ok(client.request_text(request).await.is_ok())
}

impl Processes {
    /// One that should run and does not.
    fn ended(&mut self) -> Option<String> {
        let Self {
            etcd,
            apiserver,
            controllers,
        } = self;
        let mut all = [etcd, apiserver, controllers].into_iter().flatten();
        let ended = all.find_map(|process| (!process.is_running()).then_some(process))?;
        Some(ended.name().to_owned())
    }
}
