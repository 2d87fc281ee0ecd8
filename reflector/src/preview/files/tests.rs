use std::io::Write;

use clap::Parser;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::{ObjectKey, Objects, PlanReport, SourceFile, by_files};
use crate::compat::CommandLine;
use crate::config::{Args, Config};

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn read(file: &NamedTempFile) -> Objects {
    Objects::read(file.path()).unwrap()
}

fn config(placement: &str) -> Config {
    let source = format!("name=east,url=http://east,{placement}");
    let words = [
        "reflector",
        "--mirror-namespace=mirrors",
        "--source",
        &source,
    ];
    Args::parse_from(words).try_into().unwrap()
}

/// As `kubectl get services,endpointslices -A -o yaml` has it.
const EAST: &str = "\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: demo, resourceVersion: '5', uid: u, labels: {app: 'n'}}
  spec: {ports: [{name: http, port: 80, protocol: TCP}], clusterIP: 10.96.0.7, type: ClusterIP}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: web-1, namespace: demo, labels: {kubernetes.io/service-name: web}}
  addressType: IPv4
  ports: [{name: http, port: 8080, protocol: TCP}]
  endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}]
";

const NOTHING: &str = r#"{"apiVersion": "v1", "kind": "List", "items": []}"#;

fn forecast(placement: &str, local: &str, east: Option<&str>) -> Value {
    let local = file(local);
    let east = east.map(file);
    let sources = east.as_ref().map(|it| SourceFile {
        source: "east".parse().unwrap(),
        path: it.path().to_owned(),
    });
    let sources: Vec<_> = sources.into_iter().collect();
    let forecast = by_files(config(placement), &read(&local), &sources, None).unwrap();
    let json = serde_json::to_value(&forecast).unwrap();
    let n_writes = ["create", "update", "replace", "delete"].map(|it| json["summary"][it].as_u64());
    assert_eq!(
        forecast.is_change(),
        n_writes.iter().any(|it| *it != Some(0))
    );
    let is_read = forecast.lost().next().is_none();
    assert_eq!(forecast.exit_code() == 1, !is_read);
    assert!(!is_read || !forecast.is_change() || forecast.exit_code() == 2);
    json
}

fn actions(forecast: &Value) -> Vec<String> {
    let services = forecast["services"].as_array().unwrap().iter();
    let actions = services.flat_map(|it| it["actions"].as_array().unwrap());
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    actions
        .map(|it| {
            ["action", "kind", "object"]
                .map(|key| text(it, key))
                .join(" ")
        })
        .collect()
}

fn service(name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "mirrors", "uid": name, "labels": labels},
        "spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    })
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

const WEB: &str = "mirrors/east-demo-73736d-web";

#[test]
fn the_preview_creates_the_services_of_a_source_with_reasons() {
    let forecast = forecast("prefix=east", NOTHING, Some(EAST));
    let actions = actions(&forecast);
    assert_eq!(actions.len(), 2, "{actions:?}");
    assert_eq!(actions[0], format!("create Service {WEB}"));
    assert!(
        actions[1].starts_with("create EndpointSlice mirrors/"),
        "{actions:?}"
    );
    let rules = forecast["services"][0]["reasons"].as_array().unwrap();
    assert_eq!(rules[0]["rule"], "Selected");
    assert_eq!(forecast["sources"][0]["resources"][0]["state"], "synced");
}

#[test]
fn a_source_that_was_not_read_has_its_mirrors_held() {
    let marks = json!({"heliograph.dev/source": "east"});
    let local = list(&[service("east-demo-73736d-old", &marks)]);
    let only_services = EAST.split("- apiVersion: discovery").next();
    for (east, services) in [(None, "unsynced"), (only_services, "synced")] {
        let forecast = forecast("prefix=east", &local, east);
        let feeds = &forecast["sources"][0]["resources"];
        assert_eq!(feeds[0]["state"], services);
        assert_eq!(feeds[1]["state"], "unsynced");
        let why = feeds[1]["lastError"].as_str().unwrap();
        assert!(why.contains("file"), "{why}");
    }
    let held = forecast("prefix=east", &local, None);
    assert_eq!(
        actions(&held),
        ["hold Service mirrors/east-demo-73736d-old"]
    );
    let rule = &held["services"][0]["reasons"][1]["rule"];
    assert_eq!(rule, "SourceDisconnected", "{held}");
}

#[test]
fn what_is_somebody_elses_is_in_the_way_and_what_a_replaced_program_left_is_taken_over() {
    let web = WEB.split_once('/').unwrap().1;
    let foreign = forecast(
        "prefix=east",
        &list(&[service(web, &json!({}))]),
        Some(EAST),
    );
    assert_eq!(actions(&foreign), [format!("hold Service {WEB}")]);
    let problem = foreign["services"][0]["problems"][0].as_str().unwrap();
    assert!(problem.contains("is not Heliograph's"), "{problem}");

    let marks = json!({"mirrored-svc": "true", "mirror-svc-prefix-sync": "east"});
    let left = service(web, &marks);
    let mut endpoints = left.clone();
    endpoints["kind"] = json!("Endpoints");
    let adopted = forecast("prefix=east", &list(&[left, endpoints]), Some(EAST));
    let actions = actions(&adopted);
    assert!(
        actions[0].starts_with("create EndpointSlice mirrors/"),
        "{actions:?}"
    );
    let last = [
        format!("delete Endpoints {WEB}"),
        format!("update Service {WEB}"),
    ];
    assert_eq!(actions[1..], last);
}

#[test]
fn a_missing_namespace_is_told_or_created() {
    let namespace = json!({"kind": "Namespace", "metadata": {"name": "mirrors"}});
    let local = list(&[namespace]);
    assert_eq!(
        actions(&forecast("prefix=east", &local, Some(EAST))).len(),
        2
    );
    let told = forecast("sameName=true,namespaces=*", &local, Some(EAST));
    assert_eq!(actions(&told), ["hold Service demo/web"]);
    let created = forecast(
        "sameName=true,namespaces=*,createNamespace=true",
        &local,
        Some(EAST),
    );
    assert_eq!(created["namespaces"], json!(["demo"]));
    assert_eq!(actions(&created).len(), 2);
}

#[test]
fn another_cluster_than_the_mirrors_are_of_is_not_believed() {
    let mut mirror = service(
        "east-demo-73736d-old",
        &json!({"heliograph.dev/source": "east"}),
    );
    mirror["metadata"]["annotations"] = json!({"heliograph.dev/source-cluster": "before"});
    let kube_system = "- {kind: Namespace, metadata: {name: kube-system, uid: now}}\n";
    let east = format!("{EAST}{kube_system}");
    let forecast = forecast("prefix=east", &list(&[mirror]), Some(&east));
    assert_eq!(
        actions(&forecast),
        ["hold Service mirrors/east-demo-73736d-old"]
    );
    let why = forecast["sources"][0]["resources"][0]["lastError"]
        .as_str()
        .unwrap();
    assert!(why.contains("another cluster answers"), "{why}");
}

#[test]
fn a_file_that_is_none_is_named_with_the_remedy() {
    let refused = |local: &str, source: &str| {
        let (local, east) = (file(local), file(EAST));
        let path = east.path().display();
        let source = format!("{source}={path}").parse().unwrap();
        let refused = Objects::read(local.path())
            .and_then(|it| by_files(config("prefix=east"), &it, &[source], None));
        format!("{:#}", refused.unwrap_err())
    };
    let words = refused("just words", "east");
    assert!(
        words.contains("holds no Kubernetes objects: write it with kubectl"),
        "{words}"
    );
    let words = refused(&list(&[json!({"kind": "Service"})]), "east");
    assert!(words.contains("cannot read an object of"), "{words}");
    let words = refused(NOTHING, "west");
    assert!(
        words.contains("the configuration has no source west"),
        "{words}"
    );
    assert!("east".parse::<SourceFile>().is_err());
}

/// A Service with an endpoint, and its ServiceExport.
fn exporting(created: &str, port: u16) -> Vec<Value> {
    let metadata = json!({"name": "web", "namespace": "demo", "creationTimestamp": created});
    let of_web = json!({"name": "web-1", "namespace": "demo",
        "labels": {"kubernetes.io/service-name": "web"}});
    vec![
        json!({"kind": "Service", "metadata": metadata,
            "spec": {"ports": [{"name": "http", "port": port}], "clusterIP": "10.96.0.7"}}),
        json!({"kind": "EndpointSlice", "metadata": of_web, "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080}], "endpoints": [{"addresses": ["10.1.0.1"]}]}),
        json!({"kind": "ServiceExport", "metadata": metadata}),
    ]
}

fn of_set(local: &str, west: &str) -> (Value, String, u8) {
    let forecast = report_of_set(local, west, None);
    let json = serde_json::to_value(&forecast).unwrap();
    (json, forecast.to_string(), forecast.exit_code())
}

fn report_of_set(local: &str, west: &str, explained: Option<&ObjectKey>) -> PlanReport {
    let config = file("clusterSet: {cluster: east}\nsources: [{name: west, url: 'http://w'}]\n");
    let words = ["reflector", "--config", config.path().to_str().unwrap()];
    let config: Config = Args::parse_from(words).try_into().unwrap();
    let (local, west) = (file(local), file(west));
    let sources = [SourceFile {
        source: "west".parse().unwrap(),
        path: west.path().to_owned(),
    }];
    by_files(config, &read(&local), &sources, explained).unwrap()
}

#[test]
fn an_import_is_explained_by_files() {
    let local = list(&exporting("2026-01-02T00:00:00Z", 81));
    let west = list(&exporting("2026-01-01T00:00:00Z", 80));
    let explained = |key: ObjectKey| {
        let report = report_of_set(&local, &west, Some(&key));
        let texts = report.explained.iter().map(ToString::to_string);
        texts.collect::<String>()
    };
    let web = explained(ObjectKey::new("demo", "web"));
    for line in [
        "ServiceImport demo/web, web.demo.svc.clusterset.local",
        "cluster west (synced): exports it since 2026-01-01T00:00:00Z, and takes precedence",
        "due: create Service demo/derived-scaifns3gd",
        "Conclusion: ServiceExport demo/web: ports of cluster east",
    ] {
        assert!(web.contains(line), "{line} in {web}");
    }
    let other = explained(ObjectKey::new("demo", "other"));
    assert!(other.contains("[NotExported]"), "{other}");
}

#[test]
fn imports_and_their_conflicts_are_foretold_by_files() {
    let local = list(&exporting("2026-01-02T00:00:00Z", 81));
    let west = list(&exporting("2026-01-01T00:00:00Z", 80));
    let (json, text, code) = of_set(&local, &west);
    assert_eq!(code, 2);
    for line in [
        "create  Service demo/derived-scaifns3gd",
        "create  ServiceImport demo/web",
        "update  ServiceExport/status demo/web",
        "cluster west: exports it since 2026-01-01T00:00:00Z, and takes precedence",
        "ExportConflict: ServiceExport demo/web: ports of cluster east (http 81/TCP)",
        "give both exports the same ports",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert_eq!(json["clusterSet"]["imports"][0]["import"], "demo/web");
    assert_eq!(json["summary"]["create"], 4, "{json}");
}

#[test]
fn a_file_without_exports_is_not_a_cluster_without_exports() {
    let west = exporting("2026-01-01T00:00:00Z", 80);
    let (json, text, code) = of_set(NOTHING, &list(&west[..2]));
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("Cluster west is unsynced: its file has no serviceexports"),
        "{text}"
    );
    assert_eq!(json["clusterSet"]["imports"], json!([]));
}

#[test]
fn sources_that_the_local_file_declares_are_planned() {
    let config = file(
        "{mirrorNamespace: mirrors, sourcesFromCRD: {namespace: ops}, \
         clusterProfiles: {namespace: fleet, defaults: {prefix: '{source}'}}}",
    );
    let object = |kind: &str, namespace: &str, name: &str, rest: Value| {
        let mut object = json!({"kind": kind, "metadata": {"namespace": namespace, "name": name}});
        object
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        object
    };
    let url = json!([{"name": "heliograph.dev/emitter-url", "value": "https://w"}]);
    let local = file(&list(&[
        object(
            "Source",
            "ops",
            "east",
            json!({"spec": {"url": "https://e", "prefix": "east"}}),
        ),
        object(
            "Source",
            "elsewhere",
            "south",
            json!({"spec": {"url": "https://s"}}),
        ),
        object(
            "ClusterProfile",
            "fleet",
            "west",
            json!({"status": {"properties": url}}),
        ),
    ]));
    let line = CommandLine {
        words: vec![format!("--config={}", config.path().display())],
        environment: std::collections::BTreeMap::new(),
    };
    let config = Config::try_from(line.read().unwrap()).unwrap();
    assert_eq!(config.sources.len(), 0);
    let config = read(&local).declared(config, &line).unwrap();
    let names: Vec<_> = config.sources.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["east", "west"]);
}
