//! Panics that a source causes by the name of a Service, as a bug of this program would. Each stops
//! the work on that source alone, is reported, and the source comes back.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use clap::Parser;
use embedded_cluster::{EmbeddedCluster, Kind, Options};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admin_client::{AdminAddress, status};
use crate::config::{Args, Config};

/// Panics if a name requests it.
pub(crate) fn at(spot: &str, what: &dyn Debug) {
    let word = format!("panic-in-{spot}");
    assert!(
        !format!("{what:?}").contains(&word),
        "planted in the {spot}"
    );
}

const SPOTS: [&str; 4] = ["reader", "world", "plan", "write"];

fn service(name: &str, port: u16) -> Value {
    json!({
        "kind": "Service", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "demo"},
        "spec": {"ports": [{"name": "http", "port": port, "protocol": "TCP"}]},
    })
}

async fn cluster(name: &str, namespace: &str) -> EmbeddedCluster {
    let mut options = Options::named(name);
    options.namespaces.push(namespace.to_owned());
    EmbeddedCluster::start(options).await.unwrap()
}

async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    for _ in 0..1200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not after a minute: {what}");
}

/// The port of a mirror.
fn port(local: &EmbeddedCluster, source: &str, name: &str) -> Option<u64> {
    let name = format!("{source}-demo-73736d-{name}");
    let mirror = local.get(Kind::Services, "mirrors", &name)?;
    mirror["spec"]["ports"][0]["port"].as_u64()
}

/// Sources that are read, and where they are mirrored.
struct Lab {
    local: EmbeddedCluster,
    sources: Vec<EmbeddedCluster>,
    config: Config,
    _directory: tempfile::TempDir,
}

/// One source for each spot, and one beside them.
async fn lab() -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let local = cluster("local", "mirrors").await;
    let kubeconfig = directory.path().join("local");
    local.write_kubeconfig(&kubeconfig).unwrap();
    let (mut sources, mut entries) = (Vec::new(), Vec::new());
    for name in SPOTS.into_iter().chain(["good"]) {
        let source = cluster(name, "demo").await;
        source.put(service("web", 80)).ok().unwrap();
        let file = directory.path().join(name);
        source.write_kubeconfig(&file).unwrap();
        entries.push(json!({"name": name, "prefix": name, "kubeconfig": file}));
        sources.push(source);
    }
    let file = directory.path().join("config.yaml");
    let text = json!({"mirrorNamespace": "mirrors", "sources": entries});
    std::fs::write(&file, text.to_string()).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = listener.local_addr().unwrap();
    drop(listener);
    let args = Args::try_parse_from([
        "reflector".into(),
        "--config".into(),
        file.into_os_string(),
        "--kubeconfig".into(),
        kubeconfig.into_os_string(),
        format!("--admin-bind-address={admin}").into(),
    ]);
    Lab {
        local,
        sources,
        config: Config::try_from(args.unwrap()).unwrap(),
        _directory: directory,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_is_the_loss_of_its_source_alone_and_the_source_comes_back() {
    let Lab {
        local,
        sources,
        config,
        _directory,
    } = lab().await;
    let place = AdminAddress::new(None, config.listen, None);
    let shutdown = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(crate::run(config, shutdown.clone()));

    let all_have = async |value: u64| {
        let mut names = SPOTS.into_iter().chain(["good"]);
        names.all(|it| port(&local, it, "web") == Some(value))
    };
    eventually("all are mirrored", || all_have(80)).await;
    for (source, spot) in sources.iter().zip(SPOTS) {
        let name = format!("panic-in-{spot}");
        source.put(service(&name, 80)).ok().unwrap();
    }
    let told = async || {
        let told = status(&place).await.map(|it| it.to_string());
        told.unwrap_or_default()
    };
    // What a source sends is its own loss; a plan and a write are that of one mirror.
    eventually("the panics are told", async || {
        let told = told().await;
        told.matches("planted in the reader").count() >= 1
            && told.matches("planted in the world").count() >= 1
    })
    .await;
    let n_hurt = 2;
    for (i, source) in sources.iter().enumerate().skip(n_hurt) {
        source.put(service("web", 81)).ok().unwrap();
        let name = source.name();
        eventually(&format!("{i} {name} goes on"), async || {
            port(&local, name, "web") == Some(81)
        })
        .await;
    }
    for name in &SPOTS[..n_hurt] {
        assert_eq!(port(&local, name, "web"), Some(80), "its mirrors stay");
    }
    assert!(running.try_join_next().is_none(), "the process goes on");

    for (source, spot) in sources.iter().zip(SPOTS) {
        source.delete(Kind::Services, "demo", &format!("panic-in-{spot}"));
        source.put(service("web", 82)).ok().unwrap();
    }
    sources[SPOTS.len()].put(service("web", 82)).ok().unwrap();
    eventually("all come back", || all_have(82)).await;
    eventually("nothing is told any more", async || {
        !told().await.contains("planted")
    })
    .await;
    shutdown.cancel();
    running.join_next().await.unwrap().unwrap().unwrap();
}
