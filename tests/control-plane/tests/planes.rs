//! Control planes are what the scenarios take them for.

mod processes;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Keeper, Scene, scenario, suite};
use http::Request;
use tokio::time::Instant;

use self::processes::running_in;

fn main() -> ExitCode {
    // The scenario that is killed runs in a process of its own: this one, asked so.
    if std::env::var_os(VICTIM).is_some() {
        return victim();
    }
    suite::run(
        "control planes",
        vec![
            scenario!(two_planes_answer_with_their_version),
            scenario!(rbac_is_on),
            scenario!(history_can_be_forgotten),
            scenario!(without_a_watch_cache_compaction_alone_is_enough),
            scenario!(a_restart_keeps_data_and_address),
            scenario!(a_paused_api_server_hangs_until_it_is_resumed),
            scenario!(controllers_make_slices),
            scenario!(requests_are_audited),
            scenario!(a_flag_that_is_refused_is_in_the_error),
            scenario!(nothing_outlives_a_killed_test),
            scenario!(nothing_outlives_a_test_within_a_test),
        ],
    )
}

const VICTIM: &str = "HELIOGRAPH_TEST_VICTIM";

async fn two_planes_answer_with_their_version(scene: Arc<Scene>) -> anyhow::Result<()> {
    let (east, west) = tokio::try_join!(
        scene.start(ControlPlane::builder("east")),
        scene.start(ControlPlane::builder("west")),
    )?;
    ensure!(east.url() != west.url());
    let mut addresses = Vec::new();
    for plane in [east, west] {
        let version = plane.kubectl().run(["version"]).await?;
        ensure!(version.contains("Server Version: v1.36.3"), "{version}");
        ensure!(version.contains("Client Version: v1.36.3"), "{version}");
        let own = [
            "get",
            "service",
            "kubernetes",
            "-o=jsonpath={.spec.clusterIP}",
        ];
        addresses.push(plane.kubectl().run(own).await?);
    }
    ensure!(addresses[0] != addresses[1], "{addresses:?}");
    Ok(())
}

async fn rbac_is_on(scene: Arc<Scene>) -> anyhow::Result<()> {
    let plane = scene
        .start(ControlPlane::builder("east").user("nobody"))
        .await?;
    let nobody = plane.kubectl_for("nobody");
    let why = (nobody.run(["get", "services"]).await)
        .err()
        .context("nobody may list services")?
        .to_string();
    ensure!(
        why.contains("User \"nobody\" cannot list resource \"services\""),
        "{why}"
    );
    Ok(())
}

async fn history_can_be_forgotten(scene: Arc<Scene>) -> anyhow::Result<()> {
    let plane = scene.start(ControlPlane::builder("east")).await?;
    let seen = missed_changes(&plane).await?;
    plane.forget_history().await?;
    let stream = watch_from(&plane, &seen).await?;
    ensure!(stream.contains(r#""code":410"#), "{stream}");
    plane.kubectl().run(["get", "configmap", "old"]).await?;
    Ok(())
}

async fn without_a_watch_cache_compaction_alone_is_enough(scene: Arc<Scene>) -> anyhow::Result<()> {
    let builder = ControlPlane::builder("east").apiserver_arg("--watch-cache=false");
    let plane = scene.start(builder).await?;
    let seen = missed_changes(&plane).await?;
    let stream = watch_from(&plane, &seen).await?;
    ensure!(stream.contains(r#""name":"missed""#), "{stream}");
    plane.compact().await?;
    let stream = watch_from(&plane, &seen).await?;
    ensure!(stream.contains(r#""code":410"#), "{stream}");
    Ok(())
}

/// A resource version, with changes after it: two, for compaction keeps the last.
async fn missed_changes(plane: &ControlPlane) -> anyhow::Result<String> {
    let kubectl = plane.kubectl();
    let revision = "-o=jsonpath={.metadata.resourceVersion}";
    let seen = (kubectl.run(["create", "configmap", "old", revision])).await?;
    kubectl.run(["create", "configmap", "missed"]).await?;
    kubectl.run(["create", "configmap", "last"]).await?;
    Ok(seen)
}

/// All that a watch of config maps says within a second.
async fn watch_from(plane: &ControlPlane, revision: &str) -> anyhow::Result<String> {
    let watch = format!("/api/v1/configmaps?watch=1&resourceVersion={revision}&timeoutSeconds=1");
    let client = plane.client().await?;
    let request = Request::get(watch).body(Vec::new())?;
    // A resource version that is too old may also be refused before the stream begins.
    match client.request_text(request).await {
        Err(kube::Error::Api(status)) => Ok(format!(r#""code":{}"#, status.code)),
        answer => Ok(answer?),
    }
}

async fn a_restart_keeps_data_and_address(scene: Arc<Scene>) -> anyhow::Result<()> {
    let plane = scene.start(ControlPlane::builder("east")).await?;
    plane.kubectl().run(["create", "namespace", "demo"]).await?;
    let url = plane.url();
    plane.kill_apiserver().await?;
    ensure!(plane.kubectl().run(["get", "namespaces"]).await.is_err());
    plane.start_apiserver().await?;
    plane.stop_apiserver().await?;
    plane.start_apiserver().await?;
    ensure!(plane.url() == url);
    plane.kubectl().run(["get", "namespace", "demo"]).await?;
    Ok(())
}

async fn a_paused_api_server_hangs_until_it_is_resumed(scene: Arc<Scene>) -> anyhow::Result<()> {
    let plane = scene.start(ControlPlane::builder("east")).await?;
    let client = plane.client().await?;
    let version = || Request::get("/version").body(Vec::new());
    client.request_text(version()?).await?;
    plane.pause_apiserver()?;
    // A process of many threads stops a moment after the signal.
    let mut has_hung = false;
    for _ in 0..10 {
        let answer = client.request_text(version()?);
        let answer = tokio::time::timeout(Duration::from_millis(500), answer).await;
        has_hung = answer.is_err();
        if has_hung {
            break;
        }
    }
    ensure!(has_hung, "a paused server goes on answering");
    plane.resume_apiserver()?;
    client.request_text(version()?).await?;
    Ok(())
}

async fn controllers_make_slices(scene: Arc<Scene>) -> anyhow::Result<()> {
    let plane = scene
        .start(ControlPlane::builder("east").controllers())
        .await?;
    let service = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},
        "spec":{"selector":{"app":"web"},"ports":[{"port":80}]}}"#;
    plane.kubectl().apply(service).await?;
    for _ in 0..100 {
        let slices = [
            "get",
            "endpointslices",
            "-l",
            "kubernetes.io/service-name=web",
            "-o",
            "name",
        ];
        if !plane.kubectl().run(slices).await?.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("no slice came");
}

async fn requests_are_audited(scene: Arc<Scene>) -> anyhow::Result<()> {
    let plane = scene.start(ControlPlane::builder("east").audit()).await?;
    plane.kubectl().run(["create", "namespace", "demo"]).await?;
    let watch = "/api/v1/configmaps?watch=1&timeoutSeconds=1";
    let client = plane.client().await?;
    (client.request_text(Request::get(watch).body(Vec::new())?)).await?;
    let events = plane.audit_events()?;
    let watches = events.iter().filter(|it| it.uri == watch).count();
    ensure!(watches == 1, "one watch was audited {watches} times");
    let created = events
        .iter()
        .find(|it| it.resource == "namespaces" && it.name == "demo");
    let created = created.context("the creation was not audited")?;
    ensure!(created.is_write() && created.user == "admin" && created.code == 201);
    Ok(())
}

async fn a_flag_that_is_refused_is_in_the_error(scene: Arc<Scene>) -> anyhow::Result<()> {
    let builder = ControlPlane::builder("east").apiserver_arg("--no-such-flag");
    let begin = Instant::now();
    let why = scene.start(builder).await.err().context("it starts")?;
    ensure!(
        format!("{why:#}").contains("unknown flag: --no-such-flag"),
        "{why:#}"
    );
    ensure!(begin.elapsed() < Duration::from_secs(10), "it was slow");
    Ok(())
}

async fn nothing_outlives_a_killed_test(_: Arc<Scene>) -> anyhow::Result<()> {
    let mut victim = tokio::process::Command::new(std::env::current_exe()?)
        .env(VICTIM, "1")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = victim.stdout.take().context("it has a standard output")?;
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stdout));
    let directory = (lines.next_line().await?).context("it says where it keeps things")?;
    let directory = PathBuf::from(directory);
    // The keeper, and the three that it keeps; which may be about to become what they are.
    eventually(|| Ok(running_in(&directory)?.len() == 4))
        .await
        .context("not all run")?;
    victim.kill().await?;
    eventually(|| Ok(!directory.exists() && running_in(&directory)?.is_empty()))
        .await
        .with_context(|| format!("there still is {}", directory.display()))
}

/// As where a test runs the playground, which starts control planes itself.
async fn nothing_outlives_a_test_within_a_test(_: Arc<Scene>) -> anyhow::Result<()> {
    let keeper = Keeper::new("outer")?;
    let mut victim = Command::new(std::env::current_exe()?);
    victim.env(VICTIM, "1").env("TMPDIR", keeper.directory());
    let process = keeper.spawn("victim", &victim)?;
    let directory = keeper.directory().to_owned();
    eventually(|| {
        Ok(process.log().contains("heliograph-victim") && running_in(&directory)?.len() > 4)
    })
    .await
    .context("not all run")?;
    drop(keeper);
    eventually(|| Ok(!directory.exists() && running_in(&directory)?.is_empty()))
        .await
        .with_context(|| format!("there still is {}", directory.display()))
}

async fn eventually(holds: impl Fn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    for _ in 0..200 {
        if holds()? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("not within ten seconds")
}

/// Starts a control plane with its API server paused, and waits to be killed.
#[tokio::main]
async fn victim() -> ExitCode {
    let builder = ControlPlane::builder("victim").controllers();
    let plane = builder.start().await.expect("a plane starts");
    plane.pause_apiserver().expect("it can be paused");
    #[expect(clippy::print_stdout, reason = "this is how the test hears of it")]
    {
        println!("{}", plane.directory().display());
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    ExitCode::FAILURE
}
