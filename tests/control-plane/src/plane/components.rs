//! The command lines of a control plane's components.

use std::process::Command;

use super::{ControlPlane, ports};
use crate::keeper::Process;

/// Where the components listen, and which addresses Services get.
#[derive(Debug)]
pub(super) struct Addresses {
    etcd: u16,
    etcd_peer: u16,
    apiserver: u16,
}

impl Addresses {
    pub(super) fn choose() -> std::io::Result<Self> {
        let [etcd, etcd_peer, apiserver] = ports::free()?;
        Ok(Self {
            etcd,
            etcd_peer,
            apiserver,
        })
    }

    pub(super) fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd)
    }

    pub(super) fn apiserver_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.apiserver)
    }
}

/// What a mirror depends on. Each controller more costs a start some time.
const CONTROLLERS: &str = "endpoints-controller,endpointslice-controller,\
    endpointslice-mirroring-controller,namespace-controller,serviceaccount-controller,\
    garbage-collector-controller";

impl ControlPlane {
    pub(super) fn spawn_etcd(&self) -> anyhow::Result<Process> {
        let client = self.addresses.etcd_url();
        let peer = format!("http://127.0.0.1:{}", self.addresses.etcd_peer);
        let mut etcd = Command::new(self.assets.binary("etcd"));
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
        let mut apiserver = Command::new(self.assets.binary("kube-apiserver"));
        apiserver.args([
            &format!("--etcd-servers={}", self.addresses.etcd_url()),
            &format!("--secure-port={}", self.addresses.apiserver),
            "--bind-address=127.0.0.1",
            // Without a default route it refuses to choose one itself.
            "--advertise-address=127.0.0.1",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.96.0.0/16",
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
        self.keeper.spawn("kube-apiserver", &apiserver)
    }

    pub(super) fn spawn_controllers(&self) -> anyhow::Result<Process> {
        let file = |flag: &str, name: &str| format!("--{flag}={}", self.file(name).display());
        let mut controllers = Command::new(self.assets.binary("kube-controller-manager"));
        controllers.args([
            &format!("--kubeconfig={}", self.kubeconfig().display()),
            &format!("--controllers={CONTROLLERS}"),
            "--leader-elect=false",
            "--secure-port=0",
            &file("service-account-private-key-file", "token.key"),
            &file("root-ca-file", "ca.crt"),
        ]);
        self.keeper.spawn("kube-controller-manager", &controllers)
    }
}
