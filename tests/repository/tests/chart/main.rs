//! The chart renders what the kustomize bases render, and refuses wrong values.

mod cases;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use repository::{path, tool};
use serde_json::{Value, json};

use cases::{cases, merge};

#[test]
fn the_chart_has_the_admission_policy_and_narrow_rights() -> anyhow::Result<()> {
    let policy = fs::read_to_string(path("manifests/own-objects/policy.yaml"))?;
    let binding = fs::read_to_string(path("manifests/own-objects/binding.yaml"))?;
    let copied = fs::read_to_string(path("charts/heliograph/files/own-objects.yaml"))?;
    ensure!(
        copied == format!("{policy}---\n{binding}"),
        "copy manifests/own-objects to charts/heliograph/files/own-objects.yaml"
    );
    let Some(helm) = tool::find("helm")? else {
        return Ok(());
    };
    let values = json!({"reflector": {
        "enabled": true, "admissionPolicy": true,
        "permissions": {"sameNameNamespaces": ["shop", "demo"]},
    }});
    let folder = tempfile::tempdir()?;
    let (succeeded, text) = render(&helm, folder.path(), &values)?;
    ensure!(succeeded, "{text}");
    let found = objects(&text)?;
    let name = "/own-objects.heliograph.dev";
    for kind in ["", "Binding"] {
        let key = format!("\"ValidatingAdmissionPolicy{kind}\" {name}");
        ensure!(found.contains_key(&key), "{key}");
    }
    let rights = &found["\"Role\" mirrors/heliograph-reflector"]["rules"];
    for namespace in ["shop", "demo"] {
        let role = &found[&format!("\"Role\" {namespace}/heliograph-reflector")]["rules"];
        ensure!(role == rights, "{role}");
        let binding = format!("\"RoleBinding\" {namespace}/heliograph-reflector");
        ensure!(found.contains_key(&binding), "{binding}");
    }
    Ok(())
}

/// Objects by kind, namespace and name.
type Objects = BTreeMap<String, Value>;

/// Reads rendered objects without what the two ways of installation have of their own.
fn objects(text: &str) -> anyhow::Result<Objects> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)?;
    let mut found = Objects::new();
    for mut object in documents {
        let name = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let key = format!("{} {}/{}", object["kind"], name("namespace"), name("name"));
        let is_hook = object["metadata"]["annotations"]["helm.sh/hook"].is_string();
        // Helm creates the namespace of a release by itself, and applies CRDs of its own.
        let is_crd = object["kind"] == "CustomResourceDefinition";
        if is_hook || is_crd || key == "\"Namespace\" /heliograph" {
            continue;
        }
        for field in ["labels", "annotations"] {
            strip(&mut object["metadata"], field);
        }
        for file in ["config.yaml", "access.yaml"] {
            if let Some(text) = object["data"][file].as_str() {
                object["data"][file] = serde_saphyr::from_str(text)?;
            }
        }
        ensure!(found.insert(key.clone(), object).is_none(), "twice: {key}");
    }
    Ok(found)
}

fn strip(metadata: &mut Value, field: &str) {
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    let Some(mut map) = metadata.remove(field) else {
        return;
    };
    if let Some(entries) = map.as_object_mut() {
        entries.retain(|key, _| {
            let is_helms = key.starts_with("helm.sh/")
                || ["instance", "managed-by", "part-of"]
                    .iter()
                    .any(|it| *key == format!("app.kubernetes.io/{it}"));
            !is_helms
        });
        if !entries.is_empty() {
            metadata.insert(field.to_owned(), map);
        }
    }
}

/// A kustomization of one base and components, in a folder of its own.
fn kustomization(folder: &Path, base: &str, components: &[&str]) -> anyhow::Result<()> {
    // kustomize takes relative paths only.
    let folder = folder.canonicalize()?;
    let up = "../".repeat(folder.components().count() - 1);
    let root = path("manifests").canonicalize()?;
    let root = root.strip_prefix("/")?.display().to_string();
    let components: Vec<_> = components
        .iter()
        .map(|it| format!("{up}{root}/{it}"))
        .collect();
    let file = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [format!("{up}{root}/{base}")],
        "components": components,
    });
    fs::write(folder.join("kustomization.yaml"), file.to_string())?;
    Ok(())
}

/// Renders the chart with these values.
fn render(helm: &Path, folder: &Path, values: &Value) -> anyhow::Result<(bool, String)> {
    let file = folder.join("values.json");
    fs::write(&file, values.to_string())?;
    let chart = path("charts/heliograph");
    let chart = chart.to_str().context("a path is text")?;
    let file = file.to_str().context("a path is text")?;
    let arguments = [
        "template",
        "heliograph",
        chart,
        "--namespace",
        "heliograph",
        "--values",
        file,
    ];
    tool::run(helm, folder, &arguments)
}

#[test]
fn the_chart_installs_what_the_kustomize_bases_install() -> anyhow::Result<()> {
    let (Some(helm), Some(kubectl)) = (tool::find("helm")?, tool::find("kubectl")?) else {
        return Ok(());
    };
    for (values, base, components) in cases() {
        let folder = tempfile::tempdir()?;
        let (succeeded, rendered) = render(&helm, folder.path(), &values)?;
        ensure!(succeeded, "{values}: {rendered}");
        kustomization(folder.path(), base, components)?;
        let built = tool::succeed(&kubectl, folder.path(), &["kustomize", "."])?;
        let (chart, kustomize) = (objects(&rendered)?, objects(&built)?);
        let names = |it: &Objects| it.keys().cloned().collect::<Vec<_>>();
        ensure!(
            names(&chart) == names(&kustomize),
            "{base} {components:?}: chart {:?}, kustomize {:?}",
            names(&chart),
            names(&kustomize)
        );
        for (key, object) in &chart {
            let other = &kustomize[key];
            ensure!(
                object == other,
                "{base} {components:?}: {key}: chart {object:#}, kustomize {other:#}"
            );
        }
    }
    Ok(())
}

#[test]
fn the_chart_monitors_as_the_component_does() -> anyhow::Result<()> {
    let (Some(helm), Some(kubectl)) = (tool::find("helm")?, tool::find("kubectl")?) else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let values = json!({
        "emitter": {"enabled": true}, "reflector": {"enabled": true},
        "monitoring": {"podMonitor": {"enabled": true}, "prometheusRule": {"enabled": true}},
    });
    let (succeeded, rendered) = render(&helm, folder.path(), &values)?;
    ensure!(succeeded, "{rendered}");
    let built = |components: &[&str]| {
        kustomization(folder.path(), "emitter", components)?;
        objects(&tool::succeed(
            &kubectl,
            folder.path(),
            &["kustomize", "."],
        )?)
    };
    let (without, with) = (built(&[])?, built(&["monitoring"])?);
    let chart = objects(&rendered)?;
    ensure!(without.len() < with.len());
    for (key, object) in with.iter().filter(|(key, _)| !without.contains_key(*key)) {
        let other = chart.get(key);
        let other = other.with_context(|| format!("not in the chart: {key}"))?;
        ensure!(
            object == other,
            "{key}: chart {other:#}, kustomize {object:#}"
        );
    }
    Ok(())
}

/// Options of both pods.
fn pods() -> Value {
    json!({
        "podAnnotations": {"a": "b"}, "podLabels": {"c": "d"}, "nodeSelector": {"e": "f"},
        "tolerations": [{"operator": "Exists"}], "priorityClassName": "high",
        "affinity": {"nodeAffinity": {}},
    })
}

/// Values for all options.
fn all_values() -> Value {
    let mut values = json!({
        "image": {"digest": format!("sha256:{}", "0".repeat(64)), "pullSecrets": ["x"],
            "pullPolicy": "Always"},
        "logLevel": "debug",
        "emitter": {"enabled": true, "tlsSecret": "tls", "accessConfig": {"consumers": []},
            "delegation": true, "serviceExports": true,
            "extraArgs": ["--serve-namespaces"], "anonymousAuth": false,
            "insecurePort": 0, "service": {"type": "LoadBalancer", "annotations": {"g": "h"}}},
        "reflector": {"enabled": true, "secrets": ["east"], "extraArgs": ["--log-level=debug"],
            "config": {"sources": [{"name": "east", "url": "http://e", "prefix": "east"}]}},
        "monitoring": {"podMonitor": {"enabled": true}, "prometheusRule": {"enabled": true},
            "dashboards": {"enabled": true}},
    });
    merge(&mut values["emitter"], &pods());
    merge(&mut values["reflector"], &pods());
    values
}

#[test]
fn every_option_of_the_chart_renders() -> anyhow::Result<()> {
    let Some(helm) = tool::find("helm")? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let (values, pods) = (all_values(), pods());
    let (succeeded, text) = render(&helm, folder.path(), &values)?;
    ensure!(succeeded, "{text}");
    let found = objects(&text)?;
    let (emitter, reflector) = (
        &found["\"Deployment\" heliograph/emitter"],
        &found["\"Deployment\" heliograph/reflector"],
    );
    for deployment in [emitter, reflector] {
        let template = &deployment["spec"]["template"];
        ensure!(template["metadata"]["labels"]["c"] == "d", "{template}");
        ensure!(
            template["metadata"]["annotations"]["a"] == "b",
            "{template}"
        );
        for key in [
            "affinity",
            "nodeSelector",
            "priorityClassName",
            "tolerations",
        ] {
            ensure!(template["spec"][key] == pods[key], "{key}: {template}");
        }
        let image = template["spec"]["containers"][0]["image"].to_string();
        ensure!(image.contains("heliograph@sha256:0"), "{image}");
    }
    let emitter = emitter.to_string();
    for words in [
        "--tls-cert-file=/etc/heliograph-tls/tls.crt",
        "--access-config=/etc/heliograph/access.yaml",
        "--delegate-authorization",
        "--serve-namespaces",
    ] {
        ensure!(emitter.contains(words), "no {words} in {emitter}");
    }
    ensure!(!emitter.contains("--anonymous-auth"), "{emitter}");
    let config = &found["\"ConfigMap\" heliograph/source-api"]["data"]["config.yaml"];
    ensure!(config["sources"][0]["name"] == "east", "{config}");
    ensure!(config["mirrorNamespace"] == "mirrors", "{config}");
    ensure!(found.contains_key("\"PodMonitor\" heliograph/emitter"));
    ensure!(found.contains_key("\"ConfigMap\" heliograph/heliograph-dashboard-emitter"));
    let rules = &found["\"PrometheusRule\" heliograph/heliograph"];
    ensure!(rules["spec"]["groups"][0]["rules"].is_array(), "{rules}");
    Ok(())
}

/// Wrong values, and the key that the message names.
const WRONG: [(&str, &str); 23] = [
    ("emiter: {enabled: true}", "emiter"),
    ("emitter: {enable: true}", "enable"),
    ("emitter: {enabled: 'yes'}", "emitter/enabled"),
    ("emitter: {replicas: 0}", "emitter/replicas"),
    ("emitter: {selector: ''}", "emitter/selector"),
    ("emitter: {securePort: 70000}", "emitter/securePort"),
    ("emitter: {extraArgs: [serve]}", "emitter/extraArgs/0"),
    (
        "emitter: {service: {type: External}}",
        "emitter/service/type",
    ),
    (
        "emitter: {networkPolicy: {cidrs: [10.0.0.1]}}",
        "emitter/networkPolicy/cidrs/0",
    ),
    ("emitter: {resources: {limit: {}}}", "limit"),
    ("image: {digest: latest}", "image/digest"),
    ("image: {pullPolicy: Sometimes}", "image/pullPolicy"),
    ("logLevel: loud", "logLevel"),
    ("reflector: {standby: 2}", "reflector/standby"),
    (
        "reflector: {permissions: {coreEndpoints: true}}",
        "permissions/coreEndpoints",
    ),
    (
        "reflector: {mirrorNamespace: {name: Mirrors}}",
        "mirrorNamespace/name",
    ),
    ("reflector: {config: {source: []}}", "source"),
    (
        "reflector: {config: {deletionHold: 60}}",
        "config/deletionHold",
    ),
    (
        "reflector: {config: {sources: [{name: a, url: 'http://a', prefix: a, sameName: true}]}}",
        "config/sources/0",
    ),
    (
        "reflector: {config: {sources: [{name: local, url: 'http://a', prefix: a}]}}",
        "config/sources/0/name",
    ),
    (
        "reflector: {config: {sources: [{name: a, url: 'http://a', prefix: a, colour: red}]}}",
        "colour",
    ),
    (
        "monitoring: {podMonitor: {interval: 30}}",
        "podMonitor/interval",
    ),
    ("test: {timeout: long}", "test/timeout"),
];

#[test]
fn wrong_values_are_refused_by_the_schema() -> anyhow::Result<()> {
    let Some(helm) = tool::find("helm")? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    for (values, key) in WRONG {
        let values: Value = serde_saphyr::from_str(values)?;
        let (succeeded, text) = render(&helm, folder.path(), &values)?;
        let slashed = text.replace('.', "/");
        ensure!(!succeeded, "accepted: {values}");
        ensure!(
            text.contains(key) || slashed.contains(key),
            "no {key} in {text}"
        );
    }
    Ok(())
}
