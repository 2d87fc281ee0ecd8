//! CoreDNS, the recipes, and what a pod resolves.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::json;

use crate::cluster::{Cluster, Pod, command_in};
use crate::lab::{Lab, eventually, tool};

/// The DNS of a cluster, as its pods see it.
pub(crate) struct Dns {
    resolv_conf: PathBuf,
    server: String,
}

/// An SRV record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Srv {
    pub(crate) owner: String,
    pub(crate) target: String,
    pub(crate) port: u16,
}

/// What every cluster has; a recipe comes beside it.
const CLUSTER_LOCAL: &str = "
.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    cache 30
    loop
    reload
    loadbalance
}
";

/// Asks a server for the SRV records of a name, and prints their owners, targets and ports.
const ASK_FOR_SRV: &str = r#"
import socket, struct, sys
server, name = sys.argv[1:]
question = b"".join(bytes([len(it)]) + it.encode() for it in name.split(".")) + b"\0"
query = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + question + struct.pack("!HH", 33, 1)
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.settimeout(5)
asked.sendto(query, (server, 53))
answer = asked.recv(65535)

def read(at):
    labels, end = [], None
    while answer[at]:
        if answer[at] >= 0xC0:
            end = end or at + 2
            at = struct.unpack("!H", answer[at : at + 2])[0] & 0x3FFF
        else:
            labels.append(answer[at + 1 : at + 1 + answer[at]].decode())
            at += 1 + answer[at]
    return ".".join(labels), end or at + 1

at = read(12)[1] + 4
for _ in range(struct.unpack("!H", answer[6:8])[0]):
    owner, at = read(at)
    kind, _, _, length = struct.unpack("!HHIH", answer[at : at + 10])
    at += 10
    if kind == 33:
        port = struct.unpack("!H", answer[at + 4 : at + 6])[0]
        print(owner, read(at + 6)[0], port)
    at += length
"#;

/// Puts a resolver's configuration in place for itself alone, then becomes the program.
const WITH_RESOLV_CONF: &str = r#"mount --bind "$0" /etc/resolv.conf && exec "$@""#;

impl Dns {
    /// Starts CoreDNS as a pod behind the Service `kube-dns`.
    pub(crate) async fn start(lab: &Lab, cluster: &Cluster, recipe: &str) -> anyhow::Result<Self> {
        let pod = cluster.attach("coredns")?;
        let directory = lab.keeper.directory();
        let file = directory.join(format!("{}.Corefile", cluster.node));
        let blocks = [CLUSTER_LOCAL, recipe].concat();
        fs::write(&file, with_kubeconfig(&blocks, &cluster.plane.kubeconfig()))?;
        let mut command = command_in(&pod.namespace, tool("coredns")?);
        command.arg("-conf").arg(file);
        lab.start("coredns", &command)?;
        expose(cluster, &pod).await?;

        let resolv_conf = directory.join(format!("{}.resolv.conf", cluster.node));
        // As a kubelet writes it.
        let lines = format!(
            "nameserver {}\nsearch demo.svc.cluster.local svc.cluster.local cluster.local\n\
             options ndots:5 timeout:1 attempts:2\n",
            cluster.dns_address()
        );
        fs::write(&resolv_conf, lines)?;
        let dns = Self {
            resolv_conf,
            server: cluster.dns_address().to_string(),
        };
        let resolved = dns
            .eventually(&pod, "kubernetes.default.svc.cluster.local")
            .await?;
        ensure!(resolved.len() == 1, "the API server has {resolved:?}");
        Ok(dns)
    }

    /// A program that is to run within a namespace, with this resolver.
    pub(crate) fn command_in(&self, namespace: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = command_in(namespace, "sh");
        command.args(["-c", WITH_RESOLV_CONF]);
        command.arg(&self.resolv_conf).arg(program);
        command
    }

    /// The addresses that a pod gets for a name, by its C library, sorted.
    pub(crate) fn resolve(&self, pod: &Pod, name: &str) -> anyhow::Result<Vec<Ipv4Addr>> {
        let mut command = self.command_in(&pod.namespace, "getent");
        let output = command.args(["ahostsv4", name]).output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name} has no address {words}");
        let lines = String::from_utf8(output.stdout)?;
        // A line for each address and kind of socket.
        let addresses = lines.lines().filter_map(|it| it.split_whitespace().next());
        let addresses: Result<BTreeSet<Ipv4Addr>, _> = addresses.map(str::parse).collect();
        Ok(addresses?.into_iter().collect())
    }

    /// The SRV records that a pod gets for a name, sorted by target.
    pub(crate) fn services(&self, pod: &Pod, name: &str) -> anyhow::Result<Vec<Srv>> {
        let mut command = command_in(&pod.namespace, "python3");
        command.args(["-c", ASK_FOR_SRV, &self.server, name]);
        let output = command.output()?;
        let words = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {words}");
        let lines = String::from_utf8(output.stdout)?;
        let mut found = Vec::new();
        for line in lines.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [owner, target, port] = words.as_slice() else {
                anyhow::bail!("no record: {line}");
            };
            found.push(Srv {
                owner: (*owner).to_owned(),
                target: (*target).to_owned(),
                port: port.parse()?,
            });
        }
        found.sort_by(|one, other| one.target.cmp(&other.target));
        Ok(found)
    }

    /// The addresses that a pod gets as soon as it gets any.
    pub(crate) async fn eventually(&self, pod: &Pod, name: &str) -> anyhow::Result<Vec<Ipv4Addr>> {
        eventually(name, async || self.resolve(pod, name)).await
    }

    /// Waits until a pod gets exactly these addresses, which must be sorted.
    pub(crate) async fn eventually_has(
        &self,
        pod: &Pod,
        name: &str,
        addresses: &[Ipv4Addr],
    ) -> anyhow::Result<()> {
        eventually(name, async || {
            let found = self.resolve(pod, name)?;
            ensure!(
                found == addresses,
                "{name} has {found:?}, not {addresses:?}"
            );
            Ok(())
        })
        .await
    }
}

/// A Corefile for a CoreDNS that is not a pod of the API server's, and so has no account.
fn with_kubeconfig(corefile: &str, kubeconfig: &Path) -> String {
    let lines = corefile.lines().map(|line| {
        let is_plugin = line.trim_start().starts_with("kubernetes ");
        let further = format!("        kubeconfig {}\n", kubeconfig.display());
        format!("{line}\n{}", if is_plugin { &further } else { "" })
    });
    lines.collect()
}

/// Puts it behind the Service `kube-dns`, as one of its endpoints on the only node.
async fn expose(cluster: &Cluster, pod: &Pod) -> anyhow::Result<()> {
    let ports = json!([{ "name": "dns", "port": 53, "protocol": "UDP" }]);
    let service = json!({
        "metadata": { "name": "kube-dns" },
        "spec": { "clusterIP": cluster.dns_address(), "ports": ports },
    });
    cluster
        .post("/api/v1/namespaces/kube-system/services", &service)
        .await?;
    let slice = json!({
        "metadata": {
            "name": "kube-dns",
            "labels": { "kubernetes.io/service-name": "kube-dns" },
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": [{ "addresses": [pod.address], "nodeName": cluster.node }],
    });
    let slices = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
    cluster.post(slices, &slice).await
}

/// The recipe of docs/dns.md under that heading.
pub(crate) fn recipe(heading: &str) -> anyhow::Result<String> {
    recipe_of("dns.md", heading)
}

/// The first block of code of a page under a heading.
pub(crate) fn recipe_of(name: &str, heading: &str) -> anyhow::Result<String> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let page = fs::read_to_string(docs.join(name));
    let page = page.with_context(|| format!("cannot read docs/{name}"))?;
    let section = page.split("\n## ").find_map(|it| it.strip_prefix(heading));
    let block = section.and_then(|it| it.split("```").nth(1));
    let block = block.with_context(|| format!("docs/{name} has no recipe under {heading:?}"))?;
    Ok(block.to_owned())
}
