//! Sources that cannot be read, or not as they should.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use control_plane::{Keeper, Scene, free_port};
use serde_json::{Value, json};

use super::Table;
use super::stub::{Answers, Stub, list};
use crate::configuration::ByFile;
use crate::lab::{Cluster, Lab, MIRRORS, Program};
use crate::manifests::quiet_cluster;
use crate::rbac::kubeconfig_of;
use crate::tls::{Ca, Purpose};

pub(crate) const BREAKAGES: [&str; 23] = [
    "The CA is not that of the server",
    "The token has expired",
    "The right to watch is missing",
    "The certificate has another name",
    "http:// where the server has TLS",
    "https:// where the server has none",
    "The path of the URL is wrong",
    "The source hangs",
    "Nothing listens at the address",
    "The host name does not exist",
    "A login page answers",
    "The API group of EndpointSlices is missing",
    "The emitter has lost its API server",
    "The source is the local cluster",
    "One cluster is two sources",
    "Another cluster than the expected one answers",
    "The emitter does not know the token",
    "The emitter grants the client nothing",
    "The emitter may not review tokens",
    "The serving certificate has expired",
    "The clock of the source is ahead",
    "A kubeconfig of a directory is malformed",
    "A source is not read for half a minute",
];

/// A token that the cluster signed, and that has expired.
fn expired_token(east: &Cluster) -> anyhow::Result<String> {
    use rcgen::SigningKey;

    let key = std::fs::read_to_string(east.plane.directory().join("token.key"))?;
    let key = rcgen::KeyPair::from_pem(&key)?;
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "aud": ["https://kubernetes.default.svc"],
        "sub": "system:serviceaccount:demo:reader", "iat": 1_000_000, "nbf": 1_000_000,
        "exp": 1_003_600,
        "kubernetes.io": {"namespace": "demo", "serviceaccount": {"name": "reader", "uid": "1"}},
    });
    let part = |it: &Value| URL_SAFE_NO_PAD.encode(it.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "ES256"})), part(&claims));
    let signature = raw(&key.sign(signed.as_bytes())?).context("a signature of ECDSA")?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The two numbers of a signature, each in 32 bytes.
fn raw(der: &[u8]) -> Option<Vec<u8>> {
    let mut rest = der.get(2..)?;
    let mut both = Vec::new();
    for _ in 0..2 {
        let n = usize::from(*rest.get(1)?);
        let number = rest.get(2..2 + n)?;
        let number = &number[number.len().saturating_sub(32)..];
        both.resize(both.len() + 32 - number.len(), 0);
        both.extend_from_slice(number);
        rest = rest.get(2 + n..)?;
    }
    Some(both)
}

/// Lets an account read what is exported by these verbs.
async fn account(east: &Cluster, name: &str, verbs: &[&str]) -> anyhow::Result<()> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let named = json!({"name": name});
    let account = json!({"metadata": named}).to_string();
    east.post("/api/v1/namespaces/demo/serviceaccounts", &account)
        .await?;
    let rules = json!([{"apiGroups": ["", "discovery.k8s.io"], "verbs": verbs,
        "resources": ["services", "endpointslices", "endpoints"]}]);
    let role = json!({"metadata": named, "rules": rules}).to_string();
    east.post(&format!("{rbac}/clusterroles"), &role).await?;
    let binding = json!({
        "metadata": named,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "demo"}],
    });
    let path = format!("{rbac}/clusterrolebindings");
    east.post(&path, &binding.to_string()).await
}

/// Emitters of east and west, which are not read as they should.
struct Emitters {
    plain: Program,
    known: Program,
    unreviewed: Program,
    expired: Program,
    ahead: Program,
    cut_off: Program,
}

impl Emitters {
    async fn start(
        lab: &Lab,
        (east, west): (&Cluster, &Cluster),
        ca: &Ca,
        keeper: &Keeper,
    ) -> anyhow::Result<Self> {
        let tokens = lab.file("tokens.csv", "known,bob,1\n")?;
        let access = lab.file("access.yaml", "consumers: [{name: a, users: [alice]}]\n")?;
        let known = [
            format!("--token-auth-file={}", tokens.display()),
            format!("--access-config={}", access.display()),
        ];
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let watcher = kubeconfig_of(east, "demo", "watcher", keeper).await?;
        let with = async |purpose: Purpose| -> anyhow::Result<Program> {
            let pair = ca.sign(lab, "server", None, purpose)?;
            let port = free_port()?;
            let flags = [
                format!("--secure-port={port}"),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--tls-cert-file={}", pair.cert.display()),
                format!("--tls-private-key-file={}", pair.key.display()),
            ];
            let mut flags: Vec<_> = flags.iter().map(String::as_str).collect();
            flags.push("--anonymous-auth");
            let mut emitter = lab.emitter(east, &flags).await?;
            emitter.url = format!("https://127.0.0.1:{port}");
            Ok(emitter)
        };
        let cut_off = lab.emitter(west, &[]).await?;
        west.plane.kill_apiserver().await?;
        Ok(Self {
            plain: lab.emitter(east, &["--anonymous-auth"]).await?,
            known: lab.emitter(east, &known).await?,
            // It may read what it exports, and review no token.
            unreviewed: lab
                .emitter_by(
                    "emitter-without-reviews",
                    &watcher,
                    &["--delegate-authentication"],
                )
                .await?,
            expired: with(Purpose::ExpiredServer).await?,
            ahead: with(Purpose::FutureServer).await?,
            cut_off,
        })
    }
}

/// Servers that are none.
struct Stubs {
    hangs: Stub,
    page: Stub,
    without_slices: Stub,
}

impl Stubs {
    async fn start() -> anyhow::Result<Self> {
        let services = Answers::Lists([("services", list("Service", "v1", &[]))].into());
        Ok(Self {
            hangs: Stub::start(Answers::Nothing).await?,
            page: Stub::start(Answers::Page).await?,
            without_slices: Stub::start(services).await?,
        })
    }
}

/// A directory with one kubeconfig, which is none.
fn directory(lab: &Lab) -> anyhow::Result<Value> {
    let path = lab.directory().join("clusters");
    std::fs::create_dir(&path)?;
    std::fs::write(path.join("broken.yaml"), "clusters: [")?;
    Ok(json!({"path": path, "defaults": {"prefix": "{source}"}}))
}

struct World<'a> {
    lab: &'a Lab,
    east: &'a Cluster,
    local: &'a Cluster,
    emitters: &'a Emitters,
    stubs: &'a Stubs,
    ca: &'a Ca,
    reader: &'a Path,
}

type Sources = Vec<(&'static str, Value)>;

impl World<'_> {
    /// Sources at the API server of east.
    fn of_api_server(&self) -> anyhow::Result<Sources> {
        let file = |name: &str, text: &str| self.lab.file(name, text);
        let authority = file("east-ca.crt", self.east.plane.authority())?;
        let other_ca = file("other-ca.crt", &self.ca.pem)?;
        let token = file("token", &self.east.plane.admin_token())?;
        let expired = file("expired", &expired_token(self.east)?)?;
        let url = self.east.plane.url();
        let secure = |url: &str, key: &str, value: Value| {
            let mut source = json!({"url": url, "caFile": authority, "tokenFile": token});
            source[key] = value;
            source
        };
        let plain = json!({"url": url.replace("https://", "http://")});
        let nowhere = format!("{url}/nowhere");
        let uid = json!("00000000-0000-0000-0000-000000000000");
        let kubeconfig = |path: &Path| json!({"kubeconfig": path});
        Ok(vec![
            ("good", kubeconfig(&self.east.plane.kubeconfig())),
            ("wrong-ca", secure(&url, "caFile", json!(other_ca))),
            ("expired", secure(&url, "tokenFile", json!(expired))),
            ("no-watch", kubeconfig(self.reader)),
            (
                "other-name",
                secure(&url, "serverName", json!("other.example")),
            ),
            ("no-tls", plain),
            ("path", secure(&url, "url", json!(nowhere))),
            ("own", kubeconfig(&self.local.plane.kubeconfig())),
            ("twin", kubeconfig(&self.east.plane.kubeconfig())),
            ("replaced", secure(&url, "cluster", uid)),
        ])
    }

    /// Sources at emitters, and at what is none.
    fn of_emitters(&self) -> anyhow::Result<Sources> {
        let Self {
            emitters, stubs, ..
        } = self;
        let file = |name: &str, text: &str| self.lab.file(name, text);
        let other_ca = file("other-ca.crt", &self.ca.pem)?;
        let (unknown, known) = (file("unknown", "unknown")?, file("known", "known")?);
        let plain = |url: &str| json!({"url": url});
        let by_token = |url: &str, token: &Path| json!({"url": url, "tokenFile": token});
        let by_ca = |url: &str| json!({"url": url, "caFile": other_ca});
        let nowhere = format!("http://127.0.0.1:{}", free_port()?);
        let secure = emitters.plain.url.replace("http://", "https://");
        Ok(vec![
            ("tls", by_ca(&secure)),
            ("hangs", plain(&stubs.hangs.url)),
            ("nowhere", plain(&nowhere)),
            ("no-host", plain("http://no-such-host.invalid:8080")),
            ("login", plain(&stubs.page.url)),
            ("no-slices", plain(&stubs.without_slices.url)),
            ("cut-off", plain(&emitters.cut_off.url)),
            ("unknown", by_token(&emitters.known.url, &unknown)),
            ("denied", by_token(&emitters.known.url, &known)),
            ("no-review", by_token(&emitters.unreviewed.url, &known)),
            ("old-cert", by_ca(&emitters.expired.url)),
            ("ahead", by_ca(&emitters.ahead.url)),
        ])
    }

    fn sources(&self) -> anyhow::Result<Value> {
        let all = self.of_api_server()?.into_iter().chain(self.of_emitters()?);
        let with_names = all.map(|(name, mut source)| {
            source["name"] = json!(name);
            source["prefix"] = json!(format!("p-{name}"));
            source
        });
        Ok(with_names.collect())
    }
}

pub(crate) async fn a_source_that_is_not_read_says_why(scene: Arc<Scene>) -> anyhow::Result<()> {
    let table = Table::complete()?;
    let (east, west, local) = tokio::try_join!(
        quiet_cluster(&scene, "east"),
        quiet_cluster(&scene, "west"),
        quiet_cluster(&scene, "local")
    )?;
    east.create_namespace("demo").await?;
    for namespace in ["demo", MIRRORS] {
        local.create_namespace(namespace).await?;
    }
    account(&east, "reader", &["list"]).await?;
    account(&east, "watcher", &["list", "watch"]).await?;
    let lab = Lab::new(Arc::clone(&scene))?;
    let keeper = Keeper::new("breakages")?;
    let ca = Ca::new("another authority")?;
    let emitters = Emitters::start(&lab, (&east, &west), &ca, &keeper).await?;
    let stubs = Stubs::start().await?;
    let reader = kubeconfig_of(&east, "demo", "reader", &keeper).await?;
    let world = World {
        lab: &lab,
        east: &east,
        local: &local,
        emitters: &emitters,
        stubs: &stubs,
        ca: &ca,
        reader: &reader,
    };
    let config = json!({"mirrorNamespace": MIRRORS, "sources": world.sources()?,
        "kubeconfigDir": directory(&lab)?});
    let state = format!("--state-namespace={MIRRORS}");
    let it = ByFile::launch(&lab, &local, &config, "admin", &[&state])?;
    table.is_shown(&BREAKAGES, &it.reflector, &local).await
}
