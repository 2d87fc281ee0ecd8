//! core/v1 Endpoints: written beside slices and counted once, and read instead of slices.

pub(crate) mod rights;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, eventually, meanwhile, mirror, program};

/// Endpoints of an exported Service, of which Kubernetes makes no slices.
fn endpoints(service: &str, addresses: &[&str]) -> Value {
    let addresses: Vec<_> = addresses.iter().map(|it| json!({"ip": it})).collect();
    let ports = json!([{"name": "http", "port": 8080}]);
    json!({
        "metadata": {"name": service, "labels": {
            EXPORT: "true", "endpointslice.kubernetes.io/skip-mirror": "true",
        }},
        "subsets": [{"addresses": addresses, "ports": ports}],
    })
}

const ENDPOINTS: &str = "/api/v1/namespaces/demo/endpoints";

/// The Endpoints beside the mirror of `web`, or nothing.
async fn beside(local: &Cluster) -> anyhow::Result<Option<Value>> {
    let path = format!("/api/v1/namespaces/{MIRRORS}/endpoints");
    let list = local.read(&path).await?;
    let mut items = list["items"].as_array().into_iter().flatten();
    let found = items.find(|it| it["metadata"]["name"] == "east-demo-73736d-web");
    Ok(found.cloned())
}

async fn eventually_beside(local: &Cluster, address: &str) -> anyhow::Result<()> {
    eventually(&format!("the Endpoints have {address}"), async || {
        let found = beside(local).await?.context("there are none")?;
        let ip = &found["subsets"][0]["addresses"][0]["ip"];
        ensure!(ip == address, "{found}");
        let skip = &found["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"];
        ensure!(skip == "true", "{found}");
        Ok(())
    })
    .await
}

/// Writes of Endpoints and of mirrors that anybody tried.
fn n_writes(local: &Cluster) -> anyhow::Result<usize> {
    let events = local.plane.audit_events()?;
    let its = ["services", "endpointslices", "endpoints"];
    let is_its = |it: &&control_plane::AuditEvent| {
        it.is_write() && it.namespace == MIRRORS && its.contains(&it.resource.as_str())
    };
    Ok(events.iter().filter(is_its).count())
}

pub(crate) async fn endpoints_are_written_beside_slices_and_counted_once(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let source = |write: bool| {
        format!(
            "name=east,kubeconfig={},prefix=east,selector={EXPORT}=true,\
             endpointsFrom=endpoints,writeEndpoints={write}",
            east.plane.kubeconfig().display()
        )
    };
    let reflector = lab.reflector(&local, &[&source(true)]).await?;
    east.create_service("web").await?;
    let first = endpoints("web", &["10.1.0.1"]);
    east.post(ENDPOINTS, &first.to_string()).await?;
    let web = mirror("east", "web");
    local.eventually_has(&web, &["10.1.0.1"]).await?;
    eventually_beside(&local, "10.1.0.1").await?;
    // The controller that makes slices of Endpoints runs here.
    meanwhile("the address is there once", async || {
        let found = local.addresses(&web).await?;
        ensure!(found == ["10.1.0.1"], "{found:?}");
        Ok(())
    })
    .await?;

    let second = endpoints("web", &["10.1.0.2"]);
    let path = format!("{ENDPOINTS}/web");
    east.patch(&path, &json!({"subsets": second["subsets"]}).to_string())
        .await?;
    local.eventually_has(&web, &["10.1.0.2"]).await?;
    eventually_beside(&local, "10.1.0.2").await?;

    reflector.stop().await?;
    let before = n_writes(&local)?;
    reflector.start().await?;
    meanwhile("nothing is written that is right", async || {
        let now = n_writes(&local)?;
        ensure!(now == before, "{} writes", now - before);
        Ok(())
    })
    .await?;
    reflector.stop().await?;

    let reflector = lab.reflector(&local, &[&source(false)]).await?;
    eventually("they go when they are not wanted", async || {
        ensure!(beside(&local).await?.is_none(), "they are there");
        Ok(())
    })
    .await?;
    local.eventually_has(&web, &["10.1.0.2"]).await?;
    reflector.stop().await?;
    lab.reflector(&local, &[&source(true)]).await?;
    eventually_beside(&local, "10.1.0.2").await?;
    east.delete(&path).await?;
    local.eventually_has(&web, &[]).await?;
    east.delete_service("demo/web").await?;
    local.eventually_lacks(&web).await?;
    eventually("they go with their Service", async || {
        ensure!(beside(&local).await?.is_none(), "they are there");
        Ok(())
    })
    .await
}

/// What stands at an address, as long as this process lives.
#[derive(Clone)]
struct Stand {
    url: String,
    is: Arc<Mutex<Standing>>,
}

enum Standing {
    /// service-reflector's emitter: lists without resource version and without slices.
    Old { services: Value, endpoints: Value },
    /// The same, which has just started.
    NotReady,
    /// Another server there, by its address.
    Other(String),
}

impl Stand {
    fn new() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stand = Self {
            url: format!("http://{}", listener.local_addr()?),
            is: Arc::new(Mutex::new(Standing::NotReady)),
        };
        let it = stand.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let it = it.clone();
                std::thread::spawn(move || it.serve(stream));
            }
        });
        Ok(stand)
    }

    /// One request a connection; whoever is passed on keeps its own.
    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let other = match &*self.is.blocking_lock() {
            Standing::Other(address) => Some(address.clone()),
            Standing::Old { .. } | Standing::NotReady => None,
        };
        if let Some(address) = other {
            let mut there = TcpStream::connect(address).ok()?;
            let (mut from, mut to) = (stream.try_clone().ok()?, there.try_clone().ok()?);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::io::copy(&mut there, &mut stream).ok()?;
            return Some(());
        }
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).ok()?;
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head);
        let (code, answer) = self.answer(head.split(' ').nth(1)?);
        let body = answer.to_string();
        let head = format!("HTTP/1.1 {code} X\r\ncontent-type: application/json\r\n");
        let head = format!(
            "{head}content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all((head + &body).as_bytes()).ok()
    }

    fn answer(&self, target: &str) -> (u16, Value) {
        let status = |code: u16, message: &str| {
            let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "message": message, "code": code});
            (code, status)
        };
        let path = target.split('?').next().unwrap_or_default();
        match (path, &*self.is.blocking_lock()) {
            ("/apis", _) => (
                200,
                json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": []}),
            ),
            (_, Standing::NotReady | Standing::Other(_)) => status(500, "backend is not ready"),
            ("/api/v1/services", Standing::Old { services, .. }) => (200, services.clone()),
            ("/api/v1/endpoints", Standing::Old { endpoints, .. }) => (200, endpoints.clone()),
            (_, Standing::Old { .. }) => status(404, "not found"),
        }
    }

    /// Shows what a cluster exports now, as the old emitter did: objects as they are.
    async fn show(&self, east: &Cluster) -> anyhow::Result<()> {
        let list = async |resource: &str| {
            let path = format!("/api/v1/{resource}?labelSelector={EXPORT}%3Dtrue");
            let mut list = east.read(&path).await?;
            list["metadata"] = json!({"selfLink": path});
            anyhow::Ok(list)
        };
        let (services, endpoints) = (list("services").await?, list("endpoints").await?);
        *self.is.lock().await = Standing::Old {
            services,
            endpoints,
        };
        Ok(())
    }
}

pub(crate) async fn service_reflectors_emitter_is_read_until_ours_takes_its_place(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let (east, local) = lab.clusters().await?;
    let stand = Stand::new()?;
    east.create_service("web").await?;
    let first = endpoints("web", &["10.1.0.1"]);
    east.post(ENDPOINTS, &first.to_string()).await?;
    let mut command = Command::new(program("reflector")?);
    command
        .arg(format!("--reflector.source-api={}", stand.url))
        .arg(format!(
            "--kubeconfig={}",
            local.plane.kubeconfig().display()
        ));
    let reflector = lab.start("reflector", command, None)?;
    stand.show(&east).await?;
    local.eventually_has("demo/web", &["10.1.0.1"]).await?;
    let before = local.service("demo/web").await?.context("it is there")?;

    let path = format!("{ENDPOINTS}/web");
    let second = endpoints("web", &["10.1.0.2"]);
    let second = json!({"subsets": second["subsets"]}).to_string();
    east.patch(&path, &second).await?;
    stand.show(&east).await?;
    local.eventually_has("demo/web", &["10.1.0.2"]).await?;

    // It has just started, and lists nothing yet.
    *stand.is.lock().await = Standing::NotReady;
    eventually("it is told", async || {
        let status = reflector.status().await?.to_string();
        ensure!(status.contains("backend is not ready"), "{status}");
        Ok(())
    })
    .await?;
    local.eventually_has("demo/web", &["10.1.0.2"]).await?;

    let emitter = lab.emitter(&east, &[]).await?;
    let address = emitter.url.trim_start_matches("http://").to_owned();
    *stand.is.lock().await = Standing::Other(address);
    // Only its slices say so.
    east.set_endpoints("web", &["10.1.0.2", "10.1.0.3"]).await?;
    local
        .eventually_has("demo/web", &["10.1.0.2", "10.1.0.3"])
        .await?;
    let after = local.service("demo/web").await?.context("it is there")?;
    ensure!(
        before["metadata"]["uid"] == after["metadata"]["uid"],
        "it was created again"
    );
    eventually("it is followed", async || {
        let status = reflector.status().await?;
        ensure!(status["sources"][0]["cluster"].is_string(), "{status}");
        ensure!(status["problems"] == json!([]), "{status}");
        Ok(())
    })
    .await?;
    east.delete_service("demo/web").await?;
    local.eventually_lacks("demo/web").await
}
