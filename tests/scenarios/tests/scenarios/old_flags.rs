//! service-reflector's flags for its emitter start ours, and do what they say.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::Scene;

use crate::lab::{Lab, Program, eventually, free_port, get, program};
use crate::tls::{Hello, Pair};

const AES_128: &str = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";

/// An emitter by a line of service-reflector, and where it serves HTTPS.
async fn emitter_of(lab: &Lab, flags: &[String]) -> anyhow::Result<(Program, u16)> {
    let (http, https) = (free_port()?, free_port()?);
    let mut command = Command::new(program("emitter")?);
    command.args(flags).args([
        "--emitter",
        "--reflector=false",
        "--log-level=debug",
        "--emitter.insecure-bind-address=127.0.0.1",
        &format!("--emitter.insecure-port={http}"),
        "--emitter.bind-address=127.0.0.1",
        &format!("--emitter.secure-port={https}"),
        "--emitter.http2-max-streams-per-connection=0",
        "--reflector.source-api=",
        "--reflector.selector=a=b",
    ]);
    let emitter = lab.start("emitter", command, Some(http))?;
    emitter.ready().await?;
    Ok((emitter, https))
}

pub(crate) async fn service_reflectors_flags_start_an_emitter(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let plain = r#"{"metadata":{"name":"plain"},"spec":{"ports":[{"port":80}]}}"#;
    east.post("/api/v1/namespaces/demo/services", plain).await?;
    let kubeconfig = format!("--kubeconfig={}", east.plane.kubeconfig().display());
    let [one, two] = [
        Pair::new(&lab, "one", &["one.example", "*.one.example"])?,
        Pair::new(&lab, "two", &["unsaid.example"])?,
    ];
    let kept = lab.directory().join("kept/certificates");
    let flags = [
        kubeconfig.clone(),
        "--namespace=demo".to_owned(),
        "--emitter.selector=heliograph.dev/export=true".to_owned(),
        format!("--emitter.cert-dir={}", kept.display()),
        format!("--emitter.tls-cipher-suites={AES_128},TLS_AES_128_GCM_SHA256"),
        "--emitter.tls-cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA".to_owned(),
        "--emitter.tls-min-version=VersionTLS12".to_owned(),
        format!("--emitter.tls-sni-cert-key={}", one.flag()),
        "--emitter.tls-sni-cert-key".to_owned(),
        format!("{}:two.example", two.flag()),
    ];
    let (emitter, https) = emitter_of(&lab, &flags).await?;
    let list = get(&emitter.url, "/api/v1/services").await?;
    ensure!(
        list.contains("\"web\"") && !list.contains("\"plain\""),
        "{list}"
    );
    ensure!(
        emitter.log().contains("TLS_RSA_WITH_AES_128_CBC_SHA"),
        "it warns"
    );

    certificates_by_name(https, &one, &two, &kept).await?;
    suites_as_named(https).await?;
    // What is made up stays the same after a restart.
    let before = Hello::default().greet(https).await?.certificate;
    emitter.kill().await?;
    emitter.start().await?;
    ensure!(Hello::default().greet(https).await?.certificate == before);
    emitter.stop().await?;

    // Nothing but theirs and no selector is everything, as it was.
    let strict = [
        kubeconfig,
        "--emitter.tls-min-version=VersionTLS13".to_owned(),
    ];
    let (emitter, https) = emitter_of(&lab, &strict).await?;
    let list = get(&emitter.url, "/api/v1/namespaces/demo/services").await?;
    ensure!(list.contains("\"plain\""), "{list}");
    ensure!(emitter.log().contains("everything is exported"));
    let old = Hello::default().tls12().greet(https).await;
    ensure!(old.is_err(), "TLS 1.2 is served");
    let new = Hello::default().greet(https).await?;
    ensure!(new.version == "TLSv1_3", "{new:?}");
    Ok(())
}

async fn certificates_by_name(
    port: u16,
    one: &Pair,
    two: &Pair,
    kept: &std::path::Path,
) -> anyhow::Result<()> {
    let otherwise = std::fs::read_to_string(kept.join("emitter.crt"))?;
    for (name, expected) in [
        ("one.example", one.pem()?),
        ("a.one.example", one.pem()?),
        ("two.example", two.pem()?),
        ("unsaid.example", otherwise.clone()),
        ("a.b.one.example", otherwise.clone()),
        ("localhost", otherwise),
    ] {
        let shown = Hello::to(name).greet(port).await?.certificate;
        ensure!(
            expected.contains(&shown),
            "{name} is shown another certificate"
        );
    }
    one.renew(&["one.example"])?;
    eventually("a certificate by name is exchanged", async || {
        let shown = Hello::to("one.example").greet(port).await?.certificate;
        ensure!(one.pem()?.contains(&shown), "it is the old one");
        Ok(())
    })
    .await
}

async fn suites_as_named(port: u16) -> anyhow::Result<()> {
    let old = Hello::default().tls12().greet(port).await?;
    ensure!(
        (old.suite.as_str(), old.version.as_str()) == (AES_128, "TLSv1_2"),
        "{old:?}"
    );
    let new = Hello::default().greet(port).await?;
    ensure!(new.suite == "TLS13_AES_128_GCM_SHA256", "{new:?}");
    for suite in [
        "TLS13_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ] {
        let refused = Hello::default().with(suite).greet(port).await;
        let why = refused
            .err()
            .context("a suite that is not named is served")?;
        ensure!(
            format!("{why:#}").contains("HandshakeFailure"),
            "{suite}: {why:#}"
        );
    }
    Ok(())
}
