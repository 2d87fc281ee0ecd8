//! One cluster: its node, its pods, its objects.
//!
//! Invariants: cluster `n` has the node address 10.254.0.n, pods in 10.n.0.0/24 and
//! Services in 10.(100 + n).0.0/16, and alike for IPv6 where there is any, so no two clusters share an address; a pod is a
//! network namespace of its own, behind its node as behind a router.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Scene};
use http::Request;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::network::{allow_forwarding, exec_in, has_ipv6, ip, ip_in, where_ipv6, within};
use crate::traffic::{POD_PORT, serve};
use crate::world::{ROUTER, ROUTER_6};

/// The label that the lab exports by.
pub(crate) const EXPORT: &str = "heliograph.dev/export";

/// One node with a control plane.
pub(crate) struct Cluster {
    n: u8,
    /// The network namespace of its node, and the node's name.
    pub(crate) node: String,
    pub(crate) plane: Arc<ControlPlane>,
    client: kube::Client,
    n_pods: AtomicU8,
    servers: Mutex<JoinSet<()>>,
}

/// A network namespace with one address.
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) address: Ipv4Addr,
    address_6: Ipv6Addr,
}

/// The router of every pod: its node, at the other end of its only link.
const GATEWAY: &str = "169.254.1.1";

/// The same for IPv6.
const GATEWAY_6: &str = "fe80::1";

impl Cluster {
    /// A node on the wire, and a control plane on the node.
    pub(crate) async fn start(scene: &Scene, name: &str) -> anyhow::Result<Self> {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(n < 100, "there are too many clusters");
        let node = format!("{name}-{n}");
        lay_wire(n, &node)?;
        let builder = ControlPlane::builder(name)
            .controllers()
            .prefix(&exec_in(&node))
            .address(IpAddr::V4(node_address(n)))
            .service_cidr(&format!("10.{}.0.0/16,fd00:100:{n}::/112", 100 + n));
        let plane = scene.start(builder).await?;
        let client = plane.client().await?;
        let cluster = Self {
            n,
            node,
            plane,
            client,
            n_pods: AtomicU8::new(1),
            servers: Mutex::default(),
        };
        cluster.create_node().await?;
        Ok(cluster)
    }

    async fn create_node(&self) -> anyhow::Result<()> {
        let node = json!({ "metadata": { "name": self.node } });
        self.post("/api/v1/nodes", &node).await?;
        // kube-proxy waits half a minute for it.
        let addresses = json!([
            { "type": "InternalIP", "address": self.address() },
            { "type": "InternalIP", "address": node_address_6(self.n) },
        ]);
        let status = json!({ "status": { "addresses": addresses } });
        self.patch(&format!("/api/v1/nodes/{}/status", self.node), &status)
            .await
    }

    /// Says which zone the node is in: the one named like the cluster.
    ///
    /// Only once kube-proxy runs, which misses what it is told of its node between
    /// its asking for it and its having somebody to tell (1.36: `NewNodeTopologyConfig`
    /// before `RegisterEventHandler`), and then knows no zone until the node changes.
    pub(crate) async fn name_zone(&self) -> anyhow::Result<()> {
        let zone = json!({ "topology.kubernetes.io/zone": self.plane.name() });
        let node = json!({ "metadata": { "labels": zone } });
        self.patch(&format!("/api/v1/nodes/{}", self.node), &node)
            .await
    }

    /// The address of its node.
    pub(crate) const fn address(&self) -> Ipv4Addr {
        node_address(self.n)
    }

    /// The ranges of its pods.
    pub(crate) fn pod_ranges(&self) -> String {
        format!("10.{0}.0.0/24,fd00:10:{0}::/64", self.n)
    }

    /// The address of the Service of its DNS servers.
    pub(crate) const fn dns_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 100 + self.n, 0, 10)
    }

    /// A program that is to run on its node.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        command_in(&self.node, program)
    }

    /// A namespace with an address, of which the API server knows nothing.
    pub(crate) fn attach(&self, name: &str) -> anyhow::Result<Pod> {
        let i = self.n_pods.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::new(10, self.n, 0, i);
        let address_6 = Ipv6Addr::new(0xfd00, 0x10, group(self.n), 0, 0, 0, 0, i.into());
        let (node, namespace) = (&self.node, format!("{}-{name}", self.node));
        ip(&format!("netns add {namespace}"))?;
        ip_in(
            node,
            &format!(
                "link add pod{i} type veth peer name eth0 netns {namespace}
                 address add {GATEWAY}/32 dev pod{i}
                 link set pod{i} up
                 route add {address}/32 dev pod{i}"
            ),
        )?;
        ip_in(
            &namespace,
            &format!(
                "link set lo up
                 address add {address}/32 dev eth0
                 link set eth0 up
                 route add {GATEWAY} dev eth0
                 route add default via {GATEWAY}"
            ),
        )?;
        ip_in(
            node,
            where_ipv6(&format!(
                "address add {GATEWAY_6}/64 dev pod{i} nodad
                 route add {address_6}/128 dev pod{i}"
            )),
        )?;
        ip_in(
            &namespace,
            where_ipv6(&format!(
                "address add {address_6}/128 dev eth0 nodad
                 route add default via {GATEWAY_6} dev eth0"
            )),
        )?;
        Ok(Pod {
            namespace,
            address,
            address_6,
        })
    }

    /// A pod of a Service in `demo`: it answers with its name, and is ready.
    pub(crate) async fn run_pod(&self, service: &str, name: &str) -> anyhow::Result<Pod> {
        let pod = self.attach(name)?;
        for address in pod.addresses() {
            let server = serve(&pod.namespace, address, name)?;
            self.servers.lock().spawn(server);
        }
        let object = json!({
            "metadata": { "name": name, "labels": { "app": service } },
            "spec": {
                "nodeName": self.node,
                "hostname": name,
                "subdomain": service,
                "automountServiceAccountToken": false,
                "containers": [{ "name": "server", "image": "server" }],
            },
        });
        self.post("/api/v1/namespaces/demo/pods", &object).await?;
        let addresses: Vec<Value> = (pod.addresses().iter())
            .map(|it| json!({ "ip": it }))
            .collect();
        let status = json!({ "status": {
            "phase": "Running",
            "podIP": pod.address,
            "podIPs": addresses,
            "conditions": [{ "type": "Ready", "status": "True" }],
        } });
        self.patch(
            &format!("/api/v1/namespaces/demo/pods/{name}/status"),
            &status,
        )
        .await?;
        Ok(pod)
    }

    /// A pod passes or fails its readiness probe.
    pub(crate) async fn set_ready(&self, pod: &str, is_ready: bool) -> anyhow::Result<()> {
        let status = if is_ready { "True" } else { "False" };
        let status = json!({ "status": {
            "conditions": [{ "type": "Ready", "status": status }],
        } });
        let path = format!("/api/v1/namespaces/demo/pods/{pod}/status");
        self.patch(&path, &status).await
    }

    /// Asks a pod to end, as a rollout does. It goes on answering.
    pub(crate) async fn delete_pod(&self, name: &str) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/demo/pods/{name}?gracePeriodSeconds=30");
        self.delete(&path).await
    }

    /// An exported Service in `demo` of the pods with its name as `app`.
    pub(crate) async fn create_service(&self, name: &str, spec: &Value) -> anyhow::Result<()> {
        let mut service = json!({
            "metadata": { "name": name, "labels": { EXPORT: "true" } },
            "spec": {
                "selector": { "app": name },
                "ports": [{ "name": "http", "port": 80, "targetPort": POD_PORT }],
            },
        });
        let further = spec.as_object().into_iter().flatten();
        for (key, value) in further {
            service["spec"][key] = value.clone();
        }
        self.post("/api/v1/namespaces/demo/services", &service)
            .await
    }

    /// Where a Service of its own is reached; at one address for each family.
    pub(crate) async fn service_addresses(&self, key: &str) -> anyhow::Result<Vec<SocketAddr>> {
        let (namespace, name) = key.split_once('/').context("a key is namespace/name")?;
        let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
        let service = self.get(&path).await?;
        let addresses = service["spec"]["clusterIPs"].as_array();
        let addresses = addresses.context("it has no address")?.iter();
        addresses
            .map(|it| {
                Ok(SocketAddr::new(
                    it.as_str().unwrap_or_default().parse()?,
                    80,
                ))
            })
            .collect()
    }

    /// Where a Service of its own is reached first.
    pub(crate) async fn service_address(&self, key: &str) -> anyhow::Result<SocketAddr> {
        let addresses = self.service_addresses(key).await?;
        addresses.first().copied().context("it has no address")
    }

    pub(crate) async fn post(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        let request = Request::post(path)
            .header("content-type", "application/json")
            .body(object.to_string().into_bytes())?;
        let posted = self.client.request_text(request).await;
        posted.with_context(|| format!("POST {path}"))?;
        Ok(())
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let request = Request::delete(path).body(Vec::new())?;
        self.client.request_text(request).await?;
        Ok(())
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = Request::get(path).body(Vec::new())?;
        Ok(self.client.request(request).await?)
    }

    pub(crate) async fn patch(&self, path: &str, patch: &Value) -> anyhow::Result<()> {
        let request = Request::patch(path)
            .header("content-type", "application/strategic-merge-patch+json")
            .body(patch.to_string().into_bytes())?;
        let patched = self.client.request_text(request).await;
        patched.with_context(|| format!("PATCH {path}"))?;
        Ok(())
    }
}

/// Makes the namespace of a node, joins it to the wire and routes to its pods.
fn lay_wire(n: u8, node: &str) -> anyhow::Result<()> {
    let address_6 = node_address_6(n);
    ip(&format!(
        "netns add {node}
         link add node{n} type veth peer name wire netns {node}
         link set node{n} master wire up"
    ))?;
    ip_in(
        node,
        &format!(
            "link set lo up
             address add 10.254.0.{n}/24 dev wire
             link set wire up
             route add default via {ROUTER}"
        ),
    )?;
    ip(&format!("route add 10.{n}.0.0/24 via 10.254.0.{n}"))?;
    ip_in(
        node,
        where_ipv6(&format!(
            "address add {address_6}/64 dev wire nodad
             route add default via {ROUTER_6}"
        )),
    )?;
    ip(where_ipv6(&format!(
        "route add fd00:10:{n}::/64 via {address_6}"
    )))?;
    within(node, || Ok(allow_forwarding()?))
}

const fn node_address(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 254, 0, n)
}

fn node_address_6(n: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x254, 0, 0, 0, 0, 0, group(n))
}

/// A group of an IPv6 address that reads like the number.
fn group(n: u8) -> u16 {
    u16::from(n / 10) << 4 | u16::from(n % 10)
}

impl Pod {
    fn addresses(&self) -> Vec<IpAddr> {
        let mut addresses = vec![IpAddr::V4(self.address)];
        addresses.extend(has_ipv6().then_some(IpAddr::V6(self.address_6)));
        addresses
    }
}

/// A program that is to run within a namespace.
pub(crate) fn command_in(namespace: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let [first, rest @ ..] = exec_in(namespace);
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}
