//! The handle: start, stop, fail, heal, audit.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use emitter::metrics::Metrics;
use emitter_cache::{Limits, Scope};
use prometheus_client::registry::Registry;
use proto_types::{LabelSelector, ObjectKey, Status};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::Kind;
use crate::address::Range;
use crate::api::{Api, router};
use crate::audit::{Audit, Notes};
use crate::certificate::Identity;
use crate::fault::{Fault, Faults, Scoped};
use crate::metadata::{named, text};
use crate::serve::{Door, Server, listen};
use crate::service::Addresses;
use crate::state::{Backup, Observer, Storage, value};
use crate::write::{DeleteOptions, Intent, Part};

/// What a cluster is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name, in its kubeconfig.
    pub name: String,
    /// Where to listen; without a port, on one of loopback that stays ours.
    pub address: Option<SocketAddr>,
    /// Whether to serve HTTPS, with an authority of its own.
    pub tls: bool,
    /// What clients must bring; nothing if nobody is asked.
    pub token: Option<String>,
    /// The addresses of Services: one range, or one of each family.
    pub service_ranges: Vec<String>,
    /// The namespaces to begin with, beside those that every cluster has.
    pub namespaces: Vec<String>,
    /// How much history is kept.
    pub history: Limits,
}

impl Options {
    /// A cluster of that name on plain HTTP, as most tests want it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
            tls: false,
            token: None,
            service_ranges: vec!["10.96.0.0/16".to_owned()],
            namespaces: Vec::new(),
            history: Limits::default(),
        }
    }
}

/// Address of a cluster that listens nowhere.
const WITHIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);

/// A running cluster. Ends when dropped.
pub struct EmbeddedCluster {
    options: Options,
    address: SocketAddr,
    authority: Option<String>,
    api: Arc<Api>,
    door: Arc<Door>,
    tasks: JoinSet<()>,
}

impl EmbeddedCluster {
    /// Starts a cluster, which serves from now on.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let address = match options.address {
            Some(address) => address,
            None => {
                let port = control_plane::free_port().context("cannot find a port")?;
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
            }
        };
        let listener = listen(address).with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let (mut cluster, tls) = Self::new(options, address)?;
        let server = Server {
            address,
            tls,
            router: cluster.router(),
            door: Arc::clone(&cluster.door),
        };
        cluster.tasks.spawn(server.run(listener));
        Ok(cluster)
    }

    /// Creates a cluster that listens nowhere: [`router`](Self::router) answers its
    /// requests. Faults of connections do nothing.
    pub fn within(options: Options) -> anyhow::Result<Self> {
        let address = options.address.unwrap_or(WITHIN);
        Ok(Self::new(options, address)?.0)
    }

    /// Answers requests to its API.
    pub fn router(&self) -> axum::Router {
        router(Arc::clone(&self.api))
    }

    /// Calls `observer` with every change of every object from now on, in their order.
    pub fn observe(&self, observer: Observer) {
        self.api.storage.observe(observer);
    }

    fn new(options: Options, address: SocketAddr) -> anyhow::Result<(Self, Option<TlsAcceptor>)> {
        let ranges = options.service_ranges.iter().map(|it| Range::parse(it));
        let ranges: Vec<Range> = ranges.collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(
            !ranges.is_empty(),
            "a cluster needs a range of addresses for Services"
        );
        let storage = Storage::new(Addresses::new(ranges), options.history);
        let api = Arc::new(Api {
            metrics: Metrics::register(&mut Registry::default()),
            storage,
            faults: Faults::default(),
            notes: Notes::default(),
            shutdown: CancellationToken::new(),
            token: options.token.clone(),
            address: address.to_string(),
        });
        let identity = match options.tls {
            true => Some(Identity::new(address.ip())?),
            false => None,
        };
        let tls = identity.as_ref().map(|it| it.acceptor.clone());
        let cluster = Self {
            authority: identity.map(|it| it.authority),
            options,
            address,
            api,
            door: Arc::new(Door::new()),
            tasks: JoinSet::new(),
        };
        cluster.found();
        Ok((cluster, tls))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The authority of its certificate, in PEM; nothing on plain HTTP.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// A kubeconfig, as text.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let name = self.name();
        let mut server = json!({ "server": self.url() });
        if let Some(authority) = &self.authority {
            let encoded = base64::engine::general_purpose::STANDARD.encode(authority);
            server["certificate-authority-data"] = encoded.into();
        }
        let user = match &self.options.token {
            Some(token) => json!({ "token": token }),
            None => json!({}),
        };
        // JSON is YAML.
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": name, "cluster": server }],
            "users": [{ "name": name, "user": user }],
            "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
            "current-context": name,
        })
        .to_string()
    }

    /// Writes the kubeconfig to a file.
    pub fn write_kubeconfig(&self, path: &Path) -> std::io::Result<()> {
        std::fs::write(path, self.kubeconfig())
    }

    /// Fails in that way from now on, beside what fails already.
    pub fn fail(&self, fault: impl Into<Scoped>) {
        let scoped = fault.into();
        self.api.faults.add(scoped.clone());
        match scoped.fault {
            Fault::Refuse => {
                self.door.open(false);
                self.door.cut();
            }
            Fault::HalfOpen => self.door.freeze(),
            Fault::Hang
            | Fault::Answer { .. }
            | Fault::Garbage
            | Fault::Cut
            | Fault::EmptyLists
            | Fault::Slow { .. } => {}
        }
    }

    /// Fails no more. What has fallen silent stays silent.
    pub fn heal(&self) {
        self.api.faults.clear();
        self.door.open(true);
    }

    /// Ends every connection, once.
    pub fn cut_connections(&self) {
        self.door.cut();
    }

    /// Forgets history: who resumes from before is told to list again.
    pub fn compact(&self) {
        self.api.storage.compact();
    }

    /// Everything as it is, to [`restore`](Self::restore) later.
    #[must_use]
    pub fn backup(&self) -> Backup {
        self.api.storage.backup()
    }

    /// Goes back to a backup, with its resource versions, as after a restore of etcd: connections
    /// end, and history begins again.
    pub fn restore(&self, backup: &Backup) {
        self.door.cut();
        self.api.storage.restore(backup);
        self.door.cut();
    }

    /// The same, by a server that has started since: it does not know that it went back, and
    /// opens watches from its future.
    pub fn restore_unnoticed(&self, backup: &Backup) {
        self.restore(backup);
        self.api.storage.trust_all();
    }

    /// Resource version of the last change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.api.storage.lock().revision().number()
    }

    /// Becomes another cluster behind the same URL: new uids, nothing in it.
    pub fn become_another(&self) {
        self.door.cut();
        self.api
            .storage
            .begin(proto_types::ResourceVersion::new(1), &[]);
        self.found();
        self.door.cut();
    }

    /// What was written since the start, or since it was last forgotten.
    #[must_use]
    pub fn audit(&self) -> Audit {
        self.api.notes.read()
    }

    /// Forgets what was written.
    pub fn forget_audit(&self) {
        self.api.notes.clear();
    }

    /// Creates an object, or puts it in place of the one of its name. It must say what
    /// it is; the audit does not see it.
    pub fn put(&self, object: Value) -> Result<(), Status> {
        let said = |field: &str| object[field].as_str().unwrap_or_default();
        let kind = Kind::of(said("apiVersion"), said("kind"));
        let kind = kind.ok_or_else(|| {
            let (version, kind) = (said("apiVersion"), said("kind"));
            Status::bad_request(format!("{version} {kind} is not served"))
        })?;
        let key = match kind.is_namespaced() {
            true => ObjectKey::new(text(&object, "namespace"), text(&object, "name")),
            false => ObjectKey::new("", text(&object, "name")),
        };
        let intent = Intent::default();
        let storage = &self.api.storage;
        match storage.get(kind, &key) {
            Some(_) => storage.update(kind, &key, Part::Main, object, &intent),
            None => storage.create(kind, key.namespace(), object, &intent),
        }
        .map(drop)
    }

    /// Deletes an object. Returns whether it was there; the audit does not see it.
    pub fn delete(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        let key = ObjectKey::new(namespace, name);
        let deleted = self
            .api
            .storage
            .delete(kind, &key, &DeleteOptions::default());
        deleted.is_ok()
    }

    /// An object as it is.
    #[must_use]
    pub fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Value> {
        self.api.storage.get(kind, &ObjectKey::new(namespace, name))
    }

    /// All objects of a kind, ordered by namespace and name.
    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<Value> {
        let all = LabelSelector::default();
        let entries = self.api.storage.list(kind, Scope::Cluster, &all);
        entries.iter().map(|it| value(it)).collect()
    }

    /// Ends it, and waits until nothing of it is left.
    pub async fn stop(mut self) {
        self.api.shutdown.cancel();
        self.tasks.shutdown().await;
    }

    /// What every cluster has.
    fn found(&self) {
        let common = ["default", "kube-system", "kube-public", "kube-node-lease"];
        let extra = self.options.namespaces.iter().map(String::as_str);
        let first = self.api.storage.lock().addresses.first();
        let namespaces = common.into_iter().chain(extra);
        let mut objects: Vec<Value> = namespaces.map(|it| named("v1", "Namespace", it)).collect();
        let port = self.address.port();
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": { "component": "apiserver", "provider": "kubernetes" },
            },
            "spec": {
                "clusterIP": first.to_string(),
                "ports": [{ "name": "https", "port": 443, "targetPort": port }],
            },
        }));
        for object in objects {
            let put = self.put(object);
            put.expect("what every cluster has is valid");
        }
    }
}
