//! A kubectl of eight releases ago, at an emitter and at the API server behind it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use control_plane::assets::{self, Found};
use control_plane::kubectl::Kubectl;
use control_plane::{Keeper, Scene};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::churn::{populate, settle};
use crate::lab::{Cluster, Lab};

/// What it is asked, where everything is exported.
const QUESTIONS: &str = "
get svc -n demo
get svc -n demo -o wide --show-labels
get svc,endpointslices,endpoints -n demo
get endpointslices -n demo -o wide
get endpoints -n demo -o wide
get svc s1 -n demo
get svc s1 -n demo -o yaml
get svc s1 -n demo -o yaml --show-managed-fields
get svc -n demo -o json
get svc -n demo -o name --chunk-size=2
get svc -n demo --chunk-size=3 --sort-by=.metadata.name
get endpointslices -n demo -o yaml --chunk-size=2
get svc -n demo -l heliograph.dev/export=true -o name
get svc -n demo -l heliograph.dev/export!=true
get svc -n demo --field-selector metadata.name=s2 -o wide
get svc -n demo --field-selector spec.type=ClusterIP -o name
get svc -n demo -o jsonpath={.items[*].spec.clusterIP}
get svc -n demo -o custom-columns=A:.spec.clusterIP,B:.metadata.uid
get svc s1 s2 -n demo -o name
get svc -n nowhere
describe svc s1 -n demo --show-events=false
describe endpointslices e1-1 -n demo --show-events=false
describe endpoints e1 -n demo --show-events=false
get --raw /api/v1/namespaces/demo/services/s1
get --raw /api/v1/namespaces/demo/services/s1?pretty=1
get --raw /apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/e1-1
get --raw /version
explain service.spec.ports
explain endpointslices.endpoints --recursive
wait --for=jsonpath={.spec.type}=ClusterIP svc/s1 -n demo
";

/// Ages are in seconds, and two questions are not of the same instant.
const TRIES: usize = 5;

pub(crate) async fn an_older_kubectl_shows_what_the_api_server_shows(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    populate(&east).await?;
    settle(&east).await?;
    let emitter = lab.emitter(&east, &["--fields=all"]).await?;
    let home = Keeper::new("kubectl")?;
    let theirs = Kubectl::new(binary().await?, home.directory(), east.plane.kubeconfig());
    let ours = theirs.for_server(&emitter.url);
    let version = ours.run(["version", "--client"]).await?;
    ensure!(version.contains("v1.28."), "{version}");

    let mut differ = Vec::new();
    for question in QUESTIONS.lines().filter(|it| !it.is_empty()) {
        if let Some(difference) = difference(&theirs, &ours, question).await {
            differ.push(format!("{question}\n{difference}"));
        }
    }
    ensure!(differ.is_empty(), "{}", differ.join("\n"));

    // What cannot be is refused in the same words.
    for question in ["get svc missing -n demo", "get svc -n demo -l a=b=c"] {
        let (theirs, ours) = tokio::join!(
            theirs.run(question.split(' ')),
            ours.run(question.split(' '))
        );
        let (theirs, ours) = (theirs.err(), ours.err());
        let words = |why: Option<anyhow::Error>| why.map(|it| it.to_string());
        let (theirs, ours) = (words(theirs), words(ours));
        ensure!(theirs.is_some(), "{question}");
        // The command lines differ, which are told with the error.
        let last =
            |text: Option<String>| text.and_then(|it| Some(it.split_once("]: ")?.1.to_owned()));
        let (theirs, ours) = (last(theirs), last(ours));
        ensure!(theirs == ours, "{question}\n{theirs:?}\n{ours:?}");
    }
    watches(&east, &theirs, &ours).await
}

/// What the two answers are, if they are not the same.
async fn difference(theirs: &Kubectl, ours: &Kubectl, question: &str) -> Option<String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let (theirs, ours) = tokio::join!(
            theirs.run(question.split(' ')),
            ours.run(question.split(' '))
        );
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) if theirs == ours => return None,
            (theirs, ours) => last = format!("--- theirs\n{theirs:?}\n--- ours\n{ours:?}"),
        }
    }
    Some(last)
}

/// A watch, as it is read by people.
pub(super) struct Watch {
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Watch {
    pub(super) fn start(kubectl: &Kubectl, words: &str) -> anyhow::Result<Self> {
        let mut process = Command::from(kubectl.command(words.split(' ')))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = process.stdout.take().context("it has a standard output")?;
        Ok(Self {
            lines: BufReader::new(stdout).lines(),
            _process: process,
        })
    }

    /// The next line, without the age in it.
    pub(super) async fn line(&mut self) -> anyhow::Result<String> {
        let line = tokio::time::timeout(Duration::from_secs(30), self.lines.next_line());
        let line = line.await.context("nothing is told")??;
        let line = line.context("the watch has ended")?;
        let words = line.split_whitespace().filter(|word| !is_age(word));
        Ok(words.collect::<Vec<_>>().join(" "))
    }
}

/// Such as `9s` and `2m10s`.
fn is_age(word: &str) -> bool {
    word.ends_with(['s', 'm']) && word.starts_with(|it: char| it.is_ascii_digit())
}

async fn watches(east: &Cluster, theirs: &Kubectl, ours: &Kubectl) -> anyhow::Result<()> {
    // With as many lines as each begins with: what there is, and a head.
    const WATCHES: [(&str, usize); 3] = [
        ("get svc -n demo -w --output-watch-events", 1 + 14),
        ("get svc -n demo -w -o wide --no-headers", 14),
        (
            "get svc s1 -n demo -w --output-watch-events --no-headers",
            1,
        ),
    ];
    let mut pairs = Vec::new();
    for (words, n_lines) in WATCHES {
        let (theirs, ours) = (Watch::start(theirs, words)?, Watch::start(ours, words)?);
        pairs.push((words, n_lines, theirs, ours));
    }
    for (words, n_lines, theirs, ours) in &mut pairs {
        for _ in 0..*n_lines {
            let (theirs, ours) = tokio::try_join!(theirs.line(), ours.line())?;
            ensure!(theirs == ours, "{words}\n{theirs}\n{ours}");
        }
    }
    let patch = r#"{"spec":{"ports":[{"name":"http","port":81}]}}"#;
    east.patch_service("demo/s1", patch).await?;
    east.delete_service("demo/s1").await?;
    east.create_service("s1").await?;
    for (words, _, theirs, ours) in &mut pairs {
        for _ in 0..3 {
            let (theirs, ours) = tokio::try_join!(theirs.line(), ours.line())
                .with_context(|| (*words).to_owned())?;
            ensure!(theirs == ours, "{words}\n{theirs}\n{ours}");
        }
    }
    Ok(())
}

async fn binary() -> anyhow::Result<std::path::PathBuf> {
    let find = || assets::find_or_build_client("kubectl-1.28");
    match tokio::task::spawn_blocking(find).await?? {
        Found::Ready(assets) => Ok(assets.binary("kubectl-1.28")),
        Found::Missing(why) => bail!("{why}"),
    }
}
