//! Control planes are what the scenarios take them for.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Keeper, Scene, scenario, suite};
use http::Request;

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
            scenario!(a_restart_keeps_data_and_address),
            scenario!(controllers_make_slices),
            scenario!(requests_are_audited),
            scenario!(nothing_outlives_a_killed_test),
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
    for plane in [east, west] {
        let version = plane.kubectl().run(["version"]).await?;
        ensure!(version.contains("Server Version: v1.36.3"), "{version}");
    }
    Ok(())
}

async fn rbac_is_on(scene: Arc<Scene>) -> anyhow::Result<()> {
    let plane = scene
        .start(ControlPlane::builder("east").user("nobody"))
        .await?;
    let kubeconfig = plane.kubeconfig_for("nobody");
    let nobody = ["--kubeconfig", &kubeconfig.display().to_string()].map(str::to_owned);
    let words = ["get", "services"].map(str::to_owned);
    let refused = plane.kubectl().run(nobody.into_iter().chain(words)).await;
    let why = refused
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
    let kubectl = plane.kubectl();
    kubectl.run(["create", "configmap", "old"]).await?;
    plane.forget_history().await?;
    let watch = "/api/v1/configmaps?watch=1&resourceVersion=2&timeoutSeconds=2";
    let client = plane.client().await?;
    let stream = client
        .request_text(Request::get(watch).body(Vec::new())?)
        .await?;
    ensure!(stream.contains(r#""code":410"#), "{stream}");
    kubectl.run(["get", "configmap", "old"]).await?;
    Ok(())
}

async fn a_restart_keeps_data_and_address(scene: Arc<Scene>) -> anyhow::Result<()> {
    let plane = scene.start(ControlPlane::builder("east")).await?;
    plane.kubectl().run(["create", "namespace", "demo"]).await?;
    let url = plane.url();
    plane.kill_apiserver().await?;
    ensure!(plane.kubectl().run(["get", "namespaces"]).await.is_err());
    plane.start_apiserver().await?;
    ensure!(plane.url() == url);
    plane.kubectl().run(["get", "namespace", "demo"]).await?;
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
    let events = plane.audit_events()?;
    let created = events
        .iter()
        .find(|it| it.resource == "namespaces" && it.name == "demo");
    let created = created.context("the creation was not audited")?;
    ensure!(created.is_write() && created.user == "admin" && created.code == 201);
    Ok(())
}

async fn nothing_outlives_a_killed_test(_: Arc<Scene>) -> anyhow::Result<()> {
    let mut victim = tokio::process::Command::new(std::env::current_exe()?)
        .env(VICTIM, "1")
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let stdout = victim.stdout.take().context("it has a standard output")?;
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stdout));
    let directory = lines
        .next_line()
        .await?
        .context("it says where it keeps things")?;
    victim.kill().await?;
    for _ in 0..100 {
        let running = Command::new("pgrep").args(["-f", &directory]).output()?;
        if !std::path::Path::new(&directory).exists() && running.stdout.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("{directory} or a process of it is still there");
}

/// Starts what does not end by itself, one of it stopped, and waits to be killed.
fn victim() -> ExitCode {
    let keeper = Keeper::new("victim").expect("a keeper starts");
    let directory = keeper.directory().display().to_string();
    let mut sleep = Command::new("sh");
    // The directory in its arguments lets the test find it.
    sleep.args(["-c", "while :; do sleep 1; done", &directory]);
    let _running = keeper.spawn("running", &sleep).expect("it starts");
    let stopped = keeper.spawn("stopped", &sleep).expect("it starts");
    std::thread::sleep(Duration::from_millis(200));
    stopped.signal("STOP").expect("it can be stopped");
    #[expect(clippy::print_stdout, reason = "this is how the test hears of it")]
    {
        println!("{directory}");
    }
    std::thread::sleep(Duration::from_secs(60));
    ExitCode::FAILURE
}
