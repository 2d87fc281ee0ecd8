//! A local cluster that rejects, changes or keeps objects.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Scene};
use serde_json::{Value, json};

use super::Table;
use crate::configuration::ByFile;
use crate::lab::{Cluster, Lab, MIRRORS, eventually};
use crate::manifests::quiet_cluster;

pub(crate) const BREAKAGES: [&str; 12] = [
    "A ResourceQuota is used up",
    "A webhook cannot be reached",
    "An admission policy refuses the mirror",
    "The namespace is terminating",
    "A right to write is missing",
    "The right to create a namespace is missing",
    "A finalizer keeps a mirror that must be replaced",
    "Another program writes the mirror too",
    "An admission policy changes the mirror",
    "The range of cluster IPs is full",
    "Another replica has the Lease",
    "The rights to Leases are missing",
];

/// Namespaces of the local cluster, which each break something.
const NAMESPACES: [&str; 7] = [
    "quota", "hooked", "policed", "changed", "ending", "readonly", "full",
];

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// An exported Service in a namespace of the source.
async fn export(east: &Cluster, namespace: &str, name: &str) -> anyhow::Result<()> {
    let service = json!({"metadata": {"name": name, "labels": {"case": "same"}},
        "spec": {"ports": [{"name": "http", "port": 80}]}});
    let path = format!("/api/v1/namespaces/{namespace}/services");
    east.post(&path, &service.to_string()).await?;
    let labels = json!({"case": "same", "kubernetes.io/service-name": name});
    let slice = json!({"metadata": {"name": format!("{name}-1"), "labels": labels},
        "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": ["10.1.0.1"]}]});
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    east.post(&path, &slice.to_string()).await
}

/// What the reflector may do: all but slices in `readonly`, and but namespaces.
async fn grant(local: &Cluster) -> anyhow::Result<()> {
    let group = "rbac.authorization.k8s.io";
    let subjects = json!([{"kind": "User", "name": "reflector", "apiGroup": group}]);
    let writes = json!(["create", "update", "patch", "delete"]);
    let all = [
        "services",
        "endpointslices",
        "namespaces",
        "events",
        "nodes",
        "servicecidrs",
        "leases",
        "configmaps",
    ];
    for (name, verbs, resources) in [
        ("read", json!(["get", "list", "watch"]), json!(all)),
        (
            "write",
            writes.clone(),
            json!(["services", "events", "leases", "configmaps"]),
        ),
        ("write-slices", writes, json!(["endpointslices"])),
    ] {
        let groups = [
            "",
            "discovery.k8s.io",
            "events.k8s.io",
            "networking.k8s.io",
            "coordination.k8s.io",
        ];
        let rule = json!({"apiGroups": groups, "verbs": verbs, "resources": resources});
        let role = json!({"metadata": {"name": name}, "rules": [rule]}).to_string();
        local.post(&format!("{RBAC}/clusterroles"), &role).await?;
        let reference = json!({"apiGroup": group, "kind": "ClusterRole", "name": name});
        let binding =
            json!({"metadata": {"name": name}, "roleRef": reference, "subjects": subjects});
        let binding = binding.to_string();
        if name != "write-slices" {
            local
                .post(&format!("{RBAC}/clusterrolebindings"), &binding)
                .await?;
            continue;
        }
        for namespace in NAMESPACES
            .iter()
            .filter(|it| **it != "readonly")
            .chain([&MIRRORS])
        {
            let path = format!("{RBAC}/namespaces/{namespace}/rolebindings");
            local.post(&path, &binding).await?;
        }
    }
    Ok(())
}

fn in_namespace(name: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": name}})
}

const SERVICES: &str =
    r#"{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["services"]}"#;

/// Breaks each namespace in its way.
async fn break_namespaces(local: &Cluster) -> anyhow::Result<()> {
    let rule: Value = serde_json::from_str(SERVICES)?;
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"count/services": "0"}}});
    let path = "/api/v1/namespaces/quota/resourcequotas";
    local.post(path, &quota.to_string()).await?;
    // No controller counts quotas here.
    let status =
        json!({"status": {"hard": {"count/services": "0"}, "used": {"count/services": "0"}}});
    local
        .patch(&format!("{path}/q/status"), &status.to_string())
        .await?;

    let webhook = json!({"metadata": {"name": "unreachable"}, "webhooks": [{
        "name": "unreachable.example.org", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"url": "https://127.0.0.1:1/"}, "rules": [rule],
        "namespaceSelector": in_namespace("hooked")}]});
    let path = format!("{ADMISSION}/validatingwebhookconfigurations");
    local.post(&path, &webhook.to_string()).await?;

    let policy = json!({"metadata": {"name": "no-services"}, "spec": {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": in_namespace("policed")},
        "validations": [{"expression": "false", "message": "services need an owner"}]}});
    local
        .post(
            &format!("{ADMISSION}/validatingadmissionpolicies"),
            &policy.to_string(),
        )
        .await?;
    let binding = json!({"metadata": {"name": "no-services"}, "spec": {
        "policyName": "no-services", "validationActions": ["Deny"]}});
    local
        .post(
            &format!("{ADMISSION}/validatingadmissionpolicybindings"),
            &binding.to_string(),
        )
        .await?;

    let mut rule = rule;
    rule["operations"] = json!(["CREATE", "UPDATE"]);
    let policy = json!({"metadata": {"name": "not-ready"}, "spec": {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": in_namespace("changed")},
        "reinvocationPolicy": "Never", "failurePolicy": "Fail",
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression":
            "Object{spec: Object.spec{publishNotReadyAddresses: true}}"}}]}});
    local
        .post(
            &format!("{ADMISSION}/mutatingadmissionpolicies"),
            &policy.to_string(),
        )
        .await?;
    let binding = json!({"metadata": {"name": "not-ready"}, "spec": {"policyName": "not-ready"}});
    local
        .post(
            &format!("{ADMISSION}/mutatingadmissionpolicybindings"),
            &binding.to_string(),
        )
        .await?;

    let held = r#"{"metadata":{"finalizers":["example.org/hold"]}}"#;
    local.patch("/api/v1/namespaces/ending", held).await?;
    local.delete("/api/v1/namespaces/ending").await
}

/// Waits until the policy that changes Services does so.
async fn policy_works(local: &Cluster) -> anyhow::Result<()> {
    let path = "/api/v1/namespaces/changed/services";
    let service = json!({"metadata": {"name": "probe"}, "spec": {"clusterIP": "None",
        "ports": [{"port": 80}]}})
    .to_string();
    eventually("the policy changes a Service", async || {
        local.post(path, &service).await?;
        let made = local.read(&format!("{path}/probe")).await?;
        local.delete(&format!("{path}/probe")).await?;
        ensure!(made["spec"]["publishNotReadyAddresses"] == true, "{made}");
        Ok(())
    })
    .await
}

/// Creates Services until no address is left.
async fn fill_range(local: &Cluster) -> anyhow::Result<()> {
    for i in 0..16 {
        let service = json!({"metadata": {"name": format!("filler-{i}")},
            "spec": {"ports": [{"port": 80}]}})
        .to_string();
        let path = "/api/v1/namespaces/default/services";
        if local.post(path, &service).await.is_err() {
            return Ok(());
        }
    }
    anyhow::bail!("the range is not full")
}

/// Lets another replica have the Lease, for an hour.
async fn lease(local: &Cluster) -> anyhow::Result<()> {
    let now = "2100-01-01T00:00:00.000000Z";
    let lease = json!({"metadata": {"name": "heliograph-reflector"}, "spec": {
        "holderIdentity": "reflector-5d4f9", "leaseDurationSeconds": 3600,
        "acquireTime": now, "renewTime": now, "leaseTransitions": 1}});
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{MIRRORS}/leases");
    local.post(&path, &lease.to_string()).await
}

/// Changes a mirror again and again.
async fn contend(local: &Cluster, key: &str) {
    let (namespace, name) = key.split_once('/').unwrap_or_default();
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    loop {
        let patch = r#"{"spec":{"sessionAffinity":"ClientIP"}}"#;
        // What is changed at the same time is changed again.
        let _ = local.patch(&path, patch).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// A finalizer on a mirror, whose Service becomes headless.
async fn keep_replaced(east: &Cluster, local: &Cluster, name: &str) -> anyhow::Result<()> {
    let key = format!("{MIRRORS}/p-demo-73736d-{name}");
    eventually("the mirror is there", async || {
        ensure!(local.service(&key).await?.is_some());
        Ok(())
    })
    .await?;
    let held = r#"{"metadata":{"finalizers":["example.org/hold"]}}"#;
    local.patch_service(&key, held).await?;
    east.delete_service(&format!("demo/{name}")).await?;
    let headless = json!({"metadata": {"name": name, "labels": {"case": "prefixed"}},
        "spec": {"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}});
    east.post("/api/v1/namespaces/demo/services", &headless.to_string())
        .await
}

fn config(east: &Cluster) -> Value {
    let source = |name: &str, more: Value| {
        let mut source = json!({"name": name, "kubeconfig": east.plane.kubeconfig()});
        for (key, value) in more.as_object().into_iter().flatten() {
            source[key] = value.clone();
        }
        source
    };
    let same = |case: &str| {
        json!({"sameName": true, "selector": format!("case={case}"),
        "import": {"namespaces": {"allow": ["*"]}}})
    };
    let mut creating = same("created");
    creating["createNamespace"] = json!(true);
    let prefixed = json!({"prefix": "p", "selector": "case=prefixed"});
    json!({"mirrorNamespace": MIRRORS, "sources": [
        source("same", same("same")), source("creating", creating), source("prefixed", prefixed)]})
}

/// A source, and a local cluster with everything broken but its range of addresses.
async fn clusters(scene: &Scene) -> anyhow::Result<(Cluster, Cluster)> {
    let builder = ControlPlane::builder("local").user("reflector");
    let plane = builder
        .service_cidr("10.80.0.0/29")
        .apiserver_arg("--feature-gates=MutatingAdmissionPolicy=true");
    let (east, plane) = tokio::try_join!(quiet_cluster(scene, "east"), scene.start(plane))?;
    let client = plane.client().await?;
    let local = Cluster { plane, client };
    for namespace in NAMESPACES.iter().chain([&"created", &"demo"]) {
        east.create_namespace(namespace).await?;
    }
    for namespace in NAMESPACES.iter().chain([&"demo", &MIRRORS]) {
        local.create_namespace(namespace).await?;
    }
    grant(&local).await?;
    break_namespaces(&local).await?;
    for name in ["kept", "contended"] {
        let service = json!({"metadata": {"name": name, "labels": {"case": "prefixed"}},
            "spec": {"ports": [{"name": "http", "port": 80}]}});
        east.post("/api/v1/namespaces/demo/services", &service.to_string())
            .await?;
    }
    policy_works(&local).await?;
    for namespace in ["changed", "readonly"] {
        export(&east, namespace, "web").await?;
    }
    Ok((east, local))
}

pub(crate) async fn a_write_that_fails_says_why(scene: Arc<Scene>) -> anyhow::Result<()> {
    let table = Table::complete()?;
    let (east, local) = clusters(&scene).await?;
    let lab = Lab::new(Arc::clone(&scene))?;
    let it = ByFile::start_as(&lab, &local, &config(&east), "reflector", &[]).await?;
    keep_replaced(&east, &local, "kept").await?;
    eventually("both are mirrored", async || {
        for key in ["changed/web", "readonly/web"] {
            local.service(key).await?.context("no mirror")?;
        }
        Ok(())
    })
    .await?;
    for namespace in NAMESPACES
        .iter()
        .filter(|it| !["changed", "readonly", "full"].contains(it))
    {
        export(&east, namespace, "web").await?;
    }
    let created = json!({"metadata": {"name": "web", "labels": {"case": "created"}},
        "spec": {"ports": [{"name": "http", "port": 80}]}});
    east.post("/api/v1/namespaces/created/services", &created.to_string())
        .await?;
    let contended = format!("{MIRRORS}/p-demo-73736d-contended");
    let (of_standby, of_writer) = (&BREAKAGES[10..11], &BREAKAGES[..9]);
    tokio::select! {
        shown = table.is_shown(of_writer, &it.reflector, &local) => shown?,
        () = contend(&local, &contended) => {}
    }
    // Addresses are allocated before a mirror is rejected for something else.
    fill_range(&local).await?;
    export(&east, "full", "web").await?;
    table
        .is_shown(&BREAKAGES[9..10], &it.reflector, &local)
        .await?;

    lease(&local).await?;
    let elect = [
        "--leader-elect",
        "--leader-elect-resource-namespace",
        MIRRORS,
    ];
    let standby = ByFile::start_as(&lab, &local, &config(&east), "reflector", &elect).await?;
    table
        .is_shown(of_standby, &standby.reflector, &local)
        .await?;

    let groups = ["", "discovery.k8s.io"];
    let rule = json!({"apiGroups": groups, "resources": ["*"], "verbs": ["get", "list", "watch"]});
    let without = json!({ "rules": [rule] }).to_string();
    for role in ["read", "write"] {
        let role = format!("{RBAC}/clusterroles/{role}");
        local.patch(&role, &without).await?;
    }
    // Its watch is older than the missing rights, and ends with the Lease.
    let lease =
        format!("/apis/coordination.k8s.io/v1/namespaces/{MIRRORS}/leases/heliograph-reflector");
    local.delete(&lease).await?;
    table
        .is_shown(&BREAKAGES[11..], &standby.reflector, &local)
        .await
}
