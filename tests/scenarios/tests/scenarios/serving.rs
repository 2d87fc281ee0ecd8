//! The emitter beside the kube-apiserver that it follows.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::Scene;
use futures::TryStreamExt;
use http::Request;
use proto_types::ResourceVersion;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::lab::{Cluster, EXPORT, Lab, eventually, get};
use crate::stream::{Event, SERVICES, Watch, apply, client, state};

async fn create(cluster: &Cluster, names: impl Iterator<Item = usize>) -> anyhow::Result<()> {
    let created = names.map(|i| async move { cluster.create_service(&format!("s{i}")).await });
    let created = futures::stream::iter(created.map(Ok));
    created.try_for_each_concurrent(16, |create| create).await
}

/// Something happens to Services: they are labelled, changed, deleted, created.
async fn churn(cluster: &Cluster, rounds: usize) -> anyhow::Result<()> {
    for round in 0..rounds {
        let key = format!("demo/s{}", fastrand::usize(..20));
        let exported = fastrand::bool();
        let label = if exported { "\"true\"" } else { "null" };
        let patch = format!(
            r#"{{"metadata":{{"labels":{{"{EXPORT}":{label}}},"annotations":{{"round":"<{round}>"}}}}}}"#
        );
        match fastrand::u8(..8) {
            0 => {
                cluster.delete_service(&key).await?;
                cluster.create_service(&key["demo/".len()..]).await?;
            }
            _ => cluster.patch_service(&key, &patch).await?,
        }
    }
    Ok(())
}

pub(crate) async fn kubectl_shows_what_the_api_server_shows(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    let emitter = lab.emitter(&east, &[]).await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let kubectl = east.plane.kubectl().for_server(&emitter.url);
    let upstream = east.plane.kubectl();
    eventually("both are served", async || {
        let all = kubectl.run(["get", "svc,endpointslices", "-A"]).await?;
        ensure!(
            all.contains("service/web") && all.contains("web-1"),
            "{all}"
        );
        ensure!(!all.contains("kubernetes"), "{all}");
        Ok(())
    })
    .await?;
    // What people see is what they see at the API server itself.
    for words in [
        "get svc web -n demo -o wide --no-headers=false",
        "get svc -n demo -o jsonpath={.items[*].spec}",
        "get endpointslices -n demo",
        "get svc web -n demo -o custom-columns=A:.spec.clusterIP,B:.metadata.uid",
    ] {
        let age = |text: String| {
            // Two questions are not of the same second.
            text.split_whitespace()
                .filter(|it| !it.ends_with('s'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let (here, there) = tokio::try_join!(
            kubectl.run(words.split(' ')),
            upstream.run(words.split(' '))
        )?;
        ensure!(
            age(here.clone()) == age(there.clone()),
            "{words}\n{here}\n{there}"
        );
    }
    Ok(())
}

pub(crate) async fn kubectl_watches_describes_and_explains(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    east.set_endpoints("web", &["10.1.0.1"]).await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let kubectl = east.plane.kubectl().for_server(&emitter.url);
    let described = kubectl
        .run(["describe", "svc", "web", "-n", "demo"])
        .await?;
    ensure!(described.contains("10.1.0.1:8080"), "{described}");
    let yaml = kubectl
        .run(["get", "svc", "web", "-n", "demo", "-o", "yaml"])
        .await?;
    ensure!(
        yaml.contains("clusterIP:") && !yaml.contains("managedFields"),
        "{yaml}"
    );
    let explained = kubectl.run(["explain", "service.spec.ports"]).await?;
    ensure!(explained.contains("FIELD: ports"), "{explained}");
    let refused = kubectl
        .run(["delete", "svc", "web", "-n", "demo"])
        .await
        .err();
    let refused = refused.context("nothing can be deleted")?.to_string();
    ensure!(refused.contains("does not allow this method"), "{refused}");

    let mut watch = tokio::process::Command::from(kubectl.command(["get", "svc", "-A", "-w"]))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = watch.stdout.take().context("it has a standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    lines.next_line().await?;
    lines.next_line().await?;
    east.create_service("late").await?;
    let line = tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await??;
    let line = line.context("the watch goes on")?;
    ensure!(line.contains("late") && line.contains("80/TCP"), "{line}");
    Ok(())
}

/// For 1 000 Services: the same list, and the same events, byte for byte.
pub(crate) async fn an_emitter_tells_what_its_upstream_tells(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    create(&east, 0..1000).await?;
    let emitter = lab.emitter(&east, &["--fields=all"]).await?;
    let here = client(&emitter.url)?;
    let list = |client: kube::Client| async move {
        let path = format!("{SERVICES}?labelSelector={EXPORT}%3Dtrue");
        let text = client
            .request_text(Request::get(path).body(Vec::new())?)
            .await?;
        let (revision, state) = state(&serde_json::from_str(&text)?)?;
        let items = text.find("\"items\"").context("a list has items")?;
        anyhow::Ok((revision, state, text[items..].to_owned()))
    };
    let there = list(east.client.clone()).await?;
    let mine = list(here.clone()).await?;
    ensure!(mine.1.len() == 1000, "{} Services", mine.1.len());
    ensure!(mine.2 == there.2, "the lists differ");

    let resume = format!("resourceVersion={}&timeoutSeconds=300", mine.0.min(there.0));
    let mut upstream = Watch::open(&east.client, &resume).await?;
    let mut downstream = Watch::open(&here, &resume).await?;
    churn(&east, 150).await?;
    east.create_service("last").await?;
    let last = east.service("demo/last").await?.context("it is there")?;
    let last = last["metadata"]["resourceVersion"]
        .as_str()
        .context("it has one")?
        .parse()?;
    let (upstream, downstream) =
        tokio::try_join!(upstream.through(last), downstream.through(last))?;
    ensure!(100 < upstream.len(), "only {} events", upstream.len());
    for (theirs, ours) in upstream.iter().zip(&downstream) {
        ensure!(theirs == ours, "the events differ:\n{theirs}\n{ours}");
    }
    ensure!(upstream.len() == downstream.len());

    // The emitter's bytes are its own for as long as the upstream says nothing else.
    let (_, _, theirs) = list(east.client.clone()).await?;
    let (_, _, ours) = list(here).await?;
    ensure!(theirs == ours, "the lists differ after the churn");
    Ok(())
}

/// A list at any resource version, and what a watch from there tells, make the present.
pub(crate) async fn a_watch_resumes_from_every_revision(scene: Arc<Scene>) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    create(&east, 0..20).await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let here = client(&emitter.url)?;
    let list = async || -> anyhow::Result<_> {
        state(&serde_json::from_str(&get(&emitter.url, SERVICES).await?)?)
    };
    let begin = list().await?;
    let mut lists = vec![begin.clone()];
    let mut watch = Watch::open(&here, &format!("resourceVersion={}", begin.0)).await?;
    for _ in 0..30 {
        churn(&east, 3).await?;
        lists.push(list().await?);
    }
    east.create_service("last").await?;
    let last = east.service("demo/last").await?.context("it is there")?;
    let last: ResourceVersion = last["metadata"]["resourceVersion"]
        .as_str()
        .context("it has one")?
        .parse()?;

    // Every resource version that the watch told is one from which it must be possible to go on.
    let mut present = begin.1;
    for line in watch.through(last).await? {
        let event = Event::parse(&line)?;
        apply(&mut present, &event)?;
        lists.push((event.revision, present.clone()));
    }
    ensure!(
        list().await?.1 == present,
        "the watch does not lead to the present"
    );
    for (revision, mut state) in lists {
        if last <= revision {
            continue;
        }
        let mut watch = Watch::open(&here, &format!("resourceVersion={revision}")).await?;
        let mut before = revision;
        for line in watch.through(last).await? {
            let event = Event::parse(&line)?;
            ensure!(
                before < event.revision,
                "{before} is followed by {}",
                event.revision
            );
            before = event.revision;
            apply(&mut state, &event).with_context(|| format!("from {revision}"))?;
        }
        ensure!(state == present, "from {revision}: {state:?}\n{present:?}");
    }
    Ok(())
}

pub(crate) async fn many_watchers_cost_one_encoding(scene: Arc<Scene>) -> anyhow::Result<()> {
    const WATCHERS: usize = 200;
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    east.create_service("web").await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let mut watches = Vec::new();
    for _ in 0..WATCHERS {
        watches.push(Watch::open(&client(&emitter.url)?, "resourceVersion=0").await?);
    }
    for watch in &mut watches {
        watch.line().await?;
    }
    let encoded = emitter
        .metric(
            "heliograph_emitter_watch_events_encoded_total",
            "\"services\"",
        )
        .await?;
    east.patch_service("demo/web", r#"{"metadata":{"labels":{"a":"b"}}}"#)
        .await?;
    for watch in &mut watches {
        ensure!(watch.line().await?.contains("MODIFIED"));
    }
    let encoded = emitter
        .metric(
            "heliograph_emitter_watch_events_encoded_total",
            "\"services\"",
        )
        .await?
        - encoded;
    ensure!(
        encoded == 1.0,
        "one change was encoded {encoded} times for {WATCHERS} watchers"
    );
    let views = emitter
        .metric("heliograph_emitter_views", "\"services\"")
        .await?;
    ensure!(views == 1.0, "{views} views are kept");
    // And the upstream has been asked once, however many ask here.
    let events = east.plane.audit_events()?;
    let ours = |verb: &str| {
        let ours = events.iter().filter(|it| {
            it.verb == verb && it.resource == "services" && it.uri.contains("%21heliograph.dev")
        });
        ours.count()
    };
    // What was when its history begins, and the versions of what is now.
    ensure!(ours("list") == 2, "{} lists upstream", ours("list"));
    Ok(())
}

pub(crate) async fn nothing_is_exported_but_what_is_selected(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    let label = format!(r#"{{"metadata":{{"labels":{{"{EXPORT}":"true"}}}}}}"#);
    // The API server creates its own Service some time after it is ready.
    eventually("default/kubernetes carries the label", async || {
        east.patch_service("default/kubernetes", &label).await
    })
    .await?;
    let secret = r#"{"metadata":{"name":"secret"},"spec":{"ports":[{"port":80}]}}"#;
    east.post("/api/v1/namespaces/demo/services", secret)
        .await?;
    let annotated = format!(
        r#"{{"metadata":{{"name":"web","labels":{{"{EXPORT}":"true"}},"annotations":{{"password":"x"}}}},"spec":{{"selector":{{"app":"backstage"}},"ports":[{{"port":80}}]}}}}"#
    );
    east.post("/api/v1/namespaces/demo/services", &annotated)
        .await?;
    let emitter = lab.emitter(&east, &[]).await?;
    let services = get(&emitter.url, SERVICES).await?;
    let (_, found) = state(&serde_json::from_str(&services)?)?;
    ensure!(found.keys().eq(["web"]), "{found:?}");
    for word in ["password", "backstage", "managedFields", "secret"] {
        ensure!(
            !services.contains(word),
            "{word} left the cluster: {services}"
        );
    }
    for path in [
        "/api/v1/namespaces/demo/services/secret",
        "/api/v1/namespaces/default/services/kubernetes",
    ] {
        let answer = get(&emitter.url, path).await?;
        ensure!(
            answer.contains("\"reason\":\"NotFound\""),
            "{path}: {answer}"
        );
    }
    let endpoints = get(&emitter.url, "/api/v1/endpoints").await?;
    ensure!(!endpoints.contains(r#""name":"kubernetes""#), "{endpoints}");
    Ok(())
}
