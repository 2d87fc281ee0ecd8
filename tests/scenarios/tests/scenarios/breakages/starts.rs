//! Flags and files with which a program does not start.

use std::path::Path;
use std::sync::Arc;

use anyhow::ensure;
use control_plane::{Keeper, Scene};

use super::Table;
use super::table::View;
use crate::input::refusal;

pub(crate) const BREAKAGES: [&str; 14] = [
    "The kubeconfig is malformed",
    "The kubeconfig does not exist",
    "The kubeconfig has no such context",
    "The exec plugin of the kubeconfig is missing",
    "The exec plugin fails",
    "The kubeconfig needs a plugin that kubectl has removed",
    "The kubeconfig has a CA and insecure-skip-tls-verify",
    "The CA file holds no certificate",
    "Credentials would be sent over plain HTTP",
    "Two prefixes make names ambiguous",
    "A prefix is reserved",
    "A key of the configuration is unknown",
    "A URL has no scheme",
    "The emitter has no access method",
];

/// A kubeconfig of one cluster and one user.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: \
         {{{cluster}}}}}], users: [{{name: u, user: {{{user}}}}}], contexts: [{{name: c, context: \
         {{cluster: c, user: u}}}}]}}"
    )
}

/// Files of the cases, by name.
fn files() -> Vec<(&'static str, String)> {
    const SECURE: &str = "server: 'https://127.0.0.1:1'";
    let exec = |command: &str| {
        format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, \
             command: {command}, args: ['-c', 'echo log in first >&2; exit 3'], installHint: get \
             it from example.org}}"
        )
    };
    let both = format!("{SECURE}, insecure-skip-tls-verify: true, certificate-authority: nothing");
    vec![
        ("good", kubeconfig("server: 'http://127.0.0.1:1'", "")),
        ("malformed", "clusters: [".to_owned()),
        (
            "missing-plugin",
            kubeconfig(SECURE, &exec("no-such-plugin")),
        ),
        ("failing-plugin", kubeconfig(SECURE, &exec("/bin/sh"))),
        ("removed", kubeconfig(SECURE, "auth-provider: {name: gcp}")),
        ("insecure", kubeconfig(&both, "token: t")),
        ("nothing", "nothing".to_owned()),
        (
            "plain",
            kubeconfig("server: 'http://east.example'", "token: t"),
        ),
        ("unknown", "mirrorNamespace: m\nsauces: []\n".to_owned()),
    ]
}

/// Program, flags and breakage.
fn cases(at: &Path) -> Vec<(&'static str, String, &'static str)> {
    let at = at.display();
    let local = |file: &str| format!("--kubeconfig {at}/{file} --mirror-namespace m");
    let one = "--source name=a,url=http://x,prefix=p";
    let remote = |file: &str| {
        format!(
            "{} --source name=a,kubeconfig={at}/{file},prefix=p",
            local("good")
        )
    };
    let urls = |rest: &str| format!("{} {one} --source {rest}", local("good"));
    let of_reflector = [
        format!("{} {one}", local("malformed")),
        format!("{} {one}", local("nowhere")),
        format!("{} --context x {one}", local("good")),
        remote("missing-plugin"),
        remote("failing-plugin"),
        remote("removed"),
        remote("insecure"),
        urls(&format!(
            "name=b,url=https://y,prefix=q,caFile={at}/nothing"
        )),
        remote("plain"),
        urls("name=b,url=http://y,prefix=p-q"),
        urls("name=b,url=http://y,prefix=gl"),
        format!("--kubeconfig {at}/good --config {at}/unknown"),
        urls("name=b,url=east.example:8080,prefix=q"),
    ];
    let mut cases: Vec<_> = of_reflector
        .into_iter()
        .zip(BREAKAGES)
        .map(|(line, breakage)| ("reflector", line, breakage))
        .collect();
    let open = format!("--selector a=b --kubeconfig {at}/good");
    cases.push(("emitter", open, BREAKAGES[13]));
    cases
}

pub(crate) async fn a_program_that_does_not_start_says_why(_: Arc<Scene>) -> anyhow::Result<()> {
    let table = Table::complete()?;
    let keeper = Keeper::new("breakages")?;
    for (name, text) in files() {
        std::fs::write(keeper.directory().join(name), text)?;
    }
    let mut wrong = Vec::new();
    for (program, line, breakage) in cases(keeper.directory()) {
        let row = table.row(breakage)?;
        ensure!(row.view == View::Start(program.to_owned()), "{row:?}");
        let said = refusal(program, &line).await?;
        if !row.is_in(&said) {
            wrong.push(format!("{breakage}\n    {row:?}\n    {said}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
