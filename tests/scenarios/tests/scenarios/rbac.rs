//! The rights that the manifests grant are enough, and none is too much.
//!
//! Each program runs as its own service account, with the flags of its Deployment. With
//! all rights it does all it should and is refused nothing; without any one of them it is
//! refused exactly that, and something that it should do is not done.

pub(crate) mod beside;
pub(crate) mod clusterset;
mod declared;
mod emitting;
pub(crate) mod joining;
pub(crate) mod objects;
pub(crate) mod profiles;
mod reflecting;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use control_plane::{AuditEvent, Keeper, Scene};
use serde_json::{Value, json};

use crate::lab::{Cluster, Lab, Program, eventually, get, program};
use crate::manifests::{install, quiet_cluster};

use emitting::Emitting;
use reflecting::Reflecting;

/// What every step takes at most with all rights; a loaded machine may be slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// When a step is given up for which a right is missing; it takes a fraction of that.
const IMPATIENCE: Duration = Duration::from_secs(2);

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

pub(crate) async fn the_rights_are_enough_and_none_is_too_much(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let keeper = Keeper::new("rights")?;
    let (east, local) = quiet_clusters(&scene).await?;
    let lab = Lab::new(scene)?;
    tokio::try_join!(
        install(&east, "manifests/emitter"),
        install(&local, "manifests/examples/replacement")
    )?;
    east.create_namespace("demo").await?;
    let emitter = Account {
        name: "emitter",
        roles: &[
            "clusterroles/heliograph-emitter",
            "namespaces/heliograph/roles/heliograph-emitter-ca",
        ],
        cluster: &east,
    };
    let reflector = Account {
        name: "reflector",
        roles: &[
            "namespaces/mirrors/roles/heliograph-reflector",
            "namespaces/heliograph/roles/heliograph-reflector-lease",
            "namespaces/heliograph/roles/heliograph-reflector-sources",
            "clusterroles/heliograph-reflector-cidrs",
            "namespaces/mirrors/roles/heliograph-reflector-take-over",
        ],
        cluster: &local,
    };
    let emitting = Emitting::prepare(&lab, &emitter, &keeper).await?;
    let reflecting = Reflecting::prepare(&lab, &east, &reflector, &keeper).await?;
    tokio::try_join!(
        emitter.prove(async |run| emitting.works(run).await),
        reflector.prove(async |run| reflecting.works(run).await)
    )?;
    Ok(())
}

/// A service account, and the roles that the manifests bind it to.
struct Account<'a> {
    name: &'static str,
    roles: &'static [&'static str],
    cluster: &'a Cluster,
}

/// Command line of a reflector with the kubeconfig of its account.
struct Line {
    kubeconfig: PathBuf,
    config: PathBuf,
    flags: Vec<String>,
}

impl Line {
    fn start(&self, lab: &Lab, run: &Run) -> anyhow::Result<Program> {
        let mut command = Command::new(program("reflector")?);
        command.args(&self.flags).arg("--config").arg(&self.config);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        lab.start(&run.name, command, None)
    }
}

/// A source cluster and the local one, whose API servers log every request.
async fn quiet_clusters(scene: &Scene) -> anyhow::Result<(Cluster, Cluster)> {
    tokio::try_join!(quiet_cluster(scene, "east"), quiet_cluster(scene, "local"))
}

/// One attempt at everything.
struct Run {
    /// What the program is called in logs.
    name: String,
    patience: Duration,
}

/// One verb for one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Right {
    group: String,
    resource: String,
    /// The only objects that it is about; all if there are none.
    names: Vec<String>,
    verb: String,
}

impl Account<'_> {
    async fn prove(&self, works: impl AsyncFn(Run) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let name = self.name;
        let run = Run {
            name: name.to_owned(),
            patience: PATIENCE,
        };
        works(run)
            .await
            .with_context(|| format!("{name}, with all rights"))?;
        let refused = self.refused()?;
        ensure!(refused.is_empty(), "{name} is refused {refused:?}");
        for role in self.roles {
            let rights = self.rights(role).await?;
            for (i, right) in rights.iter().enumerate() {
                let mut others = rights.clone();
                others.remove(i);
                self.grant(role, &others).await?;
                self.eventually_may(role, right, false).await?;
                self.needs(right, &works).await?;
                self.grant(role, &rights).await?;
                self.eventually_may(role, right, true).await?;
            }
        }
        Ok(())
    }

    /// Without the right it must fail, and for no other reason.
    async fn needs(
        &self,
        right: &Right,
        works: &impl AsyncFn(Run) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let name = self.name;
        let n_before = self.refused()?.len();
        let Right { verb, resource, .. } = right;
        let run = Run {
            name: format!("{name}-without-{verb}-{}", resource.replace('/', "-")),
            patience: IMPATIENCE,
        };
        let outcome = works(run).await;
        // Who does not know which cluster this is does the same, and is refused.
        let is_identity = right.names == ["kube-system"] || right.resource == "clusterproperties";
        ensure!(
            outcome.is_err() || is_identity,
            "{name} does everything without {right:?}"
        );
        let refused = self.refused()?.split_off(n_before);
        let expected = (verb.clone(), resource.clone());
        // Who must not list names asks for each.
        let is_expected =
            |it: &(String, String)| *it == expected || (is_identity && it.1 == *resource);
        ensure!(
            !refused.is_empty() && refused.iter().all(is_expected),
            "{name}, without {right:?}: {outcome:?}; it was refused {refused:?}"
        );
        Ok(())
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:heliograph:{}", self.name)
    }

    /// Verbs and resources that it asked for in vain.
    fn refused(&self) -> anyhow::Result<Vec<(String, String)>> {
        let user = self.user();
        let events = self.cluster.plane.audit_events()?;
        let refused = events
            .into_iter()
            .filter(|event| event.user == user && event.code == 403);
        // A subresource is a right of its own.
        let resource = |it: &AuditEvent| match it.uri.split('?').next() {
            Some(path) if path.ends_with("/status") => format!("{}/status", it.resource),
            _ => it.resource.clone(),
        };
        Ok(refused.map(|it| (it.verb.clone(), resource(&it))).collect())
    }

    /// All rights of a role, one by one.
    async fn rights(&self, role: &str) -> anyhow::Result<Vec<Right>> {
        let found = self.cluster.read(&format!("{RBAC}/{role}")).await?;
        let mut rights = Vec::new();
        for rule in found["rules"].as_array().context("a role has rules")? {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    rights.extend(texts(&rule["verbs"]).map(|verb| Right {
                        group: group.to_owned(),
                        resource: resource.to_owned(),
                        names: texts(&rule["resourceNames"]).map(str::to_owned).collect(),
                        verb: verb.to_owned(),
                    }));
                }
            }
        }
        ensure!(!rights.is_empty(), "{role} grants nothing");
        Ok(rights)
    }

    async fn grant(&self, role: &str, rights: &[Right]) -> anyhow::Result<()> {
        let rules = rights.iter().map(|right| {
            json!({
                "apiGroups": [right.group],
                "resources": [right.resource],
                "resourceNames": right.names,
                "verbs": [right.verb],
            })
        });
        let patch = json!({ "rules": rules.collect::<Vec<_>>() });
        let role = format!("{RBAC}/{role}");
        self.cluster.patch(&role, &patch.to_string()).await
    }

    /// Waits until the API server knows.
    async fn eventually_may(
        &self,
        role: &str,
        right: &Right,
        expected: bool,
    ) -> anyhow::Result<()> {
        let namespace = match role.split('/').collect::<Vec<_>>()[..] {
            ["namespaces", namespace, ..] => namespace,
            _ => "",
        };
        let (resource, subresource) = right
            .resource
            .split_once('/')
            .unwrap_or((&right.resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": self.user(), "resourceAttributes": {
                "namespace": namespace,
                "group": right.group,
                "resource": resource,
                "subresource": subresource,
                "name": right.names.first().map_or("", String::as_str),
                "verb": right.verb,
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        eventually(&format!("{right:?} is {expected}"), async || {
            let request = http::Request::post(path)
                .header("content-type", "application/json")
                .body(review.to_string().into_bytes())?;
            let answer: Value = self.cluster.client.request(request).await?;
            ensure!(answer["status"]["allowed"] == expected, "{answer}");
            Ok(())
        })
        .await
    }

    /// A kubeconfig with a token such as its pods get.
    async fn kubeconfig(&self, keeper: &Keeper) -> anyhow::Result<PathBuf> {
        kubeconfig_of(self.cluster, "heliograph", self.name, keeper).await
    }
}

/// A kubeconfig with a token such as the pods of a service account get.
pub(crate) async fn kubeconfig_of(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    keeper: &Keeper,
) -> anyhow::Result<PathBuf> {
    let line = ["create", "token", name, "-n", namespace];
    let token = cluster.plane.kubectl().run(line).await?;
    let authority = STANDARD.encode(cluster.plane.authority());
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {
            "server": cluster.plane.url(),
            "certificate-authority-data": authority,
        }}],
        "users": [{"name": "it", "user": {"token": token.trim()}}],
        "contexts": [{"name": "it", "context": {
            "cluster": "it", "user": "it", "namespace": namespace,
        }}],
    });
    let path = keeper.directory().join(format!("{name}.kubeconfig"));
    std::fs::write(&path, kubeconfig.to_string())?;
    Ok(path)
}

fn texts(array: &Value) -> impl Iterator<Item = &str> {
    array
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// As [`eventually`], but not for so long.
async fn within(
    patience: Duration,
    what: &str,
    holds: impl AsyncFn() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match tokio::time::timeout(patience, eventually(what, holds)).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("not within {patience:?}: {what}"),
    }
}

async fn is_ready(patience: Duration, program: &Program) -> anyhow::Result<()> {
    within(patience, "it is ready", async || {
        let answer = get(&program.url, "/readyz?verbose").await?;
        ensure!(answer.contains("check passed"), "{answer}");
        Ok(())
    })
    .await
}
