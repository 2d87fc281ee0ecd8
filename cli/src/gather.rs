//! `heliograph gather`: a support bundle, as a tar archive of readable files.
//!
//! Invariant: nothing of a Secret is in it. Secrets are not read, and values of keys that are
//! called like credentials are removed from what is.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use crate::admin::Admin;
use crate::args::{self, Global};
use crate::cluster::Cluster;
use crate::installation::{Installed, Program};
use crate::output::{Printer, yaml};
use crate::pods::pods;

/// Files of the bundle, in the order in which they were gathered.
#[derive(Debug, Default)]
struct Bundle {
    files: Vec<(String, String)>,
    failures: Vec<String>,
}

/// Runs the subcommand.
pub(crate) async fn run(
    global: &Global,
    asked: &args::Gather,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::of(global).await?;
    let mut bundle = Bundle::default();
    versions(&cluster, &mut bundle).await;
    for (name, path) in documents(&global.namespace) {
        let listed = cluster.list(&path).await;
        bundle.add(
            &format!("objects/{name}.yaml"),
            listed.and_then(|it| readable(&it)),
        );
    }
    for program in [Program::Emitter, Program::Reflector] {
        processes(&cluster, global, program, asked.tail, &mut bundle).await;
    }
    let failures = bundle.failures.join("\n");
    bundle.files.push(("failures.txt".to_owned(), failures));
    write(&asked.filename, &bundle.files)?;
    let written = json!({
        "file": asked.filename,
        "files": bundle.files.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "failures": bundle.failures,
    });
    let path = asked.filename.display();
    printer.print(&written, || {
        let n_failures = bundle.failures.len();
        let n_files = bundle.files.len();
        format!("{path}: {n_files} files; {n_failures} could not be read (failures.txt)\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

impl Bundle {
    fn add(&mut self, name: &str, text: anyhow::Result<String>) {
        match text {
            Ok(text) => self.files.push((name.to_owned(), text)),
            Err(error) => self.failures.push(format!("{name}: {error:#}")),
        }
    }
}

/// Lists of the bundle: what Heliograph has installed and what it writes.
fn documents(namespace: &str) -> Vec<(&'static str, String)> {
    let ours = "labelSelector=heliograph.dev%2Fsource";
    let within = |group: &str, resource: &str| format!("{group}/namespaces/{namespace}/{resource}");
    vec![
        ("deployments", within("/apis/apps/v1", "deployments")),
        ("pods", within("/api/v1", "pods")),
        ("configmaps", within("/api/v1", "configmaps")),
        ("services", within("/api/v1", "services")),
        ("events", within("/apis/events.k8s.io/v1", "events")),
        ("leases", within("/apis/coordination.k8s.io/v1", "leases")),
        (
            "networkpolicies",
            within("/apis/networking.k8s.io/v1", "networkpolicies"),
        ),
        ("nodes", "/api/v1/nodes".to_owned()),
        (
            "servicecidrs",
            "/apis/networking.k8s.io/v1/servicecidrs".to_owned(),
        ),
        ("mirror-services", format!("/api/v1/services?{ours}")),
        (
            "mirror-endpointslices",
            format!("/apis/discovery.k8s.io/v1/endpointslices?{ours}"),
        ),
    ]
}

async fn versions(cluster: &Cluster, bundle: &mut Bundle) {
    let version = cluster.get("/version").await;
    let version = version.and_then(|kubernetes| {
        yaml(&json!({"heliograph": env!("CARGO_PKG_VERSION"), "kubernetes": kubernetes}))
    });
    bundle.add("versions.yaml", version);
}

/// Logs, status and metrics of each pod of a program.
async fn processes(
    cluster: &Cluster,
    global: &Global,
    program: Program,
    tail: i64,
    bundle: &mut Bundle,
) {
    let namespace = &global.namespace;
    let installed = Installed::find(cluster, namespace, program).await;
    let Ok(Some(installed)) = installed else {
        return;
    };
    let pods = match pods(cluster, namespace, program).await {
        Ok(pods) => pods,
        Err(error) => {
            bundle
                .failures
                .push(format!("pods of {}: {error:#}", program.label()));
            return;
        }
    };
    for pod in pods.iter().filter_map(|it| it["metadata"]["name"].as_str()) {
        let log = cluster.log(namespace, pod, program.container(), tail).await;
        bundle.add(&format!("pods/{pod}/log.txt"), log);
        let port = installed.admin_port();
        let admin = Admin::of_pod(cluster, namespace, pod.to_owned(), port);
        bundle.add(
            &format!("pods/{pod}/metrics.txt"),
            admin.text("/metrics").await,
        );
        if program == Program::Reflector {
            let status = admin.json::<Value>("/status").await;
            bundle.add(
                &format!("pods/{pod}/status.yaml"),
                status.and_then(|it| yaml(&it)),
            );
        }
    }
}

/// Returns objects in YAML, without fields that are of no use or confidential.
fn readable(objects: &[Value]) -> anyhow::Result<String> {
    let mut objects = objects.to_vec();
    for object in &mut objects {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        redact(object);
    }
    yaml(&objects)
}

const REMOVED: &str = "REMOVED";

/// Removes values of keys and environment variables that are called like credentials, and
/// lines of such keys within texts.
fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let name = fields
                .get("name")
                .and_then(Value::as_str)
                .map(is_credential);
            if name == Some(true) && fields.get("value").is_some_and(Value::is_string) {
                fields.insert("value".to_owned(), REMOVED.into());
            }
            for (key, value) in fields {
                match value {
                    Value::String(text) if is_credential(key) => REMOVED.clone_into(text),
                    other => redact(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(redact),
        Value::String(text) => {
            if text.contains("PRIVATE KEY") {
                REMOVED.clone_into(text);
            } else if text.lines().any(|it| credential_line(it).is_some()) {
                let lines = text.lines().map(|line| match credential_line(line) {
                    Some(head) => format!("{head}: {REMOVED}"),
                    None => line.to_owned(),
                });
                *text = lines.collect::<Vec<_>>().join("\n");
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The part of a line before the colon, if it is the key of a credential with a value.
fn credential_line(line: &str) -> Option<&str> {
    let (head, value) = line.split_once(':')?;
    let key = head
        .trim_start_matches([' ', '-', '{'])
        .trim_matches(['"', '\'', ' ']);
    (is_credential(key) && !value.trim().is_empty()).then_some(head)
}

fn is_credential(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    // Places of credentials are no credentials.
    let is_place = ["file", "variable", "path", "name", "url", "audience"];
    let is_place = is_place.iter().any(|it| key.ends_with(it));
    let words = [
        "token",
        "password",
        "secret",
        "client-key",
        "private",
        "apikey",
        "api_key",
    ];
    !is_place && words.iter().any(|it| key.ends_with(it))
}

fn write(path: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    let create = || -> std::io::Result<()> {
        let mut archive = tar::Builder::new(std::fs::File::create(path)?);
        let now = jiff::Timestamp::now().as_second();
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(now.unsigned_abs());
            archive.append_data(&mut header, format!("heliograph/{name}"), text.as_bytes())?;
        }
        archive.into_inner()?.flush()
    };
    create().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::json;

    use super::{readable, write};

    #[test]
    fn credentials_are_removed_and_their_places_stay() {
        let objects = [json!({
            "metadata": {"name": "x", "managedFields": [{}]},
            "data": {
                "config.yaml": "sources:\n- name: east\n  token: abc123\n  tokenFile: /run/t\n",
                "key.pem": "-----BEGIN EC PRIVATE KEY-----\nhidden\n",
                "password": "abc123",
            },
            "spec": {"env": [{"name": "PROXY_PASSWORD", "value": "abc123"}, {"name": "A",
                "value": "kept"}]},
        })];
        let text = readable(&objects).unwrap();
        for gone in ["abc123", "hidden", "managedFields"] {
            assert!(!text.contains(gone), "{gone}: {text}");
        }
        for kept in ["/run/t", "kept", "token: REMOVED"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn the_archive_opens_to_its_files() {
        let path = std::env::temp_dir().join(format!("gather-{}.tar", std::process::id()));
        let long = format!("pods/{}/log.txt", "p".repeat(150));
        let files = [
            (long.clone(), "a line\n".to_owned()),
            ("b".to_owned(), String::new()),
        ];
        write(&path, &files).unwrap();
        let mut archive = tar::Archive::new(std::fs::File::open(&path).unwrap());
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            found.push((entry.path().unwrap().display().to_string(), text));
        }
        std::fs::remove_file(&path).unwrap();
        let wanted = [
            (format!("heliograph/{long}"), "a line\n".to_owned()),
            ("heliograph/b".to_owned(), String::new()),
        ];
        assert_eq!(found, wanted);
    }
}
