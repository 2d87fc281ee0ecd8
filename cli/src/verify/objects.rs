//! The Service and the pods of a run: their manifests, their state, and their deletion.

use std::time::Duration;

use anyhow::Context;
use proto_types::ObjectKey;
use serde_json::{Value, json};

use super::key;
use crate::args;
use crate::cluster::{Cluster, Writes};
use crate::pods::{failure, is_ready};

/// Time that the client pod needs beside the start of its container.
pub(super) const CONNECTING: Duration = Duration::from_secs(60);

/// Label of all objects of runs; its value is the name of the run.
const LABEL: &str = "heliograph.dev/verify";

/// Label by which objects of a killed run are found.
const NAME: &str = "app.kubernetes.io/name";

/// Value of that label.
const PROGRAM: &str = "heliograph-verify";

/// Port of the server of probes.
const PORT: u16 = 8080;

/// Seconds after which the kubelet ends a pod of a run that was killed.
const LIFETIME: u32 = 600;

/// Time for the deletion of one object.
const DELETION: Duration = Duration::from_secs(15);

/// Objects of a run.
pub(super) struct Objects {
    run: String,
    namespace: String,
    label: (String, String),
    requests: usize,
    /// Objects that were created, or may have been.
    created: Vec<(Cluster, String)>,
}

impl Objects {
    /// Objects of a new run; none exists yet.
    pub(super) fn new(asked: &args::Verify) -> Self {
        let now = jiff::Timestamp::now().as_millisecond();
        Self {
            run: format!("heliograph-verify-{:x}", now & 0xffff_ffff),
            namespace: asked.probe_namespace.clone(),
            label: asked.label.clone(),
            requests: asked.requests,
            created: Vec::new(),
        }
    }

    fn path(&self, resource: &str) -> String {
        format!("/api/v1/namespaces/{}/{resource}", self.namespace)
    }

    async fn create(
        &mut self,
        cluster: &Cluster,
        resource: &str,
        object: &Value,
    ) -> anyhow::Result<()> {
        let collection = self.path(resource);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        // Before the request: its answer may be lost.
        let path = format!("{collection}/{name}");
        self.created.push((cluster.clone(), path));
        cluster.create(&collection, object, Writes::Stored).await?;
        Ok(())
    }

    /// Creates the server of probes and its exported Service.
    pub(super) async fn export(
        &mut self,
        source: &Cluster,
        image: &str,
    ) -> anyhow::Result<ObjectKey> {
        let name = self.run.clone();
        let (label, value) = self.label.clone();
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "labels": {NAME: PROGRAM, LABEL: name, label: value}},
            "spec": {
                "selector": {LABEL: name},
                "ports": [{"name": "probe", "port": 80, "targetPort": PORT}],
            },
        });
        let words = json!(["/heliograph", "probe", "serve"]);
        let pod = pod(&name, &name, image, &words, true);
        self.create(source, "pods", &pod).await?;
        self.create(source, "services", &service).await?;
        Ok(key(&self.namespace, &name))
    }

    /// Creates the pod that connects.
    pub(super) async fn connect(
        &mut self,
        local: &Cluster,
        image: &str,
        targets: &[String],
        is_foreign: bool,
    ) -> anyhow::Result<()> {
        let requests = format!("--requests={}", self.requests);
        let wait = format!("--wait={}s", CONNECTING.as_secs() / 3);
        let mut words = vec!["/heliograph", "probe", "connect", "--output=json"];
        words.extend([requests.as_str(), &wait]);
        if is_foreign {
            words.push("--tcp-only");
        }
        words.extend(targets.iter().map(String::as_str));
        let pod = pod(&self.client(), &self.run, image, &json!(words), false);
        self.create(local, "pods", &pod).await
    }

    fn client(&self) -> String {
        format!("{}-client", self.run)
    }

    /// Returns whether the server of probes is ready, or why it does not start.
    pub(super) async fn server_state(
        &self,
        source: &Cluster,
    ) -> anyhow::Result<Result<bool, String>> {
        let path = self.path("pods");
        let pod = source.get(&format!("{path}/{}", self.run)).await?;
        let pod = pod.context("the pod of the run is deleted")?;
        Ok(match failure(&pod) {
            Some(why) => Err(why),
            None => Ok(is_ready(&pod)),
        })
    }

    /// Returns the log of the client pod once it has ended, or why it does not start.
    pub(super) async fn client_log(
        &self,
        local: &Cluster,
    ) -> anyhow::Result<Result<Option<String>, String>> {
        let name = self.client();
        let path = self.path("pods");
        let pod = local.get(&format!("{path}/{name}")).await?;
        let pod = pod.context("the client pod of the run is deleted")?;
        let phase = pod["status"]["phase"].as_str().unwrap_or_default();
        if phase == "Succeeded" || phase == "Failed" {
            let namespace = &self.namespace;
            let log = local.output(namespace, &name, "probe").await?;
            return Ok(Ok(Some(log)));
        }
        Ok(match failure(&pod) {
            Some(why) => Err(why),
            None => Ok(None),
        })
    }

    /// Deletes all objects of the run, and returns those that stay.
    pub(super) async fn delete_all(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        for (cluster, path) in self.created.drain(..).rev() {
            let deleted = tokio::time::timeout(DELETION, cluster.delete(&path)).await;
            let why = match deleted {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => format!("{error:#}"),
                Err(_) => "no answer".to_owned(),
            };
            left.push(format!("{path} in cluster {}: {why}", cluster.name));
        }
        left
    }
}

/// Manifest of a pod that the restricted Pod Security Standard allows.
fn pod(name: &str, run: &str, image: &str, words: &Value, is_server: bool) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {NAME: PROGRAM}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LIFETIME,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "probe", "image": image, "command": words,
                "securityContext": {"allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"memory": "64Mi"}},
            }],
        },
    });
    if is_server {
        // The selector of the probe Service finds the server alone.
        pod["metadata"]["labels"][LABEL] = json!(run);
        pod["spec"]["containers"][0]["ports"] = json!([{"containerPort": PORT}]);
    }
    pod
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::pod;

    #[test]
    fn only_the_server_is_found_by_the_selector() {
        let words = json!(["/heliograph"]);
        let server = pod("run", "run", "image", &words, true);
        let client = pod("run-client", "run", "image", &words, false);
        assert_eq!(server["metadata"]["labels"]["heliograph.dev/verify"], "run");
        assert!(client["metadata"]["labels"]["heliograph.dev/verify"].is_null());
        for pod in [server, client] {
            assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
            assert_eq!(pod["spec"]["activeDeadlineSeconds"], 600);
        }
    }
}
