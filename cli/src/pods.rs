//! Pods of a program: which of them writes, and why one does not start.

use anyhow::Context;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::installation::{Installed, Program};

/// Pods whose state a message has, at most.
const SHOWN: usize = 3;

/// Pods of a program, in the order of their names.
pub(crate) async fn pods(
    cluster: &Cluster,
    namespace: &str,
    program: Program,
) -> anyhow::Result<Vec<Value>> {
    let label = program.label();
    let path = format!(
        "/api/v1/namespaces/{namespace}/pods?labelSelector=app.kubernetes.io%2Fname%3D{label}"
    );
    cluster.list(&path).await
}

/// Name of the pod that writes: the holder of the Lease, or the only one that runs.
pub(crate) async fn writer(
    cluster: &Cluster,
    namespace: &str,
    reflector: &Installed,
) -> anyhow::Result<String> {
    let pods = pods(cluster, namespace, Program::Reflector).await?;
    let holder = match reflector.has_flag("--leader-elect") {
        true => holder(cluster, namespace, reflector).await?,
        false => None,
    };
    choose(&pods, holder.as_deref()).with_context(|| {
        format!(
            "cluster {}: no pod of {} runs in namespace {namespace}{}; see kubectl describe \
             deployment {} -n {namespace}, or name an admin port with --server",
            cluster.name,
            Program::Reflector.label(),
            states(&pods),
            reflector.name()
        )
    })
}

/// Identity of the holder of the Lease, if one holds it.
pub(crate) async fn holder(
    cluster: &Cluster,
    namespace: &str,
    reflector: &Installed,
) -> anyhow::Result<Option<String>> {
    let name = reflector.flag("--leader-elect-resource-name");
    let name = name.unwrap_or("heliograph-reflector");
    let namespace = reflector
        .flag("--leader-elect-resource-namespace")
        .unwrap_or(namespace);
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}");
    let lease = cluster.get(&path).await?;
    let holder = lease.and_then(|it| it["spec"]["holderIdentity"].as_str().map(str::to_owned));
    Ok(holder.filter(|it| !it.is_empty()))
}

/// The pod of the holder, whose identity is `HOST_NONCE`; otherwise the first that is ready,
/// otherwise the first that runs.
fn choose(pods: &[Value], holder: Option<&str>) -> Option<String> {
    let name = |pod: &Value| pod["metadata"]["name"].as_str().map(str::to_owned);
    let runs = |pod: &&Value| {
        pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
    };
    let holds = |pod: &&Value| {
        let held = holder.and_then(|it| it.rsplit_once('_'));
        held.is_some_and(|(held, _)| host(pod) == held)
    };
    let mut running = pods.iter().filter(runs);
    let chosen = running.clone().find(holds);
    let chosen = chosen.or_else(|| running.clone().find(|it| is_ready(it)));
    name(chosen.or_else(|| running.next())?)
}

/// Name of the host that a process of a pod sees.
fn host(pod: &Value) -> &str {
    let spec = &pod["spec"];
    let name = if spec["hostNetwork"] == true {
        spec["nodeName"].as_str()
    } else {
        spec["hostname"].as_str()
    };
    let name = name.or_else(|| pod["metadata"]["name"].as_str());
    name.unwrap_or_default()
}

/// States of pods that do not run, for a message; empty if there is none.
fn states(pods: &[Value]) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let states = pods.iter().take(SHOWN).map(|pod| {
        let is_leaving = !pod["metadata"]["deletionTimestamp"].is_null();
        let phase = text(&pod["status"]["phase"]);
        let state = if is_leaving { "Terminating" } else { &phase };
        let why = failure(pod).map(|it| format!(" ({it})"));
        let name = text(&pod["metadata"]["name"]);
        format!("; {name} is {state}{}", why.unwrap_or_default())
    });
    states.collect()
}

/// Returns why a pod does not start, if that is known.
pub(crate) fn failure(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    let containers = status["containerStatuses"].as_array().into_iter().flatten();
    let mut waiting = containers.map(|it| &it["state"]["waiting"]);
    let bad = waiting.find(|it| {
        let reason = it["reason"].as_str().unwrap_or_default();
        !["", "ContainerCreating", "PodInitializing"].contains(&reason)
    });
    if let Some(bad) = bad {
        let text = |name: &str| bad[name].as_str().unwrap_or_default();
        return Some(format!("{}: {}", text("reason"), text("message")));
    }
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut unscheduled =
        conditions.filter(|it| it["type"] == "PodScheduled" && it["status"] == "False");
    let message = unscheduled.next()?["message"].as_str()?;
    Some(format!("not scheduled: {message}"))
}

/// Returns whether a pod is ready.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{choose, failure, is_ready, states};

    fn pod(name: &str, phase: &str, ready: &str) -> Value {
        json!({
            "metadata": {"name": name},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
        })
    }

    #[test]
    fn the_holder_of_the_lease_is_asked_first_and_a_ready_pod_otherwise() {
        let pods = [pod("a", "Running", "False"), pod("b", "Running", "True")];
        assert_eq!(choose(&pods, Some("a_00ff")).as_deref(), Some("a"));
        assert_eq!(choose(&pods, Some("gone_00ff")).as_deref(), Some("b"));
        assert_eq!(choose(&pods, None).as_deref(), Some("b"));
        assert_eq!(choose(&pods[..1], None).as_deref(), Some("a"));
        assert_eq!(choose(&[pod("c", "Pending", "False")], Some("c_1")), None);
        let mut leaving = pod("d", "Running", "True");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(choose(&[leaving], None), None);
    }

    #[test]
    fn the_holder_is_found_by_the_name_of_its_host() {
        let (a, mut b) = (pod("a", "Running", "True"), pod("b", "Running", "True"));
        b["spec"] = json!({"hostNetwork": true, "nodeName": "node-1"});
        let pods = [a, b];
        assert_eq!(choose(&pods, Some("node-1_00ff")).as_deref(), Some("b"));
        assert_eq!(choose(&pods, Some("b_00ff")).as_deref(), Some("a"));
    }

    #[test]
    fn states_have_the_cause() {
        let mut waiting = pod("c", "Pending", "False");
        let state = json!({"waiting": {"reason": "ErrImagePull", "message": "none"}});
        waiting["status"]["containerStatuses"] = json!([{"state": state}]);
        let mut leaving = pod("d", "Running", "True");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let said = states(&[waiting, leaving]);
        assert_eq!(
            said,
            "; c is Pending (ErrImagePull: none); d is Terminating"
        );
        assert_eq!(states(&[]), "");
    }

    #[test]
    fn pods_that_do_not_start_have_a_cause() {
        let waiting = |reason: &str| {
            json!({"status": {"containerStatuses": [
                {"state": {"waiting": {"reason": reason, "message": "no such image"}}}
            ]}})
        };
        let why = failure(&waiting("ErrImagePull")).unwrap();
        assert_eq!(why, "ErrImagePull: no such image");
        assert_eq!(failure(&waiting("ContainerCreating")), None);
        let unscheduled = json!({"status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "no nodes"}
        ]}});
        assert_eq!(failure(&unscheduled).unwrap(), "not scheduled: no nodes");
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        assert!(is_ready(&ready) && !is_ready(&unscheduled));
        assert_eq!(failure(&ready), None);
    }
}
