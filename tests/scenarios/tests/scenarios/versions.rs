//! Clusters of other ages: API servers that emulate earlier minor versions.
//!
//! An API server emulates itself and the three minor versions before it, so that the pinned
//! one covers four. `HELIOGRAPH_API_SERVERS=all` adds an older binary, and every version that
//! one of both can emulate. Without it, only the version that differs most is tested.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::assets::{self, Found};
use control_plane::{ControlPlane, Scene};
use serde_json::json;

use crate::breakages;
use crate::configuration::ByFile;
use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, Program, eventually, mirror};
use crate::multi_cluster_services as imports;
use crate::plan_command;
use crate::sources;

/// Names the variable that asks for all versions.
const VARIABLE: &str = "HELIOGRAPH_API_SERVERS";

/// Oldest API server that emulates other versions than its own three predecessors.
const OLDER: &str = "kube-apiserver-1.34";

/// Minor versions that each binary emulates; `None` is the pinned one.
const EMULATED: [(Option<&str>, &[u32]); 2] =
    [(Some(OLDER), &[31, 32, 33, 34]), (None, &[33, 34, 35, 36])];

/// Minor version of the pinned API server.
const PINNED: u32 = 36;

/// Version that lacks most of what is new, of those that the pinned API server emulates.
const OLDEST_OF_PINNED: u32 = 33;

/// First minor version that accepts the values below.
const KNOWS_SAME_ZONE: u32 = 34;

/// Values of `trafficDistribution`, with the name of a Service that has it.
const DISTRIBUTIONS: [(&str, &str); 3] = [
    ("close", "PreferClose"),
    ("zone", "PreferSameZone"),
    ("node", "PreferSameNode"),
];

pub(crate) async fn clusters_of_other_ages_are_sources_and_local_clusters(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    ensure!(
        wanted.is_empty() || wanted == "all",
        "{VARIABLE} is {wanted:?}; set it to all, or unset it"
    );
    for (binary, minors) in EMULATED {
        let minors = minors.iter().copied();
        for minor in minors.filter(|it| wanted == "all" || *it == OLDEST_OF_PINNED) {
            if wanted.is_empty() && binary.is_some() {
                continue;
            }
            let name = binary.unwrap_or("kube-apiserver");
            eprintln!("{name} as 1.{minor}");
            both_directions(Arc::clone(&scene), binary, minor)
                .await
                .with_context(|| format!("{name} as 1.{minor}"))?;
        }
    }
    Ok(())
}

async fn both_directions(
    scene: Arc<Scene>,
    binary: Option<&str>,
    minor: u32,
) -> anyhow::Result<()> {
    let lab = Lab::new(Arc::clone(&scene))?;
    let binary = binary.map(find).transpose()?;
    let start = async |name: &str, is_older: bool| -> anyhow::Result<Cluster> {
        let mut builder = ControlPlane::builder(name).controllers();
        if is_older {
            builder = builder.apiserver_arg(&format!("--emulated-version=1.{minor}"));
            builder = match &binary {
                Some(path) => builder.apiserver(path),
                None => builder,
            };
        }
        let plane = scene.start(builder).await?;
        let client = plane.client().await?;
        Ok(Cluster { plane, client })
    };
    let (older, current) = tokio::try_join!(start("older", true), start("current", false))?;
    let version = older.read("/version").await?;
    let emulated = version["emulationMinor"]
        .as_str()
        .or(version["minor"].as_str());
    ensure!(emulated == Some(&*minor.to_string()), "{version}");
    for cluster in [&older, &current] {
        for namespace in ["demo", MIRRORS] {
            cluster.create_namespace(namespace).await?;
        }
        imports::install(cluster).await?;
        sources::install(cluster).await?;
    }
    sources::api_server_refuses(&older).await?;
    let into_older = link(&lab, &older, &current).await?;
    let into_current = link(&lab, &current, &older).await?;
    export_all(&current, PINNED).await?;
    export_all(&older, minor).await?;
    is_mirrored((&older, minor), (&current, PINNED)).await?;
    is_mirrored((&current, PINNED), (&older, minor)).await?;
    is_reported(&into_older, minor).await?;
    is_reported(&into_current, PINNED).await?;
    is_previewed(&lab, (&older, minor), (&current, PINNED)).await?;
    is_previewed(&lab, (&current, PINNED), (&older, minor)).await
}

fn find(name: &str) -> anyhow::Result<PathBuf> {
    match assets::find_or_build_client(name)? {
        Found::Ready(assets) => Ok(assets.binary(name)),
        Found::Missing(why) => anyhow::bail!(why),
    }
}

/// Starts a reflector that mirrors and imports what another cluster exports, which is read
/// directly, and through an emitter that a Source object names.
async fn link(lab: &Lab, local: &Cluster, source: &Cluster) -> anyhow::Result<Link> {
    let emitter = lab.emitter(source, &[]).await?;
    let name = source.plane.name();
    let config = json!({
        "mirrorNamespace": MIRRORS,
        "clusterSet": {"cluster": local.plane.name()},
        "sources": [{"name": name, "kubeconfig": source.plane.kubeconfig(), "prefix": name,
            "selector": format!("{EXPORT}=true")}],
        "sourcesFromCRD": {"namespace": "demo"},
    });
    let record = ["--state-namespace=demo"];
    let by_file = ByFile::start_with(lab, local, &config, &record).await?;
    sources::apply(
        local,
        "named",
        &json!({"url": emitter.url, "prefix": "named"}),
    )
    .await?;
    Ok(Link {
        by_file,
        _emitter: emitter,
    })
}

struct Link {
    by_file: ByFile,
    _emitter: Program,
}

/// Returns whether an API server of that minor version knows a value of `trafficDistribution`.
fn knows(minor: u32, distribution: &str) -> bool {
    distribution == "PreferClose" || KNOWS_SAME_ZONE <= minor
}

/// Returns the address of all endpoints of a cluster.
fn address(cluster: &Cluster) -> &'static str {
    match cluster.plane.name() {
        "older" => "10.1.0.1",
        _ => "10.2.0.1",
    }
}

/// Exports a Service of each value that the API server accepts, in both ways.
async fn export_all(cluster: &Cluster, minor: u32) -> anyhow::Result<()> {
    for (name, distribution) in DISTRIBUTIONS {
        let ports = json!([{"name": "http", "port": 80}]);
        let spec = json!({"ports": ports, "trafficDistribution": distribution});
        let created = cluster.create_service_with(name, &spec.to_string()).await;
        ensure!(
            created.is_ok() == knows(minor, distribution),
            "1.{minor}, {distribution}: {created:?}"
        );
        if created.is_ok() {
            cluster.set_endpoints(name, &[address(cluster)]).await?;
            imports::export(cluster, name, &json!({})).await?;
        }
    }
    Ok(())
}

/// Waits for the mirrors and the imports of all that a source exports.
async fn is_mirrored(
    (local, minor): (&Cluster, u32),
    (source, source_minor): (&Cluster, u32),
) -> anyhow::Result<()> {
    let known = DISTRIBUTIONS
        .into_iter()
        .filter(|(_, it)| knows(source_minor, it));
    let address = [address(source)];
    for (name, distribution) in known {
        let closest = match knows(minor, distribution) {
            true => distribution,
            false => "PreferClose",
        };
        for prefix in [source.plane.name(), "named"] {
            let key = mirror(prefix, name);
            eventually_prefers(local, &key, closest).await?;
            local.eventually_has(&key, &address).await?;
        }
        let derived = eventually_imported(local, name).await?;
        eventually_prefers(local, &derived, closest).await?;
    }
    Ok(())
}

async fn eventually_prefers(local: &Cluster, key: &str, wanted: &str) -> anyhow::Result<()> {
    eventually(&format!("{key} has {wanted}"), async || {
        let service = local.service(key).await?.context("it is missing")?;
        ensure!(
            service["spec"]["trafficDistribution"] == wanted,
            "{service}"
        );
        Ok(())
    })
    .await
}

/// Waits for an import with an address, and returns the key of its derived Service.
async fn eventually_imported(local: &Cluster, name: &str) -> anyhow::Result<String> {
    const DERIVED: &str = "multicluster.kubernetes.io/derived-service";
    eventually(&format!("{name} is imported"), async || {
        let import = imports::import(local, name)
            .await?
            .context("it is missing")?;
        ensure!(import["spec"]["ips"][0].is_string(), "{import}");
        Ok(())
    })
    .await?;
    let import = imports::import(local, name)
        .await?
        .context("it is missing")?;
    let derived = import["metadata"]["annotations"][DERIVED].as_str();
    Ok(format!("demo/{}", derived.context("it has no Service")?))
}

/// The status names each value that is weakened, and no other problem.
async fn is_reported(link: &Link, minor: u32) -> anyhow::Result<()> {
    let it = &link.by_file.reflector;
    eventually("the status names what is weakened", async || {
        let status = breakages::heliograph("status", it).await?;
        for (_, distribution) in DISTRIBUTIONS {
            let words =
                format!("trafficDistribution PreferClose where the source has \"{distribution}\"");
            ensure!(
                status.contains(&words) != knows(minor, distribution),
                "{distribution}: {status}"
            );
        }
        Ok(())
    })
    .await
}

/// A preview of the source of the file reads it, and finds nothing that is missing. It cannot know
/// which values the API server will reject, and plans to write them.
async fn is_previewed(
    lab: &Lab,
    (local, minor): (&Cluster, u32),
    (source, source_minor): (&Cluster, u32),
) -> anyhow::Result<()> {
    let name = source.plane.name();
    let config = json!({
        "mirrorNamespace": MIRRORS,
        "sources": [{"name": name, "kubeconfig": source.plane.kubeconfig(), "prefix": name,
            "selector": format!("{EXPORT}=true")}],
    });
    let file = lab.file(&format!("preview-{name}.json"), &config.to_string())?;
    let file = file.display().to_string();
    let (_, plan) = plan_command::plan(&local.plane.kubeconfig(), &["--config", &file]).await?;
    let weakened = DISTRIBUTIONS
        .into_iter()
        .filter(|(_, it)| knows(source_minor, it) && !knows(minor, it));
    let n_weakened = weakened.count();
    for (write, n) in [
        ("create", 0),
        ("update", n_weakened),
        ("replace", 0),
        ("delete", 0),
    ] {
        ensure!(plan["summary"][write] == n, "{write}: {plan:#}");
    }
    Ok(())
}
