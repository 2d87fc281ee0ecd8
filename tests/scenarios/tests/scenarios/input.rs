//! Bad flags and files are refused in plain words, and only they stop a program.

use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Scene};

use crate::lab::program;

/// Runs a program that is to refuse, and returns what it says.
pub(crate) async fn refusal(name: &str, line: &str) -> anyhow::Result<String> {
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

/// Files that are not what they should be, or lead nowhere.
struct Files {
    malformed: String,
    nowhere: String,
    unknown_key: String,
}

impl Files {
    fn write(keeper: &Keeper) -> anyhow::Result<Self> {
        let file = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = keeper.directory().join(name);
            std::fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        Ok(Self {
            malformed: file("malformed", "clusters: [")?,
            nowhere: file(
                "nowhere",
                "{apiVersion: v1, kind: Config, current-context: c, \
                 clusters: [{name: c, cluster: {server: \"http://127.0.0.1:1\"}}], \
                 users: [{name: u, user: {}}], contexts: [{name: c, context: {cluster: c, user: u}}]}",
            )?,
            unknown_key: file("unknown.yaml", "mirrorNamespace: m\nsauces: []\n")?,
        })
    }
}

/// Runs a program with each line of flags, and looks for the words in what it says.
async fn refuses(name: &str, cases: &[(String, Vec<&str>)]) -> anyhow::Result<()> {
    for (line, words) in cases {
        let said = refusal(name, line).await?;
        for word in words {
            ensure!(
                said.contains(word),
                "{name} {line}: nothing of {word:?} in\n{said}"
            );
        }
    }
    Ok(())
}

pub(crate) async fn an_emitter_refuses_bad_input_in_plain_words(
    _: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("input")?;
    let files = Files::write(&keeper)?;
    let (malformed, nowhere) = (&files.malformed, &files.nowhere);
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let flags = |rest: &str| format!("--selector a=b --anonymous-auth {rest}");
    let cases = [
        (flags("--nonsense"), vec!["--nonsense"]),
        (
            format!("--selector a=b --kubeconfig {nowhere}"),
            vec![
                "no client could read",
                "--anonymous-auth",
                "--token-auth-file",
            ],
        ),
        (
            flags(&format!(
                "--kubeconfig {nowhere} --access-config {malformed}"
            )),
            vec![malformed, "--access-config"],
        ),
        (
            "--selector a==b==c".to_owned(),
            vec!["--selector", "a==b==c"],
        ),
        (
            flags("--insecure-port 0 --secure-port 0"),
            vec!["--secure-port", "--insecure-port"],
        ),
        (
            flags("--kubeconfig /nowhere/kubeconfig"),
            vec!["/nowhere/kubeconfig"],
        ),
        (flags(&format!("--kubeconfig {malformed}")), vec![malformed]),
        (
            flags(&format!("--kubeconfig {nowhere} --context x")),
            vec!["x", nowhere],
        ),
        (
            flags(&format!(
                "--kubeconfig {nowhere} --tls-cert-file /nowhere/c --tls-private-key-file /nowhere/k \
                 --insecure-port 0 --bind-address 127.0.0.1"
            )),
            vec!["/nowhere/c", "--tls-cert-file"],
        ),
        (
            flags(&format!(
                "--kubeconfig {nowhere} --insecure-bind-address 127.0.0.1 --secure-port 0 \
                 --insecure-port {port}"
            )),
            vec!["--insecure-port", "address already in use"],
        ),
    ];
    refuses("emitter", &cases).await
}

pub(crate) async fn a_reflector_refuses_bad_input_in_plain_words(
    _: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("input")?;
    let files = Files::write(&keeper)?;
    let nowhere = &files.nowhere;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    let local = format!("--kubeconfig {nowhere} --mirror-namespace m");
    let source = |text: &str| format!("{local} --source {text}");
    let two = |one: &str, other: &str| format!("{} --source {other}", source(one));
    let good = "name=a,url=http://x,prefix=p";
    let cases = [
        (format!("{} --nonsense", source(good)), vec!["--nonsense"]),
        (source("name=a,url=http://x,prefix=A"), vec!["A"]),
        (source("name=a,url=http://x,prefix=gl"), vec!["gl"]),
        (two(good, "name=a,url=http://y,prefix=b"), vec!["a"]),
        (
            two(good, "name=b,url=http://y,prefix=p"),
            vec!["p", "prefix"],
        ),
        (
            two(good, "name=b,url=http://y,prefix=p-q"),
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
            format!("--kubeconfig {nowhere} --mirror-namespace M_ --source {good}"),
            vec!["M_"],
        ),
        (
            format!("--kubeconfig /nowhere/local --mirror-namespace m --source {good}"),
            vec!["/nowhere/local"],
        ),
        (
            format!("--kubeconfig {nowhere} --config {}", files.unknown_key),
            vec![files.unknown_key.as_str(), "sauces"],
        ),
        (
            format!("--kubeconfig {nowhere} --config /nowhere/config.yaml"),
            vec!["/nowhere/config.yaml"],
        ),
        (
            format!("{} --admin-bind-address {address}", source(good)),
            vec!["--admin-bind-address", "address already in use"],
        ),
    ];
    refuses("reflector", &cases).await
}
