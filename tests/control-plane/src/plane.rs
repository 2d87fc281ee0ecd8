//! One control plane.

mod components;
mod ports;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::assets::{Assets, Found};
use crate::audit::{self, AuditEvent};
use crate::certificates::Certificates;
use crate::keeper::{Keeper, Process};
use crate::kubectl::Kubectl;

use self::components::Addresses;

/// What a control plane is to be like.
#[derive(Debug, Clone)]
pub struct Builder {
    name: String,
    controllers: bool,
    audit: bool,
    users: Vec<String>,
    apiserver_args: Vec<String>,
}

/// etcd, kube-apiserver and, if wanted, kube-controller-manager. Ends when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    name: String,
    assets: Assets,
    addresses: Addresses,
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

    /// With a further flag for kube-apiserver.
    #[must_use]
    pub fn apiserver_arg(mut self, arg: &str) -> Self {
        self.apiserver_args.push(arg.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> anyhow::Result<ControlPlane> {
        let assets = match tokio::task::spawn_blocking(crate::assets::find_or_build).await?? {
            Found::Ready(assets) => assets,
            Found::Missing(why) => bail!(why),
        };
        let mut tries = 1;
        loop {
            let plane = ControlPlane::prepare(self.clone(), assets.clone())?;
            match plane.start().await {
                Ok(()) => return Ok(plane),
                Err(error) if TRIES <= tries => {
                    let logs = plane.logs();
                    return Err(error.context(format!("cannot start {}\n{logs}", self.name)));
                }
                Err(_) => tries += 1,
            }
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
            apiserver_args: Vec::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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

    /// The kubeconfig of a user that was named to the builder.
    #[must_use]
    pub fn kubeconfig_for(&self, user: &str) -> PathBuf {
        self.file(&format!("{user}.kubeconfig"))
    }

    /// The bearer token of a user.
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

    /// A client with all rights.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
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
        self.signal_apiserver("STOP")
    }

    /// Lets a paused API server go on.
    pub fn resume_apiserver(&self) -> anyhow::Result<()> {
        self.signal_apiserver("CONT")
    }

    /// Compacts etcd to the present and restarts the API server, whose cache would
    /// remember otherwise: a watch from any earlier revision is now answered with 410.
    pub async fn forget_history(&self) -> anyhow::Result<()> {
        self.stop_apiserver().await?;
        let etcd = kube::Config::new(self.addresses.etcd_url().parse()?);
        let etcd = kube::Client::try_from(etcd)?;
        // A key that is not there: the answer's header has the revision.
        let range = post(&etcd, "/v3/kv/range", r#"{"key":"AA=="}"#).await?;
        let revision = range["header"]["revision"].as_str();
        let revision = revision.context("etcd tells no revision")?;
        let body = format!(r#"{{"revision":"{revision}","physical":true}}"#);
        post(&etcd, "/v3/kv/compaction", &body).await?;
        self.start_apiserver().await
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
        let certificates = Certificates::new()?;
        let plane = Self {
            name: builder.name.clone(),
            addresses: Addresses::choose()?,
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

    /// Waits until the API server is ready, as long as it runs at all.
    async fn ready(&self) -> anyhow::Result<()> {
        let client = self.client().await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            if client
                .request_text(request)
                .await
                .is_ok_and(|it| it == "ok")
            {
                return Ok(());
            }
            let is_running = self
                .processes
                .lock()
                .apiserver
                .as_mut()
                .is_some_and(Process::is_running);
            if !is_running {
                bail!("the API server of {} has ended", self.name);
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

    fn signal_apiserver(&self, signal: &str) -> anyhow::Result<()> {
        let processes = self.processes.lock();
        let apiserver = processes.apiserver.as_ref();
        apiserver
            .context("the API server does not run")?
            .signal(signal)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.keeper.directory().join(name)
    }

    fn write_files(&self, certificates: &Certificates) -> anyhow::Result<()> {
        let users = std::iter::once(ADMIN).chain(self.builder.users.iter().map(String::as_str));
        let mut tokens = String::new();
        for user in users {
            let token = self.token_for(user);
            let group = if user == ADMIN { "system:masters" } else { "" };
            tokens += &format!("{token},{user},{user},\"{group}\"\n");
            let kubeconfig = self.kubeconfig_text(user, &token);
            fs::write(self.kubeconfig_for(user), kubeconfig)?;
        }
        for (name, text) in [
            ("ca.crt", &certificates.authority),
            ("serving.crt", &certificates.serving),
            ("serving.key", &certificates.serving_key),
            ("token.key", &certificates.token_key),
            ("token.pub", &certificates.token_public_key),
            ("tokens.csv", &tokens),
            ("audit-policy.yaml", &audit::POLICY.to_owned()),
        ] {
            fs::write(self.file(name), text)?;
        }
        Ok(())
    }

    fn kubeconfig_text(&self, user: &str, token: &str) -> String {
        let (name, url) = (&self.name, self.url());
        let authority = self.file("ca.crt");
        let authority = authority.display();
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
             clusters: [{{name: {name}, cluster: {{server: \"{url}\", certificate-authority: \"{authority}\"}}}}]\n\
             users: [{{name: {user}, user: {{token: \"{token}\"}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}, user: {user}}}}}]\n"
        )
    }
}

async fn post(client: &kube::Client, path: &str, body: &str) -> anyhow::Result<serde_json::Value> {
    let request = http::Request::post(path).body(body.as_bytes().to_vec())?;
    client
        .request(request)
        .await
        .with_context(|| format!("etcd refuses {path}"))
}
