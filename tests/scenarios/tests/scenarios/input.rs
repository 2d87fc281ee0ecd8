//! Bad flags and files are refused in plain words, and only they stop a program.

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};

use crate::lab::program;

/// Runs a program that is to refuse, and returns what it says.
async fn refusal(name: &str, line: &str) -> anyhow::Result<String> {
    let output = tokio::process::Command::new(program(name)?)
        .args(line.split_whitespace())
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(20), output).await;
    let output = output.with_context(|| format!("{name} {line}: it goes on"))??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success(),
        "{name} {line}: it is content\n{said}"
    );
    ensure!(!said.contains("panicked"), "{name} {line}: {said}");
    Ok(said)
}

pub async fn bad_input_is_refused_in_plain_words(_: Arc<Scene>) -> anyhow::Result<()> {
    let keeper = Keeper::new("input")?;
    let file = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = keeper.directory().join(name);
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    };
    let malformed = file("malformed", "clusters: [")?;
    let nowhere = file(
        "nowhere",
        "{apiVersion: v1, kind: Config, current-context: c, \
         clusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}], \
         users: [{name: u, user: {}}], contexts: [{name: c, context: {cluster: c, user: u}}]}",
    )?;
    let unknown_key = file("unknown.yaml", "mirrorNamespace: m\nsauces: []\n")?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?;

    let emitter = "--selector a=b --insecure-port 0 --secure-port 0";
    for (line, words) in [
        ("--selector a=b --nonsense", vec!["--nonsense"]),
        ("--selector a==b==c", vec!["--selector", "a==b==c"]),
        (emitter, vec!["--secure-port", "--insecure-port"]),
        (
            "--selector a=b --kubeconfig /nowhere/kubeconfig",
            vec!["/nowhere/kubeconfig"],
        ),
        (
            &format!("--selector a=b --kubeconfig {malformed}"),
            vec![&malformed],
        ),
        (
            &format!("--selector a=b --kubeconfig {nowhere} --context x"),
            vec!["x", &nowhere],
        ),
        (
            "--selector a=b --tls-cert-file /nowhere/c --tls-private-key-file /nowhere/k --kubeconfig",
            vec!["--kubeconfig"],
        ),
        (
            &format!(
                "--selector a=b --kubeconfig {nowhere} --insecure-bind-address 127.0.0.1 --secure-port 0 --insecure-port {}",
                taken.port()
            ),
            vec!["--insecure-port", "address already in use"],
        ),
    ] {
        let said = refusal("emitter", line).await?;
        for word in words {
            ensure!(
                said.contains(word),
                "emitter {line}: nothing of {word:?} in\n{said}"
            );
        }
    }

    let local = format!("--kubeconfig {nowhere} --mirror-namespace m");
    let source = |text: &str| format!("{local} --source {text}");
    for (line, words) in [
        (
            source("name=a,url=http://x,prefix=a --nonsense"),
            vec!["--nonsense"],
        ),
        (source("name=a,url=http://x,prefix=A"), vec!["A"]),
        (source("name=a,url=http://x,prefix=gl"), vec!["gl"]),
        (
            source("name=a,url=http://x,prefix=a --source name=a,url=http://y,prefix=b"),
            vec!["a"],
        ),
        (
            source("name=a,url=http://x,prefix=p --source name=b,url=http://y,prefix=p"),
            vec!["p", "prefix"],
        ),
        (
            source("name=a,url=http://x,prefix=p --source name=b,url=http://y,prefix=p-q"),
            vec!["p-q", "prefix"],
        ),
        (
            source("name=a,kubeconfig=/nowhere/remote,prefix=a"),
            vec!["/nowhere/remote"],
        ),
        (
            source("name=a,kubeconfig=x,url=http://x,prefix=a"),
            vec!["kubeconfig", "url"],
        ),
        (
            source("name=a,url=http://x,prefix=a,selector=a==b==c"),
            vec!["selector"],
        ),
        (
            format!(
                "--kubeconfig {nowhere} --mirror-namespace M_ --source name=a,url=http://x,prefix=a"
            ),
            vec!["M_"],
        ),
        (
            format!(
                "--kubeconfig /nowhere/local --mirror-namespace m --source name=a,url=http://x,prefix=a"
            ),
            vec!["/nowhere/local"],
        ),
        (
            format!("--kubeconfig {nowhere} --config {unknown_key}"),
            vec![&unknown_key, "sauces"],
        ),
        (
            format!("--kubeconfig {nowhere} --config /nowhere/config.yaml"),
            vec!["/nowhere/config.yaml"],
        ),
        (
            format!(
                "{} --listen {taken}",
                source("name=a,url=http://x,prefix=a")
            ),
            vec!["--listen", "address already in use"],
        ),
    ] {
        let said = refusal("reflector", &line).await?;
        for word in words {
            ensure!(
                said.contains(word),
                "reflector {line}: nothing of {word:?} in\n{said}"
            );
        }
    }
    Ok(())
}
