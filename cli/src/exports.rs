//! `heliograph exports`: ServiceExports for labeled Services. It writes nothing.

use std::process::ExitCode;

use anyhow::{Context, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proto_types::multicluster::Version;
use proto_types::{RawObject, Resource};
use reflector_clusterset::ExportedService;
use reflector_clusterset::settings::CLOSED_NAMESPACES;
use serde_json::{Map, Value, json};

use crate::args::{self, Global, Output};
use crate::cluster::Cluster;
use crate::output::{Printer, one_line, write, yaml};

/// Services of a cluster, as exports.
#[derive(Debug, PartialEq)]
struct Found {
    /// ServiceExports, by namespace and name.
    exports: Vec<Value>,
    /// Services that are left out, and why.
    left_out: Vec<String>,
}

/// Runs the subcommand.
pub(crate) async fn run(
    global: &Global,
    asked: &args::Exports,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::of(global).await?;
    // Without the CRDs, the exports are for later, in the preferred version.
    let version = runtime::multicluster::served(cluster.client()).await;
    let version = version.unwrap_or(Version::V1Beta1);
    let mut services = Vec::new();
    for path in collections(asked) {
        services.extend(cluster.list(&path).await?);
    }
    let found = found(&services, asked, version)?;
    for why in &found.left_out {
        eprintln!("heliograph: {}", one_line(why));
    }
    if found.exports.is_empty() {
        bail!(
            "no Service to export has the labels {}: label the Services, or name other labels \
             with --selector",
            asked.selector
        );
    }
    match &printer.output {
        Output::Text | Output::Wide => write(&text(&found.exports))?,
        Output::Yaml => write(&documents(&found.exports)?)?,
        Output::Json | Output::JsonPath(_) => {
            let list = json!({"apiVersion": "v1", "kind": "List", "items": found.exports});
            printer.print(&list, String::new)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Paths of the lists of Services.
fn collections(asked: &args::Exports) -> Vec<String> {
    let selector = utf8_percent_encode(&asked.selector, NON_ALPHANUMERIC);
    let names = Resource::Services.names();
    let path = |namespace| format!("{}?labelSelector={selector}", names.collection(namespace));
    if asked.namespaces.is_empty() {
        return vec![path(None)];
    }
    let namespaces = asked.namespaces.iter();
    namespaces.map(|it| path(Some(it.as_str()))).collect()
}

fn found(services: &[Value], asked: &args::Exports, version: Version) -> anyhow::Result<Found> {
    let mut found = Found {
        exports: Vec::new(),
        left_out: Vec::new(),
    };
    for service in services {
        let json = serde_json::to_vec(service)?.into();
        let object = RawObject::parse(Resource::Services, &json);
        let object = object.context("the API server listed an object that is no Service")?;
        match obstacle(&object, asked) {
            None => found.exports.push(export(service, asked, version)),
            Some(why) => {
                let left_out = format!("left out Service {}: {why}", object.key);
                found.left_out.push(left_out);
            }
        }
    }
    Ok(found)
}

/// Returns the reason for which a Service is left out.
fn obstacle(service: &RawObject, asked: &args::Exports) -> Option<String> {
    let namespace = service.key.namespace();
    let is_named = asked.namespaces.iter().any(|it| it == namespace);
    if CLOSED_NAMESPACES.contains(&namespace) && !is_named {
        return Some(format!(
            "namespace {namespace} is closed for exports; open it by clusterSet.allowedNamespaces \
             in the configuration of each reflector, and name it with --namespaces"
        ));
    }
    match ExportedService::read(service) {
        ExportedService::Usable(_) => None,
        ExportedService::ExternalName => {
            Some("its type is ExternalName, which has no endpoints".to_owned())
        }
        ExportedService::Managed => {
            Some("it is a copy of a Service of another cluster; export that one there".to_owned())
        }
        ExportedService::Unreadable(why) => Some(format!("it cannot be read: {why}")),
    }
}

fn export(service: &Value, asked: &args::Exports, version: Version) -> Value {
    let metadata = &service["metadata"];
    let names = version.exports();
    let mut export = json!({
        "apiVersion": names.api_version,
        "kind": names.kind,
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
    });
    for (field, of, keys) in [
        ("exportedLabels", "labels", &asked.exported_labels),
        (
            "exportedAnnotations",
            "annotations",
            &asked.exported_annotations,
        ),
    ] {
        let value = |key: &String| Some((key.clone(), metadata[of].get(key)?.clone()));
        let exported: Map<_, _> = keys.iter().filter_map(value).collect();
        if !exported.is_empty() {
            export["spec"][field] = exported.into();
        }
    }
    export
}

fn text(exports: &[Value]) -> String {
    let line = |it: &Value| {
        let part = |field: &str| {
            it["metadata"][field]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        format!("{}/{}\n", part("namespace"), part("name"))
    };
    exports.iter().map(line).collect()
}

/// YAML with a document for each export.
fn documents(exports: &[Value]) -> anyhow::Result<String> {
    let texts = exports.iter().map(yaml);
    let texts = texts.collect::<anyhow::Result<Vec<_>>>()?;
    Ok(texts.join("---\n"))
}

#[cfg(test)]
mod tests {
    use super::{Version, collections, documents, found, text};
    use crate::args::Exports;
    use serde_json::{Value, json};

    fn asked(namespaces: &[&str]) -> Exports {
        Exports {
            selector: "a in (b,c)".to_owned(),
            namespaces: namespaces.iter().map(|it| (*it).to_owned()).collect(),
            exported_labels: vec!["team".to_owned(), "absent".to_owned()],
            exported_annotations: Vec::new(),
        }
    }

    fn service(key: (&str, &str), labels: &Value, service_type: &str) -> Value {
        json!({
            "metadata": {"namespace": key.0, "name": key.1, "uid": "u", "resourceVersion": "1",
                "labels": labels},
            "spec": {"type": service_type, "clusterIP": "10.0.0.1", "externalName": "x.example",
                "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]},
        })
    }

    #[test]
    fn services_become_exports_unless_something_is_in_the_way() {
        let labels = json!({"team": "no"});
        let services = [
            service(("demo", "web"), &labels, "ClusterIP"),
            service(("demo", "else"), &json!({}), "ExternalName"),
            service(
                ("demo", "copy"),
                &json!({"heliograph.dev/source": "x"}),
                "ClusterIP",
            ),
            service(("default", "web"), &json!({}), "ClusterIP"),
        ];
        let all = found(&services, &asked(&[]), Version::V1Alpha1).unwrap();
        assert_eq!(text(&all.exports), "demo/web\n");
        let why = all.left_out.join("\n");
        for (service, part) in [
            ("demo/else", "ExternalName"),
            ("demo/copy", "copy of a Service"),
            ("default/web", "clusterSet.allowedNamespaces"),
        ] {
            assert!(why.contains(service) && why.contains(part), "{why}");
        }
        let yaml = documents(&all.exports).unwrap();
        let read: Value = serde_saphyr::from_str(&yaml).unwrap();
        let expected = json!({
            "apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport",
            "metadata": {"name": "web", "namespace": "demo"},
            "spec": {"exportedLabels": {"team": "no"}},
        });
        assert_eq!(read, expected, "{yaml}");
        let named = found(&services, &asked(&["default"]), Version::V1Beta1).unwrap();
        assert_eq!(named.exports.len(), 2);
    }

    #[test]
    fn lists_name_the_selector_and_the_namespaces() {
        let selector = "labelSelector=a%20in%20%28b%2Cc%29";
        assert_eq!(
            collections(&asked(&[])),
            [format!("/api/v1/services?{selector}")]
        );
        assert_eq!(
            collections(&asked(&["demo"])),
            [format!("/api/v1/namespaces/demo/services?{selector}")]
        );
    }
}
