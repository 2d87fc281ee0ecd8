//! One suite of reads and writes, two back ends: a kube-apiserver and an embedded
//! cluster.
//!
//! Invariants: both are asked the same in the same order, from the same beginning; an
//! item holds if status and body are equal, apart from what every server chooses by
//! itself; every other item is a row of `docs/embedded-differences.md`, and every row
//! there is an item that really differs.

mod commands;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Keeper, Scene};
use embedded_cluster::{EmbeddedCluster, Kind, Options};
use emitter_cache::protobuf;
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

use self::requests::Ask;

/// The list that people read, so that it and this test cannot drift apart.
const DIFFERENCES: &str = include_str!("../../../../docs/embedded-differences.md");

pub(crate) async fn an_embedded_cluster_answers_as_a_real_one_does(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    // Both have Services in one range, so that requests can name addresses of it.
    let real = ControlPlane::builder("real").service_cidr("10.96.0.0/16");
    let real = scene.start(real).await?;
    let embedded = EmbeddedCluster::start(Options::named("embedded")).await?;
    let keeper = Keeper::new("backends")?;
    let kubeconfig = keeper.directory().join("embedded.kubeconfig");
    embedded.write_kubeconfig(&kubeconfig)?;
    let clients = [real.client().await?, client(&embedded).await?];
    let mut found = BTreeMap::new();
    let mut n_items = 0;
    for ask in requests::all() {
        n_items += 1;
        let theirs = answer(&clients[0], &ask).await?;
        let ours = answer(&clients[1], &ask).await?;
        if theirs != ours {
            let difference = format!("    theirs: {theirs}\n    ours:   {ours}");
            found.insert(ask.item, difference);
        }
    }
    let kubectls = [real.kubectl(), real.kubectl().for_kubeconfig(&kubeconfig)];
    for command in commands::ALL {
        n_items += 1;
        let theirs = commands::run(&kubectls[0], command).await?;
        let ours = commands::run(&kubectls[1], command).await?;
        if theirs != ours {
            let difference = format!("    theirs: {theirs}\n    ours:   {ours}");
            found.insert(format!("kubectl {command}"), difference);
        }
    }
    judge(n_items, &found)
}

fn judge(n_items: usize, found: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let rows = DIFFERENCES
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let known: BTreeSet<&str> = rows
        .map(|row| row.split_once("` | ").map(|(item, _)| item))
        .collect::<Option<_>>()
        .context("a row has an item and a reason")?;
    eprintln!("{} of {n_items} items hold", n_items - found.len());
    let is_known = |item: &str| known.contains(item);
    let news: Vec<_> = found.iter().filter(|(item, _)| !is_known(item)).collect();
    for (item, difference) in &news {
        eprintln!("DIFFERS {item}\n{difference}");
    }
    let stale: Vec<_> = known
        .iter()
        .filter(|item| !found.contains_key(**item))
        .collect();
    ensure!(news.is_empty(), "{} items differ, see above", news.len());
    ensure!(
        stale.is_empty(),
        "listed as differences, and hold: {stale:#?}"
    );
    Ok(())
}

async fn client(cluster: &EmbeddedCluster) -> anyhow::Result<kube::Client> {
    let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig())?;
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
    config.proxy_url = None;
    Ok(kube::Client::try_from(config)?)
}

/// Status and body, without what every server chooses by itself.
async fn answer(client: &kube::Client, ask: &Ask) -> anyhow::Result<String> {
    let path = resolved(client, &ask.path).await?;
    let mut request = Request::builder().method(&*ask.method).uri(&path);
    for (name, value) in [("content-type", &ask.media_type), ("accept", &ask.accept)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    let body = resolved(client, &ask.body).await?;
    let body = match ask.media_type.as_str() {
        requests::PROTOBUF => to_protobuf(&body)?,
        _ => body.into_bytes(),
    };
    let response = client.send(request.body(Body::from(body))?).await?;
    let code = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    let body = match body.starts_with(b"k8s\0") {
        true => from_protobuf(&body)?,
        false => String::from_utf8_lossy(&body).into_owned(),
    };
    let lines: Vec<String> = body.lines().map(plain).collect();
    Ok(format!("{code} {}", lines.join("\n")))
}

/// An object in protobuf; what is none goes as it stands.
fn to_protobuf(text: &str) -> anyhow::Result<Vec<u8>> {
    let Ok(object) = serde_json::from_str::<Value>(text) else {
        return Ok(text.as_bytes().to_vec());
    };
    let said = |field: &str| object[field].as_str().unwrap_or_default();
    let (version, kind) = (said("apiVersion"), said("kind"));
    let known = Kind::of(version, kind).and_then(|kind| kind.form().protobuf);
    let message = known.map_or_else(Vec::new, |it| protobuf::encode(it, text.as_bytes()).bytes);
    Ok(protobuf::enveloped(version, kind, &message))
}

fn from_protobuf(body: &[u8]) -> anyhow::Result<String> {
    let it = protobuf::open(body)?;
    let message = match &*it.kind {
        "Status" => Some(protobuf::schema::STATUS),
        kind => Kind::of(&it.api_version, kind).and_then(|kind| kind.form().protobuf),
    };
    let message = message.with_context(|| format!("no fields of {}", it.kind))?;
    let object = protobuf::read(message, it.message)?;
    Ok(format!("{} {}\n{object}", it.api_version, it.kind))
}

/// Puts the present version of `web` where a request names it.
async fn resolved(client: &kube::Client, text: &str) -> anyhow::Result<String> {
    if !text.contains("$RV") && !text.contains("$UID") {
        return Ok(text.to_owned());
    }
    let path = "/api/v1/namespaces/demo/services/web";
    let web: Value = client.request(Request::get(path).body(Vec::new())?).await?;
    let metadata = |field: &str| {
        web["metadata"][field]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let text = text.replace("$RV", &metadata("resourceVersion"));
    Ok(text.replace("$UID", &metadata("uid")))
}

fn plain(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(mut value) => {
            simplify(&mut value);
            value.to_string()
        }
        Err(_) => line.to_owned(),
    }
}

/// Removes what differs from one server to the next, and from one second to the next.
fn simplify(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for field in ["creationTimestamp", "continue", "serverAddress"] {
                fields.remove(field);
            }
            if let Some(Value::Array(managers)) = fields.get_mut("managedFields") {
                // Their order follows from the time, to the second.
                managers.sort_by_key(|it| format!("{}{}", it["manager"], it["operation"]));
                for manager in managers.iter_mut().filter(|it| it["time"].is_string()) {
                    manager["time"] = "...".into();
                }
            }
            for (name, field) in fields.iter_mut() {
                match (name.as_str(), &field) {
                    ("uid" | "resourceVersion", Value::String(text)) if !text.is_empty() => {
                        *field = "...".into();
                    }
                    ("message", Value::String(text)) => *field = without_uids(text).into(),
                    _ => simplify(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        Value::String(text) => {
            if is_random(text) {
                *text = "...".to_owned();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Addresses of Services and ages.
fn is_random(text: &str) -> bool {
    let is_address = text
        .parse::<std::net::Ipv4Addr>()
        .is_ok_and(|it| it.octets()[1] == 96);
    let is_age = text
        .strip_suffix('s')
        .is_some_and(|it| it.parse::<u32>().is_ok());
    is_address || is_age
}

/// A message names the uids and versions that it is about.
fn without_uids(message: &str) -> String {
    let words = message.split(' ').map(|word| {
        let inner = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_uid = inner.len() == 36 && inner.matches('-').count() == 4;
        let is_version = inner.parse::<u64>().is_ok_and(|it| 1 < it);
        let is_address = is_random(inner);
        match is_uid || is_version || is_address {
            true => word.replace(inner, "..."),
            false => word.to_owned(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}
