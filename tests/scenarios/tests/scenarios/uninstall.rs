//! The page about uninstalling: its commands, in their order, leave nothing of Heliograph in a
//! cluster that was in use.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;
use serde_json::json;

use crate::configuration::ByFile;
use crate::lab::{Cluster, EXPORT, Lab, MIRRORS, eventually};
use crate::manifests::{install, quiet_cluster, repository};

/// What the page installs and removes.
const INSTALLED: [&str; 3] = [
    "manifests/reflector",
    "manifests/emitter",
    "manifests/own-objects",
];

/// A namespace that the reflector created. The page names it and leaves it.
const CREATED: &str = "created";

pub(crate) async fn the_page_leaves_nothing(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(Arc::clone(&scene))?;
    let (east, local) = tokio::try_join!(lab.cluster("east"), quiet_cluster(&scene, "local"))?;
    let before = objects(&local).await?;
    for directory in INSTALLED {
        install(&local, directory).await?;
    }
    let crd = repository("manifests/source-crd/crd.yaml");
    let crd = std::fs::read_to_string(crd)?;
    local.plane.kubectl().apply(&crd).await?;
    use_it(&lab, &east, &local).await?;
    let used = objects(&local).await?;
    let n_mirrors = used.iter().filter(|it| it.contains("-web")).count();
    ensure!(4 <= n_mirrors, "it was in use: {used:#?}");

    let printed = walk(&local).await?;
    ensure!(
        printed.contains(&format!("namespace/{CREATED}")) || printed.contains(CREATED),
        "the page names namespaces that were created: {printed}"
    );
    let after = objects(&local).await?;
    let left: Vec<_> = after.difference(&before).collect();
    ensure!(
        left == [&format!("Namespace <none>/{CREATED}")],
        "it leaves {left:#?}"
    );
    let lost: Vec<_> = before.difference(&after).collect();
    ensure!(lost.is_empty(), "it deletes what is not its own: {lost:#?}");
    Ok(())
}

/// Lets a reflector write mirrors of every kind, and stops it.
async fn use_it(lab: &Lab, east: &Cluster, local: &Cluster) -> anyhow::Result<()> {
    east.create_namespace(CREATED).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let web = json!({"metadata": {"name": "web", "labels": {EXPORT: "true"}},
        "spec": {"ports": [{"port": 80}]}});
    let path = format!("/api/v1/namespaces/{CREATED}/services");
    east.post(&path, &web.to_string()).await?;
    let kubeconfig = east.plane.kubeconfig();
    let config = json!({"mirrorNamespace": MIRRORS, "sources": [
        {"name": "east", "prefix": "east", "kubeconfig": kubeconfig, "writeEndpoints": true,
            "selector": format!("{EXPORT}=true")},
        {"name": "same", "sameName": true, "createNamespace": true, "kubeconfig": kubeconfig,
            "selector": format!("{EXPORT}=true"),
            "import": {"namespaces": {"allow": [CREATED]}}},
    ]});
    let flags = [
        "--leader-elect",
        "--leader-elect-resource-namespace=heliograph",
        "--state-namespace=heliograph",
    ];
    let it = ByFile::start_with(lab, local, &config, &flags).await?;
    local
        .eventually_has("mirrors/east-demo-73736d-web", &["10.1.0.1"])
        .await?;
    eventually(
        "the Service of the created namespace is mirrored",
        async || {
            let mirror = local.service(&format!("{CREATED}/web")).await?;
            mirror.map(drop).context("there is none")
        },
    )
    .await?;
    it.reflector.stop().await
}

/// Runs all commands of the page, and returns what they print. `grep` is left out.
async fn walk(local: &Cluster) -> anyhow::Result<String> {
    let page = std::fs::read_to_string(repository("docs/uninstall.md"))?;
    let blocks = page.split("```").skip(1).step_by(2);
    let mut printed = String::new();
    let mut n_commands = 0;
    for block in blocks {
        for (words, filter) in commands(block)? {
            // Namespaces end in a cluster with controllers only.
            let no_wait = words[0] == "delete";
            let words = words
                .into_iter()
                .chain(no_wait.then(|| "--wait=false".to_owned()));
            let output = local.plane.kubectl().run(words).await?;
            let lines = output.lines().filter(|it| it.contains(&filter));
            printed.extend(lines.map(|it| format!("{it}\n")));
            n_commands += 1;
        }
    }
    ensure!(9 <= n_commands, "{n_commands} commands");
    Ok(printed)
}

/// The words of each kubectl command in a block of a page, and the text that `grep` looks for in
/// what it prints.
pub(crate) fn commands(block: &str) -> anyhow::Result<Vec<(Vec<String>, String)>> {
    let block = block.replace("\\\n", " ");
    let lines = block.lines().map(str::trim).filter(|it| !it.is_empty());
    let commands = lines.map(|line| {
        let (command, filter) = line.split_once(" | grep ").unwrap_or((line, ""));
        let command = command.strip_prefix("kubectl ");
        let command = command.with_context(|| format!("not kubectl: {line}"))?;
        let words = command.split_whitespace().map(located);
        Ok((words.collect(), filter.to_owned()))
    });
    commands.collect()
}

/// A directory of the repository, where kubectl runs elsewhere.
fn located(word: &str) -> String {
    match word.starts_with("manifests/") {
        true => repository(word).display().to_string(),
        false => word.to_owned(),
    }
}

/// All objects of a cluster, but for Events, and but for what ends with its namespace.
async fn objects(cluster: &Cluster) -> anyhow::Result<BTreeSet<String>> {
    let kubectl = cluster.plane.kubectl();
    let kinds = kubectl
        .run([
            "api-resources",
            "--verbs=list",
            "--cached=false",
            "-o",
            "name",
        ])
        .await?;
    let kinds: Vec<_> = kinds
        .lines()
        .filter(|it| !it.starts_with("events"))
        .collect();
    let columns = "-ocustom-columns=K:.kind,NS:.metadata.namespace,N:.metadata.name,D:.metadata.deletionTimestamp";
    let listed = kubectl
        .run(["get", &kinds.join(","), "-A", "--no-headers", columns])
        .await?;
    let rows: Vec<Vec<_>> = listed
        .lines()
        .map(|it| it.split_whitespace().collect())
        .collect();
    let ending: BTreeSet<_> = rows
        .iter()
        .filter(|it| it[0] == "Namespace" && it[3] != "<none>")
        .map(|it| it[2])
        .collect();
    let lasting = rows
        .iter()
        .filter(|it| it[3] == "<none>" && !ending.contains(it[1]));
    Ok(lasting
        .map(|it| format!("{} {}/{}", it[0], it[1], it[2]))
        .collect())
}
