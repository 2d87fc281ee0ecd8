//! Who may see what: as the API server decides, and as the access configuration does.

use std::sync::Arc;

use anyhow::{Context, ensure};
use control_plane::{ControlPlane, Keeper, Scene};
use http::{Method, Request};
use http_body_util::BodyExt;
use kube::client::Body;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::lab::{Cluster, EXPORT, Lab, eventually};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/demo";

/// Somebody who asks one server.
pub(crate) struct Asker(kube::Client);

impl Asker {
    fn new(mut config: kube::Config, token: Option<&str>) -> anyhow::Result<Self> {
        config.auth_info = AuthInfo {
            token: token.map(|it| it.to_owned().into()),
            ..AuthInfo::default()
        };
        config.default_retry = false;
        config.proxy_url = None;
        Ok(Self(kube::Client::try_from(config)?))
    }

    pub(crate) fn of_emitter(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        Self::new(kube::Config::new(url.parse()?), token)
    }

    /// By HTTPS, with the emitter's CA certificates.
    pub(crate) fn of_secure_emitter(
        url: &str,
        authority: &str,
        token: Option<&str>,
    ) -> anyhow::Result<Self> {
        let mut config = kube::Config::new(url.parse()?);
        let certificates = CertificateDer::pem_slice_iter(authority.as_bytes());
        let certificates = certificates.map(|it| it.map(|it| it.to_vec()));
        config.root_cert = Some(certificates.collect::<Result<_, _>>()?);
        config.tls_server_name = Some("heliograph-emitter.heliograph.svc".to_owned());
        Self::new(config, token)
    }

    async fn of_api_server(cluster: &Cluster, token: Option<&str>) -> anyhow::Result<Self> {
        let kubeconfig = Kubeconfig::read_from(cluster.plane.kubeconfig())?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Self::new(config, token)
    }

    async fn ask(&self, method: &Method, path: &str) -> anyhow::Result<(u16, String)> {
        let request = Request::builder().method(method.clone()).uri(path);
        let request = request.header("accept", "application/json");
        let response = self.0.send(request.body(Body::empty())?).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        self.ask(&Method::GET, path).await
    }
}

async fn guarded(scene: &Scene) -> anyhow::Result<Cluster> {
    let builder = ControlPlane::builder("east")
        .controllers()
        .user("reader")
        .apiserver_arg("--anonymous-auth=false");
    let plane = scene.start(builder).await?;
    let client = plane.client().await?;
    let cluster = Cluster { plane, client };
    cluster.create_namespace("demo").await?;
    Ok(cluster)
}

/// Asks both servers what is refused.
async fn refuses_alike(cluster: &Cluster, url: &str, token: Option<&str>) -> anyhow::Result<()> {
    let here = Asker::of_emitter(url, token)?;
    let there = Asker::of_api_server(cluster, token).await?;
    for (method, path) in [
        (Method::GET, "/api/v1/services"),
        (Method::GET, "/api/v1/services?watch=1"),
        (Method::GET, "/api/v1/namespaces/demo/services/web"),
        (
            Method::GET,
            "/api/v1/namespaces/demo/services?fieldSelector=metadata.name%3Dweb",
        ),
        (
            Method::GET,
            "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices",
        ),
        (Method::GET, "/api/v1/namespaces/demo/services/web/status"),
        (Method::DELETE, "/api/v1/namespaces/demo/services/web"),
        (Method::GET, "/api/v1/pods"),
        (Method::GET, "/metrics"),
    ] {
        let (ours, theirs) = (
            here.ask(&method, path).await?,
            there.ask(&method, path).await?,
        );
        ensure!(
            ours == theirs,
            "{token:?} {method} {path}\n{ours:?}\n{theirs:?}"
        );
        let expected = if token == Some("reader-token") {
            403
        } else {
            401
        };
        ensure!(ours.0 == expected, "{token:?} {method} {path}: {ours:?}");
    }
    Ok(())
}

/// Gives somebody the right to list Services in one namespace.
async fn let_list(cluster: &Cluster, user: &str) -> anyhow::Result<()> {
    let rules = json!([{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}]);
    let role = json!({"metadata": {"name": "reader"}, "rules": rules});
    cluster
        .post(&format!("{RBAC}/roles"), &role.to_string())
        .await?;
    let binding = json!({
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "User", "name": user}],
    });
    cluster
        .post(&format!("{RBAC}/rolebindings"), &binding.to_string())
        .await?;
    Ok(())
}

pub(crate) async fn the_api_server_decides_and_refusals_are_worded_as_its_own(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(Arc::clone(&scene))?;
    let east = guarded(&scene).await?;
    east.create_service("web").await?;
    let flags = [
        "--delegate-authentication",
        "--delegate-authorization",
        "--delegation-cache-ttl=1s",
    ];
    let emitter = lab.emitter(&east, &flags).await?;
    let token = east.plane.token_for("reader");
    for token in [Some(token.as_str()), Some("unknown"), None] {
        refuses_alike(&east, &emitter.url, token).await?;
    }
    let_list(&east, "reader").await?;
    let reader = Asker::of_emitter(&emitter.url, Some(&token))?;
    eventually("the right is known", async || {
        let (status, list) = reader.get("/api/v1/namespaces/demo/services").await?;
        ensure!(status == 200 && list.contains("\"web\""), "{list}");
        Ok(())
    })
    .await?;
    let (status, _) = reader.get("/api/v1/services").await?;
    ensure!(status == 403, "the right is about one namespace: {status}");
    // What was said last counts while the API server restarts.
    east.plane.kill_apiserver().await?;
    let (status, list) = reader.get("/api/v1/namespaces/demo/services").await?;
    ensure!(status == 200, "{list}");
    Ok(())
}

async fn labelled(cluster: &Cluster, name: &str, team: &str) -> anyhow::Result<()> {
    let service = json!({
        "metadata": {"name": name, "labels": {EXPORT: "true", "team": team}},
        "spec": {"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 9090}]},
    });
    let path = "/api/v1/namespaces/demo/services";
    cluster.post(path, &service.to_string()).await?;
    // As somebody makes them by hand: without the Service's labels.
    let slice = json!({
        "metadata": {
            "name": format!("{name}-1"),
            "labels": {EXPORT: "true", "kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.0.1"]}],
        "ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 9091}],
    });
    let path = "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices";
    cluster.post(path, &slice.to_string()).await
}

/// A token of a service account, for an audience.
pub(crate) async fn token(
    cluster: &Cluster,
    account: &str,
    audience: &str,
) -> anyhow::Result<String> {
    let request = json!({"spec": {"audiences": [audience], "expirationSeconds": 600}});
    let path = format!("/api/v1/namespaces/demo/serviceaccounts/{account}/token");
    let request = Request::post(path).body(serde_json::to_vec(&request)?)?;
    let answer: Value = cluster.client.request(request).await?;
    let token = answer["status"]["token"].as_str();
    Ok(token.context("there is a token")?.to_owned())
}

/// What a list has.
pub(crate) fn names(list: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(list).unwrap_or_default();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let name = |it: &Value| it["metadata"]["name"].as_str().map(str::to_owned);
    items.iter().filter_map(name).collect()
}

fn policy(team: &str) -> String {
    let user = |name: &str| format!("east:system:serviceaccount:demo:{name}");
    json!({
        "issuers": [{
            "issuer": "https://kubernetes.default.svc",
            "audiences": ["heliograph"],
            "keys": {"file": "KEYS"},
            "userPrefix": "east:",
        }],
        "consumers": [
            {"name": "blue", "users": [user("blue")], "selector": format!("team={team}"), "ports": ["http"]},
            {"name": "steady", "users": [user("steady")]},
        ],
    })
    .to_string()
}

pub(crate) async fn workloads_see_what_they_are_granted_by_their_own_tokens(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let lab = Lab::new(scene)?;
    let east = lab.cluster("east").await?;
    let keeper = Keeper::new("access")?;
    let file = |name: &str| keeper.directory().join(name).display().to_string();
    let keys = east
        .client
        .request_text(Request::get("/openid/v1/jwks").body(Vec::new())?);
    std::fs::write(file("keys.json"), keys.await?)?;
    let configuration = Configuration {
        file: file("access.json"),
        keys: file("keys.json"),
    };
    configuration.write("blue")?;
    labelled(&east, "mine", "blue").await?;
    labelled(&east, "other", "red").await?;
    for account in ["blue", "steady"] {
        create_account(&east, account).await?;
    }
    let emitter = lab
        .emitter(&east, &["--access-config", &file("access.json")])
        .await?;
    let blue = token(&east, "blue", "heliograph").await?;
    let elsewhere = token(&east, "blue", "https://kubernetes.default.svc").await?;
    let (refused, _) = Asker::of_emitter(&emitter.url, Some(&elsewhere))?
        .get("/version")
        .await?;
    ensure!(refused == 401, "a token for another audience: {refused}");
    foreign_tokens_are_refused(&lab, &emitter.url).await?;
    let asker = Asker::of_emitter(&emitter.url, Some(&blue))?;
    let slices = "/apis/discovery.k8s.io/v1/endpointslices";
    eventually("blue sees its own", async || {
        let (_, list) = asker.get("/api/v1/services").await?;
        ensure!(names(&list) == ["mine"] && !list.contains("9090"), "{list}");
        let (_, list) = asker.get(slices).await?;
        ensure!(
            names(&list) == ["mine-1"] && !list.contains("9091"),
            "{list}"
        );
        Ok(())
    })
    .await?;
    let services = "/api/v1/namespaces/demo/services";
    let hidden = asker.get(&format!("{services}/other")).await?;
    let missing = asker.get(&format!("{services}/nope1")).await?;
    ensure!(hidden.0 == 404 && hidden.1.replace("other", "nope1") == missing.1);

    views_change_under_watches(&east, &emitter.url, &blue, &configuration).await
}

async fn create_account(cluster: &Cluster, name: &str) -> anyhow::Result<()> {
    let account = json!({"metadata": {"name": name}}).to_string();
    cluster
        .post("/api/v1/namespaces/demo/serviceaccounts", &account)
        .await
}

/// Of an account of the same name, for the right audience, by another cluster.
async fn foreign_tokens_are_refused(lab: &Lab, url: &str) -> anyhow::Result<()> {
    let west = lab.cluster("west").await?;
    create_account(&west, "blue").await?;
    let foreign = token(&west, "blue", "heliograph").await?;
    let asker = Asker::of_emitter(url, Some(&foreign))?;
    let (refused, told) = asker.get("/api/v1/services").await?;
    ensure!(refused == 401, "another cluster's token: {refused} {told}");
    Ok(())
}

/// The access configuration of the emitter.
struct Configuration {
    file: String,
    keys: String,
}

impl Configuration {
    fn write(&self, team: &str) -> std::io::Result<()> {
        std::fs::write(&self.file, policy(team).replace("KEYS", &self.keys))
    }
}

/// Who sees something else is told to list again, and nobody else notices.
async fn views_change_under_watches(
    east: &Cluster,
    url: &str,
    blue: &str,
    configuration: &Configuration,
) -> anyhow::Result<()> {
    let slices = "/apis/discovery.k8s.io/v1/endpointslices";
    let asker = Asker::of_emitter(url, Some(blue))?;
    let steady = token(east, "steady", "heliograph").await?;
    let mut mine = Watching::open(url, blue, slices).await?;
    let mut theirs = Watching::open(url, &steady, slices).await?;
    ensure!(mine.line().await?.contains("mine-1"));
    theirs.line().await?;
    theirs.line().await?;
    configuration.write("red")?;
    let gone = mine.line().await?;
    ensure!(gone.contains("\"code\":410"), "{gone}");
    eventually("blue sees what it may see now", async || {
        let (_, list) = asker.get(slices).await?;
        ensure!(names(&list) == ["other-1"], "{list}");
        Ok(())
    })
    .await?;
    // A Service that changes its team takes its slices along, whoever made them.
    let team = r#"{"metadata":{"labels":{"team":"red"}}}"#;
    east.patch_service("demo/mine", team).await?;
    eventually("blue sees both", async || {
        let (_, list) = asker.get(slices).await?;
        ensure!(names(&list) == ["mine-1", "other-1"], "{list}");
        Ok(())
    })
    .await?;
    labelled(east, "late", "green").await?;
    ensure!(
        theirs.line().await?.contains("late-1"),
        "nobody else noticed"
    );
    Ok(())
}

/// A watch by somebody.
struct Watching(futures::stream::BoxStream<'static, anyhow::Result<String>>);

impl Watching {
    async fn open(url: &str, token: &str, path: &str) -> anyhow::Result<Self> {
        use futures::TryStreamExt;
        let Asker(client) = Asker::of_emitter(url, Some(token))?;
        let request = Request::get(format!("{path}?watch=1")).body(Body::empty())?;
        let response = client.send(request).await?;
        ensure!(response.status() == 200, "{}", response.status());
        let bytes = response.into_body().into_data_stream();
        let bytes = bytes.map_err(std::io::Error::other).into_async_read();
        let lines = futures::io::AsyncBufReadExt::lines(futures::io::BufReader::new(bytes));
        Ok(Self(Box::pin(lines.map_err(anyhow::Error::from))))
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        use futures::TryStreamExt;
        let line = tokio::time::timeout(std::time::Duration::from_secs(20), self.0.try_next());
        line.await.context("no line came")??.context("it has ended")
    }
}
