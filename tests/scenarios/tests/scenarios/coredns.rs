//! Stock CoreDNS, whose API server is an emitter, answers for what is exported.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use control_plane::assets::{self, Found};
use control_plane::{Keeper, Scene};
use tokio::net::UdpSocket;

use crate::lab::{Lab, eventually, free_port, get};

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

    let keeper = Keeper::new("coredns")?;
    let port = free_port()?;
    let corefile = keeper.directory().join("Corefile");
    let text = format!(
        ".:{port} {{\n    bind 127.0.0.1\n    errors\n    kubernetes cluster.local {{\n        endpoint {}\n        ttl 0\n    }}\n}}\n",
        emitter.url
    );
    std::fs::write(&corefile, text)?;
    let mut command = Command::new(binary().await?);
    command.arg("-conf").arg(&corefile);
    let process = keeper.spawn("coredns", &command)?;

    let answers = async |name: &str, expected: &[[u8; 4]]| {
        let name = format!("{name}.demo.svc.cluster.local");
        let what = format!("{name} has {expected:?}");
        eventually(&what, async || {
            let mut found = ask(port, &name).await?;
            found.sort();
            let expected: Vec<Ipv4Addr> = expected.iter().map(|it| (*it).into()).collect();
            ensure!(found == expected, "it has {found:?}\n{}", process.log());
            Ok(())
        })
        .await
    };
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
