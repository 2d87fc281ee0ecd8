//! What a consumer may not see does not exist for it: whatever it asks, the answers are
//! those that it would get if that were not there.

mod questions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_plane::Scene;
use futures::TryStreamExt;
use http::Request;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use self::questions::questions;
use crate::lab::{Cluster, EXPORT, Lab, eventually, meanwhile};

const SERVICES: &str = "/api/v1/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
const DEMO: &str = "/api/v1/namespaces/demo/services";

/// In every name of what blue must not see.
const SECRET: &str = "red7x";

const TOKENS: &str = "blue-token,blue,1\nred-token,red,2\nall-token,all,3\n";

fn policy(blue: &str) -> String {
    json!({"consumers": [
        {"name": "blue", "users": ["blue"], "selector": blue, "ports": ["http"]},
        {"name": "red", "users": ["red"], "namespaces": ["vault"]},
        {"name": "all", "users": ["all"]},
    ]})
    .to_string()
}

/// Somebody who asks an emitter.
struct Asker {
    client: kube::Client,
}

/// An answer; what differs from one moment to the next is left out.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Asker {
    fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let mut config = kube::Config::new(url.parse()?);
        config.auth_info.token = Some(token.to_owned().into());
        config.default_retry = false;
        let client = kube::Client::try_from(config)?;
        Ok(Self { client })
    }

    async fn ask(&self, path: &str, accept: &str) -> anyhow::Result<Answer> {
        let request = Request::get(path).header("accept", accept);
        let response = self.client.send(request.body(Body::empty())?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let headers = parts.headers.iter();
        let headers = headers
            .filter(|(name, _)| !["date", "audit-id", "content-length"].contains(&name.as_str()));
        let text = |it: &http::HeaderValue| String::from_utf8_lossy(it.as_bytes()).into_owned();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: headers
                .map(|(name, it)| (name.to_string(), text(it)))
                .collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    async fn json(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.ask(path, "application/json").await?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        Ok(serde_json::from_str(&answer.body)?)
    }

    async fn watch(&self, path: &str) -> anyhow::Result<Lines> {
        let request = Request::get(path).body(Body::empty())?;
        let response = self.client.send(request).await?;
        ensure!(response.status() == 200, "{path}: {}", response.status());
        let bytes = response.into_body().into_data_stream();
        let bytes = bytes.map_err(std::io::Error::other).into_async_read();
        let lines = futures::io::AsyncBufReadExt::lines(futures::io::BufReader::new(bytes));
        Ok(Lines(Box::pin(lines.map_err(anyhow::Error::from))))
    }
}

struct Lines(futures::stream::BoxStream<'static, anyhow::Result<String>>);

impl Lines {
    async fn next(&mut self) -> anyhow::Result<Option<String>> {
        let line = tokio::time::timeout(Duration::from_secs(20), self.0.try_next());
        line.await.context("no line came")?
    }

    /// The next event, which is about that object.
    async fn about(&mut self, name: &str) -> anyhow::Result<()> {
        let line = self.next().await?.context("it has ended")?;
        ensure!(
            line.contains(&format!("\"name\":\"{name}\"")),
            "not about {name}: {line}"
        );
        Ok(())
    }
}

impl Answer {
    /// Without the resource versions of lists and bookmarks: they are the cluster's, and tell that
    /// something happened. Those of objects stay.
    fn timeless(mut self) -> anyhow::Result<Self> {
        let mut text = String::new();
        let mut rest = self.body.as_str();
        // An object's metadata begins with its name, and in YAML is deeper.
        for mark in [
            "\"metadata\":{\"resourceVersion\":\"",
            "\nmetadata:\n  resourceVersion: \"",
        ] {
            while let Some((before, after)) = rest.split_once(mark) {
                let (_, after) = after.split_once('"').context("a revision ends")?;
                text = text + before + mark + "R\"";
                rest = after;
            }
        }
        let is_age = |word: &str| {
            let digits = word.trim_end_matches('s').replace('m', "");
            word.ends_with('s') && digits.parse::<u32>().is_ok()
        };
        text += rest;
        let words = text.split('"');
        let words = words.map(|word| if is_age(word) { "AGE" } else { word });
        self.body = words.collect::<Vec<_>>().join("\"");
        if let Some((before, token)) = self.body.clone().split_once("\"continue\":\"") {
            let (token, after) = token.split_once('"').context("a token ends")?;
            let token = URL_SAFE_NO_PAD.decode(token.trim_end_matches('='))?;
            let token: Value = serde_json::from_slice(&token)?;
            self.body = format!("{before}{}{after}", token["start"]);
        }
        Ok(self)
    }
}

async fn create(cluster: &Cluster, namespace: &str, name: &str, team: &str) -> anyhow::Result<()> {
    let labels = json!({EXPORT: "true", "team": team});
    let service = json!({
        "metadata": {"name": name, "labels": labels},
        "spec": {"ports": [{"name": "http", "port": 80}, {"name": "admin7x", "port": 9797}]},
    });
    let path = format!("/api/v1/namespaces/{namespace}/services");
    cluster.post(&path, &service.to_string()).await?;
    // Its slice is made by a controller.
    let endpoints = json!({
        "metadata": {"name": name, "labels": {EXPORT: "true"}},
        "subsets": [{
            "addresses": [{"ip": "10.1.0.1"}],
            "ports": [{"name": "http", "port": 8080}, {"name": "admin7x", "port": 9798}],
        }],
    });
    let path = format!("/api/v1/namespaces/{namespace}/endpoints");
    cluster.post(&path, &endpoints.to_string()).await
}

/// All answers, none of which names what must not be seen, unless the question did.
async fn answers(asker: &Asker) -> anyhow::Result<Vec<(String, Answer)>> {
    let ask = async |(path, accept): (String, &'static str)| {
        let answer = asker.ask(&path, accept).await?;
        let asks = path.contains(SECRET);
        let words = [SECRET, "vault", "admin7x", "9797", "9798"];
        let told = words.iter().find(|word| answer.body.contains(**word));
        let is_echo = asks || path.contains("vault");
        ensure!(
            told.is_none() || is_echo,
            "{path} [{accept}] tells {told:?}: {answer:?}"
        );
        let is_text = !accept.contains("protobuf");
        let answer = if is_text {
            answer.timeless()?
        } else {
            Answer {
                body: String::new(),
                ..answer
            }
        };
        Ok((format!("{path} [{accept}]"), answer))
    };
    let questions = questions().into_iter().map(ask);
    use futures::StreamExt;
    let answers = futures::stream::iter(questions).buffered(8);
    answers.try_collect().await
}

pub(crate) async fn hidden_objects_do_not_exist(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_namespace("vault").await?;
    for name in ["mine-a", "mine-z"] {
        create(&east, "demo", name, "blue").await?;
    }
    let tokens = lab.file("tokens", TOKENS)?;
    let access = lab.file("access", &policy("team=blue"))?;
    let flags = [
        format!("--token-auth-file={}", tokens.display()),
        format!("--access-config={}", access.display()),
        "--serve-namespaces".to_owned(),
    ];
    let emitter = lab
        .emitter(&east, &flags.each_ref().map(String::as_str))
        .await?;
    let blue = Asker::new(&emitter.url, "blue-token")?;
    let red = Asker::new(&emitter.url, "red-token")?;
    let all = Asker::new(&emitter.url, "all-token")?;
    eventually("controllers are done", async || {
        let n_endpoints = n_seen(&all, "/api/v1/endpoints").await?;
        ensure!(n_seen(&all, SLICES).await? == 2 && n_endpoints == 2);
        Ok(())
    })
    .await?;

    nothing_tells_of_it(&east, &blue, &red, &all).await?;
    views_narrow_under_watches(&east, &access, &blue, &all).await
}

async fn n_seen(asker: &Asker, path: &str) -> anyhow::Result<usize> {
    let list = asker.json(path).await?;
    Ok(list["items"].as_array().map_or(0, Vec::len))
}

/// What comes to be out of sight changes no answer, and what goes ends no watch.
async fn nothing_tells_of_it(
    east: &Cluster,
    blue: &Asker,
    red: &Asker,
    all: &Asker,
) -> anyhow::Result<()> {
    let before = answers(blue).await?;
    let mut watch = blue.watch(&format!("{SERVICES}?watch=1")).await?;
    watch.about("mine-a").await?;
    watch.about("mine-z").await?;
    create(east, "demo", "mine-red7x", "red").await?;
    create(east, "vault", "red7x", "red").await?;
    eventually("others see it", async || {
        ensure!(n_seen(red, SERVICES).await? == 1, "red");
        ensure!(n_seen(all, SERVICES).await? == 4, "all");
        ensure!(n_seen(all, SLICES).await? == 4, "slices");
        ensure!(n_seen(all, "/api/v1/namespaces").await? == 2, "namespaces");
        ensure!(
            n_seen(red, "/api/v1/namespaces").await? == 1,
            "a whole namespace"
        );
        Ok(())
    })
    .await?;
    let after = answers(blue).await?;
    for ((question, before), (_, after)) in before.iter().zip(&after) {
        ensure!(before == after, "{question}\n{before:?}\n{after:?}");
    }
    // Hidden and absent are told in the same words.
    let hidden = blue
        .ask(&format!("{DEMO}/mine-red7x"), "application/json")
        .await?;
    let absent = blue
        .ask(&format!("{DEMO}/mine-grey7"), "application/json")
        .await?;
    let body = hidden.body.replace("mine-red7x", "mine-grey7");
    ensure!(
        hidden.status == 404 && body == absent.body,
        "{hidden:?} {absent:?}"
    );

    let page = all.json(&format!("{DEMO}?limit=2")).await?;
    let token = page["metadata"]["continue"]
        .as_str()
        .context("there is more")?;
    let rest = blue
        .json(&format!("{DEMO}?limit=2&continue={token}"))
        .await?;
    ensure!(
        !rest.to_string().contains(SECRET),
        "by another's token: {rest}"
    );
    // What was not seen has left nothing in the stream.
    east.delete_service("demo/mine-red7x").await?;
    create(east, "demo", "mine-b", "blue").await?;
    watch.about("mine-b").await?;
    Ok(())
}

/// A view that is narrowed ends its own watches with 410, and no others.
async fn views_narrow_under_watches(
    east: &Cluster,
    access: &std::path::Path,
    blue: &Asker,
    all: &Asker,
) -> anyhow::Result<()> {
    let list = blue.json(SERVICES).await?;
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .context("one")?;
    let from = format!("{SERVICES}?watch=1&resourceVersion={revision}");
    let mut narrowed = blue.watch(&from).await?;
    // Soon after a start a client resumes only from what it was sent itself.
    all.json(SERVICES).await?;
    let mut steady = all.watch(&from).await?;
    let mut steady_slices = all.watch(&format!("{SLICES}?watch=1")).await?;
    std::fs::write(access, policy("team=blue,tier=front"))?;
    let last = narrowed.next().await?.context("it says why it ends")?;
    ensure!(
        last.contains("ERROR") && last.contains("\"code\":410"),
        "{last}"
    );
    ensure!(narrowed.next().await?.is_none(), "and it ends");
    // Who comes back with what it knew must begin again.
    let mut again = blue.watch(&from).await?;
    let last = again.next().await?.context("it says why")?;
    ensure!(last.contains("\"code\":410"), "{last}");
    // With what it is told then, it goes on.
    let list = blue.json(SERVICES).await?;
    ensure!(list["items"] == json!([]), "{list}");

    let front = r#"{"metadata":{"labels":{"tier":"front"}}}"#;
    let revision = list["metadata"]["resourceVersion"]
        .as_str()
        .context("one")?;
    let mut watch = blue
        .watch(&format!("{SERVICES}?watch=1&resourceVersion={revision}"))
        .await?;
    east.patch_service("demo/mine-a", front).await?;
    eventually("it comes into sight", async || {
        let list = blue.json(SERVICES).await?;
        ensure!(
            list["items"].as_array().is_some_and(|it| it.len() == 1),
            "{list}"
        );
        Ok(())
    })
    .await?;
    watch.about("mine-a").await?;
    let back = r#"{"metadata":{"labels":{"tier":null}}}"#;
    east.patch_service("demo/mine-a", back).await?;
    let gone = watch.next().await?.context("it goes on")?;
    ensure!(gone.starts_with("{\"type\":\"DELETED\""), "{gone}");
    ensure!(
        !gone.contains("9797") && !gone.contains("admin7x"),
        "{gone}"
    );

    steady.about("mine-a").await?;
    steady.about("mine-a").await?;
    meanwhile("others' watches go on", async || Ok(())).await?;
    ensure!(steady_slices.next().await?.is_some());
    Ok(())
}
