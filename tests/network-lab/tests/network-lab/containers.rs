//! Pods that are created by others run: as processes in network namespaces of their own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use control_plane::{Kubelet, Process};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cluster::{Cluster, command_in};
use crate::dns::Dns;
use crate::lab::{Lab, program};

const PODS: &str = "/api/v1/namespaces/demo/pods";
const PERIOD: Duration = Duration::from_millis(100);

/// Scheduler, kubelet and container runtime of a cluster, for pods of `demo`. Ends when dropped.
pub(crate) struct Containers {
    _tasks: JoinSet<()>,
}

/// One cluster and what its pods need.
pub(crate) struct Node {
    pub(crate) lab: Arc<Lab>,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) kubelet: Arc<Kubelet>,
    pub(crate) dns: Option<Dns>,
}

impl Containers {
    pub(crate) fn run(node: Node) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut running = BTreeMap::new();
            loop {
                if let Err(error) = node.reconcile(&mut running).await {
                    eprintln!("{}: {error:#}", node.cluster.node);
                }
                tokio::time::sleep(PERIOD).await;
            }
        });
        Self { _tasks: tasks }
    }
}

impl Node {
    /// Starts pods without a node, reports those that ended, and removes those that are deleted.
    async fn reconcile(&self, running: &mut BTreeMap<String, Process>) -> anyhow::Result<()> {
        let pods = self.cluster.get(PODS).await?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let name = pod["metadata"]["name"].as_str().context("a pod has one")?;
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                if let Some(mut process) = running.remove(name) {
                    process.kill().await?;
                }
                let path = format!("{PODS}/{name}?gracePeriodSeconds=0");
                self.cluster.delete(&path).await?;
            } else if pod["spec"]["nodeName"].is_null() {
                running.insert(name.to_owned(), self.start(name, pod).await?);
            } else if let Some(process) = running.get_mut(name)
                && !process.is_running()
            {
                running.remove(name);
                let status = json!({"status": {"phase": "Succeeded"}});
                let path = format!("{PODS}/{name}/status");
                self.cluster.patch(&path, &status).await?;
            }
        }
        Ok(())
    }

    async fn start(&self, name: &str, pod: &Value) -> anyhow::Result<Process> {
        let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name},
            "target": {"kind": "Node", "name": self.cluster.node}});
        let path = format!("{PODS}/{name}/binding");
        self.cluster.post(&path, &binding).await?;
        let attached = self.cluster.attach(name)?;
        let words = pod["spec"]["containers"][0]["command"].as_array();
        let mut words = words.into_iter().flatten().filter_map(Value::as_str);
        let binary = words.next().context("a container has a command")?;
        let binary = program(binary.trim_start_matches('/'))?;
        let mut command = match &self.dns {
            Some(dns) => dns.command_in(&attached.namespace, binary),
            None => command_in(&attached.namespace, binary),
        };
        command.args(words);
        let keeper = &self.lab.keeper;
        let process = keeper.spawn(name, &command)?;
        let log = keeper.directory().join(format!("{name}.log"));
        self.kubelet.log_is(("demo", name), "probe", &log)?;
        let status = json!({"status": {
            "phase": "Running",
            "podIP": attached.address,
            "podIPs": [{"ip": attached.address}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let path = format!("{PODS}/{name}/status");
        self.cluster.patch(&path, &status).await?;
        Ok(process)
    }
}
