//! Stock CoreDNS, whose API server is an emitter, answers for what is exported.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use control_plane::assets::{self, Found};
use control_plane::{Keeper, Process, Scene};
use serde_json::json;
use tokio::net::UdpSocket;

use crate::client_certificates::Secure;
use crate::lab::{EXPORT, Lab, eventually, free_port, get};
use crate::tls::{Ca, Purpose};

pub(crate) async fn stock_coredns_answers_for_what_is_exported(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let web = east.service("demo/web").await?.context("it is there")?;
    let web = web["spec"]["clusterIP"].as_str().context("it has one")?;
    let web = web.parse::<Ipv4Addr>()?.octets();
    let bare = r#"{"clusterIP":"None","ports":[{"name":"http","port":80}]}"#;
    east.create_service_with("bare", bare).await?;
    east.set_endpoints("bare", &["10.1.0.1", "10.1.0.2"])
        .await?;
    let secret = r#"{"metadata":{"name":"secret"},"spec":{"ports":[{"port":80}]}}"#;
    east.post("/api/v1/namespaces/demo/services", secret)
        .await?;
    let emitter = lab.emitter(&east, &["--serve-namespaces"]).await?;
    let namespaces = get(&emitter.url, "/api/v1/namespaces").await?;
    ensure!(
        namespaces.contains(r#""name":"demo""#) && !namespaces.contains("mirrors"),
        "{namespaces}"
    );

    let dns = Dns::start(&format!("endpoint {}", emitter.url)).await?;
    let answers =
        async |name: &str, expected: &[[u8; 4]]| dns.answers("demo", name, expected).await;
    answers("web", &[web]).await?;
    answers("bare", &[[10, 1, 0, 1], [10, 1, 0, 2]]).await?;
    answers("secret", &[]).await?;
    // What changes, goes and comes is followed, also after a restart.
    east.set_endpoints("bare", &["10.1.0.2", "10.1.0.3"])
        .await?;
    answers("bare", &[[10, 1, 0, 2], [10, 1, 0, 3]]).await?;
    emitter.kill().await?;
    east.delete_service("demo/web").await?;
    answers("web", &[web]).await?;
    emitter.start().await?;
    answers("web", &[]).await?;
    answers("bare", &[[10, 1, 0, 2], [10, 1, 0, 3]]).await
}

/// Over TLS, and by name: one is known by its token and sees all, the other by its
/// certificate and sees one namespace. Each answers for exactly what it may see.
pub(crate) async fn stock_coredns_answers_for_what_it_may_see(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_namespace("vault").await?;
    let mut addresses = Vec::new();
    for (namespace, name) in [("demo", "web"), ("vault", "gold")] {
        let labels = json!({EXPORT: "true"});
        let service = json!({"metadata": {"name": name, "labels": labels}, "spec": {"ports": [{"port": 80}]}});
        let path = format!("/api/v1/namespaces/{namespace}/services");
        east.post(&path, &service.to_string()).await?;
        let made = east.service(&format!("{namespace}/{name}")).await?;
        let made = made.context("it is there")?;
        let address = made["spec"]["clusterIP"].as_str().context("it has one")?;
        addresses.push(address.parse::<Ipv4Addr>()?.octets());
    }
    let clients = Ca::new("clients")?;
    let trusted = lab.file("clients.crt", &clients.pem)?;
    let policy = "consumers: [{name: whole, users: [whole]}, {name: demo, groups: [dns], namespaces: [demo]}]";
    let flags = [
        "--serve-namespaces".to_owned(),
        format!("--client-ca-file={}", trusted.display()),
        format!(
            "--token-auth-file={}",
            lab.file("tokens", "secret,whole,1\n")?.display()
        ),
        format!(
            "--access-config={}",
            lab.file("access.yaml", policy)?.display()
        ),
    ];
    let emitter = Secure::start(&lab, &east, &flags).await?;
    let by_token = lab.file("dns", &emitter.kubeconfig(&json!({"token": "secret"})))?;
    let whole = Dns::start(&format!("kubeconfig {} it", by_token.display())).await?;
    let signed = clients.sign(&lab, "coredns", Some("dns"), Purpose::Client)?;
    let authority = lab.file("servers.crt", &emitter.authority)?;
    let own = Dns::start(&format!(
        "endpoint {}\n        tls {} {} {}",
        emitter.url,
        signed.cert.display(),
        signed.key.display(),
        authority.display()
    ))
    .await?;
    let (web, gold) = (addresses[0], addresses[1]);
    whole.answers("demo", "web", &[web]).await?;
    whole.answers("vault", "gold", &[gold]).await?;
    own.answers("demo", "web", &[web]).await?;
    own.answers("vault", "gold", &[]).await?;
    own.answers("default", "kubernetes", &[]).await?;

    east.delete_service("demo/web").await?;
    own.answers("demo", "web", &[]).await?;
    whole.answers("demo", "web", &[]).await?;
    whole.answers("vault", "gold", &[gold]).await
}

/// A running CoreDNS.
struct Dns {
    port: u16,
    process: Process,
    _keeper: Keeper,
}

impl Dns {
    /// Which follows what these lines of its plugin say.
    async fn start(server: &str) -> anyhow::Result<Self> {
        let keeper = Keeper::new("coredns")?;
        let port = free_port()?;
        let corefile = keeper.directory().join("Corefile");
        let text = format!(
            ".:{port} {{\n    bind 127.0.0.1\n    errors\n    kubernetes cluster.local {{\n        {server}\n        ttl 0\n    }}\n}}\n",
        );
        std::fs::write(&corefile, text)?;
        let mut command = Command::new(binary().await?);
        command.arg("-conf").arg(&corefile);
        let process = keeper.spawn("coredns", &command)?;
        Ok(Self {
            port,
            process,
            _keeper: keeper,
        })
    }

    /// Waits until a Service has exactly these addresses.
    async fn answers(
        &self,
        namespace: &str,
        name: &str,
        expected: &[[u8; 4]],
    ) -> anyhow::Result<()> {
        let name = format!("{name}.{namespace}.svc.cluster.local");
        let what = format!("{name} has {expected:?}");
        eventually(&what, async || {
            let mut found = ask(self.port, &name).await?;
            found.sort();
            let expected: Vec<Ipv4Addr> = expected.iter().map(|it| (*it).into()).collect();
            let log = self.process.log();
            ensure!(found == expected, "it has {found:?}\n{log}");
            Ok(())
        })
        .await
    }
}

async fn binary() -> anyhow::Result<std::path::PathBuf> {
    let found = tokio::task::spawn_blocking(|| assets::find_or_build_with(&["coredns"])).await??;
    match found {
        Found::Ready(assets) => Ok(assets.binary("coredns")),
        Found::Missing(why) => bail!("{why}"),
    }
}

/// The addresses of a name, by one question over UDP.
async fn ask(port: u16, name: &str) -> anyhow::Result<Vec<Ipv4Addr>> {
    // Recursion is wanted; there is one question.
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend_from_slice(label.as_bytes());
    }
    // The root; type A, class IN.
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.send_to(&question, ("127.0.0.1", port)).await?;
    let mut answer = [0; 4096];
    let length = tokio::time::timeout(Duration::from_secs(2), socket.recv(&mut answer));
    let length = length.await.context("no answer")??;
    let answer = &answer[..length];
    let code = answer.get(3).context("cut short")? & 0xf;
    // No such name is an answer too.
    ensure!(code == 0 || code == 3, "code {code}");
    let n_answers = u16::from_be_bytes([answer[6], answer[7]]);
    let mut rest = answer.get(question.len()..).context("cut short")?;
    let mut addresses = Vec::new();
    for _ in 0..n_answers {
        // The name stands there as a number or as labels.
        let name = match rest.first().context("cut short")? {
            0xc0.. => 2,
            _ => 1 + rest.iter().position(|it| *it == 0).context("cut short")?,
        };
        let record = rest.get(name..).context("cut short")?;
        let head = record.first_chunk::<10>().context("cut short")?;
        let length = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let data = record.get(10..10 + length).context("cut short")?;
        if let ([0, 1], Ok(address)) = (&head[..2], <[u8; 4]>::try_from(data)) {
            addresses.push(address.into());
        }
        rest = &record[10 + length..];
    }
    Ok(addresses)
}
