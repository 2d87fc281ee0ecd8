//! What an API server with the ValidatingAdmissionPolicy says.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Scene};
use http::Request;
use serde_json::{Value, json};

use super::table::{AMBIGUOUS, Case, Labels, Operation, Table};
use crate::lab::{Cluster, eventually};
use crate::manifests::install;

/// Lets an API server with the policy say what it thinks of each case.
pub(super) async fn ask(scene: &Scene, table: &Table) -> anyhow::Result<()> {
    let builder = ControlPlane::builder("policy")
        // Names that begin with a digit are none before 1.37.
        .apiserver_arg("--feature-gates=RelaxedServiceNameValidation=true");
    let plane = scene.start(builder).await?;
    let client = plane.client().await?;
    let cluster = Cluster { plane, client };
    let mut namespaces: Vec<&str> = table.cases.iter().map(|case| case.key().0).collect();
    namespaces.extend(["heliograph", "demo"]);
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in namespaces {
        cluster.create_namespace(namespace).await?;
    }
    install(&cluster, "gatekeeper/admission-policy").await?;
    let labels = Labels::from([("heliograph.dev/export".to_owned(), "true".to_owned())]);
    eventually_refused(&cluster, &labels).await?;

    bind(&cluster, table).await?;
    for case in &table.cases {
        let verdict = verdict(&cluster, case, &bound(table, &case.parameters)?).await;
        let verdict = verdict.with_context(|| case.name.clone())?;
        agree(case, verdict.as_deref())?;
    }
    Ok(())
}

fn agree(case: &Case, verdict: Option<&str>) -> anyhow::Result<()> {
    let name = &case.name;
    let Some(message) = verdict else {
        let complaints = case.complaints();
        ensure!(complaints.is_empty(), "{name}: it is accepted");
        return Ok(());
    };
    // Of several validations that fail, an API server tells the first.
    if case.too_long.is_empty() {
        ensure!(
            case.ambiguous && message.contains(AMBIGUOUS),
            "{name}: {message}"
        );
        return Ok(());
    }
    let words = message.split([' ', ',']);
    let is_mirror =
        |word: &&str| word.contains("-73736d-") && word.starts_with(char::is_alphabetic);
    let said: BTreeSet<&str> = words.filter(is_mirror).collect();
    let expected = case.too_long.values().map(String::as_str).collect();
    ensure!(said == expected, "{name}: {message}");
    Ok(())
}

/// Binds the policy once for each set of parameters, to the Services that bear the
/// set's label, and not to all Services any more.
async fn bind(cluster: &Cluster, table: &Table) -> anyhow::Result<()> {
    const BINDINGS: &str =
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";
    let shipped = format!("{BINDINGS}/mirror-name.heliograph.dev");
    let spec = cluster.read(&shipped).await?["spec"].take();
    cluster.delete(&shipped).await?;
    for (name, parameters) in &table.parameters {
        let bound = bound(table, name)?;
        let selector = &bound["set"];
        let mut data = json!({"prefixes": parameters.prefixes.join(", ")});
        if let Some(labels) = &parameters.match_labels {
            let pairs = labels.iter().map(|(key, value)| format!("{key}={value}"));
            data["matchLabels"] = json!(pairs.collect::<Vec<_>>().join(", "));
        }
        let config = json!({"metadata": {"name": selector}, "data": data});
        let configs = "/api/v1/namespaces/heliograph/configmaps";
        cluster.post(configs, &config.to_string()).await?;
        let mut spec = spec.clone();
        spec["paramRef"]["name"] = json!(selector);
        spec["matchResources"]["objectSelector"] = json!({ "matchLabels": bound });
        let binding = json!({"metadata": {"name": selector}, "spec": spec});
        cluster.post(BINDINGS, &binding.to_string()).await?;
        let mut labels = parameters.match_labels.clone().unwrap_or_default();
        labels.extend(bound);
        eventually_refused(cluster, &labels).await?;
    }
    // The one for all Services is gone when nobody minds this any more.
    let labels = Labels::from([("heliograph.dev/export".to_owned(), "true".to_owned())]);
    eventually("the shipped binding is gone", async || {
        let refused = create(cluster, &worst(&labels), true).await?;
        ensure!(refused.is_none(), "{refused:?}");
        Ok(())
    })
    .await
}

/// The label that binds a Service to a set of parameters.
fn bound(table: &Table, parameters: &str) -> anyhow::Result<Labels> {
    let place = table.parameters.keys().position(|it| it == parameters);
    let place = place.context("no such parameters")?;
    Ok(Labels::from([("set".to_owned(), format!("set-{place}"))]))
}

/// A Service whose mirror's name is too long with any prefix.
fn worst(labels: &Labels) -> Value {
    json!({
        "metadata": {"namespace": "demo", "name": "w".repeat(63), "labels": labels},
        "spec": {"ports": [{"port": 80}]},
    })
}

/// Policies, bindings and parameters take a moment to be known.
async fn eventually_refused(cluster: &Cluster, labels: &Labels) -> anyhow::Result<()> {
    eventually("the policy is in force", async || {
        let refused = create(cluster, &worst(labels), true).await?;
        let message = refused.context("it is accepted")?;
        ensure!(message.contains("at most 63 characters"), "{message}");
        Ok(())
    })
    .await
}

/// Why a case is refused. Nothing is changed by it.
async fn verdict(cluster: &Cluster, case: &Case, bound: &Labels) -> anyhow::Result<Option<String>> {
    let (namespace, name) = case.key();
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    let with_bound = |labels: &Labels| {
        let mut labels = labels.clone();
        labels.extend(bound.clone());
        labels
    };
    let labels = with_bound(&case.labels);
    let before = match case.operation {
        Operation::Create => return create(cluster, &case.object(&labels), true).await,
        Operation::Update => &case.old_labels,
        Operation::Delete => &case.labels,
    };
    // What is not bound may be created, whatever it is called.
    let refused = create(cluster, &case.object(before), false).await?;
    ensure!(refused.is_none(), "it could not be created: {refused:?}");
    let dry = format!("{path}?dryRun=All");
    let refused = match case.operation {
        Operation::Create => unreachable!("it has returned"),
        Operation::Update => send(cluster, label(&dry, &labels)?).await?,
        Operation::Delete => {
            let refused = send(cluster, label(&path, &labels)?).await?;
            ensure!(refused.is_none(), "it could not be bound: {refused:?}");
            send(cluster, Request::delete(&dry).body(Vec::new())?).await?
        }
    };
    cluster.delete(&path).await?;
    Ok(refused)
}

async fn create(cluster: &Cluster, object: &Value, dry: bool) -> anyhow::Result<Option<String>> {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let query = if dry { "?dryRun=All" } else { "" };
    let request = Request::post(format!("/api/v1/namespaces/{namespace}/services{query}"))
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())?;
    send(cluster, request).await
}

/// Gives a Service these labels and no other.
fn label(path: &str, labels: &Labels) -> anyhow::Result<Request<Vec<u8>>> {
    let patch = json!([{"op": "add", "path": "/metadata/labels", "value": labels}]);
    let request = Request::patch(path)
        .header("content-type", "application/json-patch+json")
        .body(patch.to_string().into_bytes())?;
    Ok(request)
}

/// Why a policy refuses it; what anything else refuses is an error.
async fn send(cluster: &Cluster, request: Request<Vec<u8>>) -> anyhow::Result<Option<String>> {
    match cluster.client.request_text(request).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy") => {
            Ok(Some(status.message.clone()))
        }
        Err(error) => Err(error.into()),
    }
}
