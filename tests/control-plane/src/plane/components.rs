//! The command lines of a control plane's components.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{Builder, ControlPlane};
use crate::assets::CONTROLLER_MANAGER;
use crate::keeper::Process;
use crate::ports::free_port;

/// Where the components listen.
#[derive(Debug)]
pub(super) struct Addresses {
    etcd: u16,
    etcd_peer: u16,
    apiserver: SocketAddr,
}

impl Addresses {
    pub(super) fn choose(address: IpAddr) -> std::io::Result<Self> {
        Ok(Self {
            etcd: free_port()?,
            etcd_peer: free_port()?,
            apiserver: SocketAddr::new(address, free_port()?),
        })
    }

    pub(super) fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd)
    }

    pub(super) fn apiserver_url(&self) -> String {
        format!("https://{}", self.apiserver)
    }
}

/// A process, and where it listens.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

/// Addresses for the Services of one more control plane, which no other has: what is
/// copied from one to another by mistake is refused there.
pub(super) fn next_service_cidr() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("10.{}.0.0/16", FIRST_SERVICE_NET + n % N_SERVICE_NETS)
}

const FIRST_SERVICE_NET: u8 = 96;
const N_SERVICE_NETS: u8 = 128;

const APISERVER: &str = "kube-apiserver";

/// What a mirror depends on. Each controller more costs a start some time.
const CONTROLLERS: &str = "endpoints-controller,endpointslice-controller,\
    endpointslice-mirroring-controller,namespace-controller,serviceaccount-controller,\
    garbage-collector-controller";

impl Builder {
    /// With tokens of ServiceAccounts that have another issuer than those of other planes.
    #[must_use]
    pub fn issuer(mut self, url: &str) -> Self {
        url.clone_into(&mut self.issuer);
        self
    }
}

impl ControlPlane {
    /// What runs a binary where this plane runs.
    fn command(&self, binary: &str) -> Command {
        let binary = match &self.builder.apiserver {
            Some(other) if binary == APISERVER => other.clone(),
            _ => self.assets.binary(binary),
        };
        self.command_of(binary)
    }

    fn command_of(&self, binary: PathBuf) -> Command {
        let Some((first, rest)) = self.builder.prefix.split_first() else {
            return Command::new(binary);
        };
        let mut command = Command::new(first);
        command.args(rest).arg(binary);
        command
    }

    /// Starts a kubelet at the address of this plane, with the folder of its pods.
    pub(crate) fn spawn_kubelet(&self, binary: PathBuf, pods: &Path) -> anyhow::Result<Served> {
        let address = SocketAddr::new(self.addresses.apiserver.ip(), free_port()?);
        let mut kubelet = self.command_of(binary);
        kubelet.arg("--pods").arg(pods);
        kubelet.arg(format!("--bind-address={address}"));
        let process = self.keeper.spawn("kubelet", &kubelet)?;
        Ok(Served { process, address })
    }

    pub(super) fn spawn_etcd(&self) -> anyhow::Result<Process> {
        let client = self.addresses.etcd_url();
        let peer = format!("http://127.0.0.1:{}", self.addresses.etcd_peer);
        let mut etcd = self.command("etcd");
        etcd.arg("--data-dir").arg(self.file("etcd")).args([
            // The data goes with the test, so nothing is gained by waiting for a disk.
            "--unsafe-no-fsync",
            "--log-level=warn",
            &format!("--listen-client-urls={client}"),
            &format!("--advertise-client-urls={client}"),
            &format!("--listen-peer-urls={peer}"),
            &format!("--initial-advertise-peer-urls={peer}"),
            &format!("--initial-cluster=default={peer}"),
        ]);
        self.keeper.spawn("etcd", &etcd)
    }

    pub(super) fn spawn_apiserver(&self) -> anyhow::Result<Process> {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.file(name).display());
        let mut apiserver = self.command(APISERVER);
        apiserver.args([
            &format!("--etcd-servers={}", self.addresses.etcd_url()),
            &format!("--secure-port={}", self.addresses.apiserver.port()),
            &format!("--bind-address={}", self.addresses.apiserver.ip()),
            // Without a default route it refuses to choose one itself.
            &format!("--advertise-address={}", self.addresses.apiserver.ip()),
            "--authorization-mode=RBAC",
            &format!("--service-account-issuer={}", self.builder.issuer),
            &format!("--service-cluster-ip-range={}", self.service_cidr),
            // Watches end at once when it is told to stop.
            "--shutdown-watch-termination-grace-period=1s",
            &file("tls-cert-file", "serving.crt"),
            &file("tls-private-key-file", "serving.key"),
            &file("client-ca-file", "ca.crt"),
            &file("service-account-key-file", "token.pub"),
            &file("service-account-signing-key-file", "token.key"),
            &file("token-auth-file", "tokens.csv"),
            &file("cert-dir", "certificates"),
        ]);
        if self.builder.audit {
            apiserver.args([
                &file("audit-policy-file", "audit-policy.yaml"),
                &file("audit-log-path", "audit.log"),
                // An event is in the log when its request is answered.
                "--audit-log-mode=blocking-strict",
            ]);
        }
        apiserver.args(&self.builder.apiserver_args);
        self.keeper.spawn(APISERVER, &apiserver)
    }

    pub(super) fn spawn_controllers(&self) -> anyhow::Result<Process> {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.file(name).display());
        let mut controllers = self.command(CONTROLLER_MANAGER);
        controllers.args([
            &format!("--kubeconfig={}", self.kubeconfig().display()),
            &format!("--controllers={CONTROLLERS}"),
            "--leader-elect=false",
            "--secure-port=0",
            &file("service-account-private-key-file", "token.key"),
            &file("root-ca-file", "ca.crt"),
        ]);
        self.keeper.spawn(CONTROLLER_MANAGER, &controllers)
    }
}
