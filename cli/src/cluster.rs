//! Objects of a cluster, read and written by a kubeconfig.
//!
//! Invariant: a request for a Secret is an error, for every caller.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, LogParams};
use runtime::Access;
use serde_json::{Value, json};

use crate::args::Global;

/// A cluster, and the name by which messages call it.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// Name of its context.
    pub(crate) name: String,
    client: Client,
}

/// Treatment of writes by the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// The API server checks them and stores nothing.
    DryRun,
    /// They are stored.
    Stored,
}

/// Field manager in `managedFields`.
const MANAGER: &str = "heliograph-cli";
/// Objects of one page of a list.
const PAGE: usize = 500;
/// Name of this program in requests.
pub(crate) const USER_AGENT: &str = concat!("heliograph-cli/", env!("CARGO_PKG_VERSION"));

/// Returns the kubeconfig where no flag names one: the files of KUBECONFIG, which are merged, or
/// else that of the user.
pub(crate) fn default_kubeconfig() -> Option<PathBuf> {
    let named = std::env::var_os("KUBECONFIG").filter(|it| !it.is_empty());
    let own = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".kube/config"));
    named
        .map(PathBuf::from)
        .or_else(|| own().filter(|it| it.is_file()))
}

impl Cluster {
    /// The cluster that the flags name.
    pub(crate) async fn of(global: &Global) -> anyhow::Result<Self> {
        Self::open(global.kubeconfig.as_deref(), global.context.as_deref()).await
    }

    /// The cluster of another context of the same kubeconfig.
    pub(crate) async fn of_context(global: &Global, context: &str) -> anyhow::Result<Self> {
        Self::open(global.kubeconfig.as_deref(), Some(context)).await
    }

    async fn open(kubeconfig: Option<&Path>, context: Option<&str>) -> anyhow::Result<Self> {
        let path = kubeconfig.map(Path::to_owned).or_else(default_kubeconfig);
        let access = match (path, context) {
            (Some(path), context) => Access::Kubeconfig {
                path,
                context: context.map(str::to_owned),
            },
            (None, Some(context)) => {
                bail!(
                    "no kubeconfig with context {context}: name one with --kubeconfig or KUBECONFIG"
                )
            }
            (None, None) => Access::InCluster,
        };
        let client = runtime::connect(&access, USER_AGENT).await;
        let client = client.map_err(|error| match access {
            Access::InCluster => anyhow::Error::from(error).context(
                "no cluster: name a kubeconfig with --kubeconfig or KUBECONFIG, or the URL of an \
                 admin port with --server",
            ),
            _ => error.into(),
        })?;
        let name = context.unwrap_or("local").to_owned();
        Ok(Self { name, client })
    }

    /// Client for what is not an object.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Reads an object or another document; `None` if it does not exist.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Option<Value>> {
        refuse_secrets(path)?;
        let request = Request::get(path).body(Vec::new())?;
        match self.client.request::<Value>(request).await {
            Ok(value) => Ok(Some(value)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(self.failure("read", path, error)),
        }
    }

    /// Reads an object that must exist.
    pub(crate) async fn existing(&self, path: &str, remedy: &str) -> anyhow::Result<Value> {
        let found = self.get(path).await?;
        found.with_context(|| format!("cluster {} has no {}: {remedy}", self.name, short(path)))
    }

    /// Lists objects, page by page; `path` may have a query. An unknown resource has none.
    pub(crate) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let (mut items, mut next) = (Vec::new(), String::new());
        let mark = if path.contains('?') { '&' } else { '?' };
        loop {
            let page = self.get(&format!("{path}{mark}limit={PAGE}{next}")).await?;
            let Some(mut page) = page else {
                return Ok(items);
            };
            if let Value::Array(more) = page["items"].take() {
                items.extend(more);
            }
            match page["metadata"]["continue"].as_str() {
                None | Some("") => return Ok(items),
                Some(token) => next = format!("&continue={token}"),
            }
        }
    }

    /// Creates an object in a collection; returns it as the API server has it.
    pub(crate) async fn create(
        &self,
        collection: &str,
        object: &Value,
        writes: Writes,
    ) -> anyhow::Result<Value> {
        self.send("POST", collection, object, writes).await
    }

    /// Replaces an object of the resource version that it has.
    pub(crate) async fn replace(
        &self,
        path: &str,
        object: &Value,
        writes: Writes,
    ) -> anyhow::Result<Value> {
        self.send("PUT", path, object, writes).await
    }

    /// Deletes an object; one that does not exist is as good.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        refuse_secrets(path)?;
        let request = Request::delete(path).body(Vec::new())?;
        match self.client.request_text(request).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(self.failure("delete", path, error)),
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        object: &Value,
        writes: Writes,
    ) -> anyhow::Result<Value> {
        refuse_secrets(path)?;
        let dry_run = match writes {
            Writes::DryRun => "&dryRun=All",
            Writes::Stored => "",
        };
        let uri = format!("{path}?fieldManager={MANAGER}{dry_run}");
        let request = Request::builder().method(method).uri(uri);
        let request = request.header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(serde_json::to_vec(object)?)?;
        let sent = self.client.request(request).await;
        sent.map_err(|error| self.failure("write", path, error))
    }

    /// Returns whether a user may do something, by a SubjectAccessReview; the own one, if absent.
    pub(crate) async fn allows(
        &self,
        user: Option<&Value>,
        attributes: &Value,
    ) -> anyhow::Result<bool> {
        let (kind, resource) = match user {
            Some(_) => ("SubjectAccessReview", "subjectaccessreviews"),
            None => ("SelfSubjectAccessReview", "selfsubjectaccessreviews"),
        };
        let mut review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": kind,
            "spec": {"resourceAttributes": attributes},
        });
        if let Some(user) = user {
            review["spec"]["user"] = user["user"].clone();
            review["spec"]["groups"] = user["groups"].clone();
        }
        let path = format!("/apis/authorization.k8s.io/v1/{resource}");
        let answer = self.create(&path, &review, Writes::Stored).await?;
        Ok(answer["status"]["allowed"] == Value::Bool(true))
    }

    /// The end of the log of a container.
    pub(crate) async fn log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        tail: i64,
    ) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let wanted = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(tail),
            timestamps: true,
            ..LogParams::default()
        };
        let log = pods.logs(pod, &wanted).await;
        log.map_err(|error| self.failure("read the log of", pod, error))
    }

    /// Everything that a container wrote.
    pub(crate) async fn output(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let wanted = LogParams {
            container: Some(container.to_owned()),
            ..LogParams::default()
        };
        let log = pods.logs(pod, &wanted).await;
        log.map_err(|error| self.failure("read the log of", pod, error))
    }

    fn failure(&self, verb: &str, path: &str, error: kube::Error) -> anyhow::Error {
        let name = &self.name;
        let what = format!("cannot {verb} {} in cluster {name}", short(path));
        match error {
            kube::Error::Api(status) if status.code == 403 => anyhow::anyhow!(
                "{what}: {}; grant your user the permissions of docs/cli.md",
                status.message
            ),
            kube::Error::Api(status) => anyhow::anyhow!("{what}: {}", status.message),
            other => anyhow::Error::new(other).context(what),
        }
    }
}

/// The value of a key of a ConfigMap; empty, if it is absent.
pub(crate) fn data<'a>(map: &'a Value, key: &str) -> &'a str {
    map["data"][key].as_str().unwrap_or_default()
}

/// Path of an object or a collection without its query and the head that all have.
fn short(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("/api/v1/").unwrap_or(path);
    path.strip_prefix("/apis/").unwrap_or(path)
}

fn refuse_secrets(path: &str) -> anyhow::Result<()> {
    let path = path.split('?').next().unwrap_or_default();
    if path.split('/').any(|it| it == "secrets") {
        bail!("{path}: this program neither reads nor writes Secrets");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{refuse_secrets, short};

    #[test]
    fn a_request_for_a_secret_is_an_error() {
        for path in ["/api/v1/namespaces/x/secrets/y", "/api/v1/secrets?limit=1"] {
            let said = refuse_secrets(path).unwrap_err().to_string();
            assert!(said.contains("neither reads nor writes Secrets"), "{said}");
        }
        assert!(refuse_secrets("/api/v1/namespaces/secrets-of/pods").is_ok());
    }

    #[test]
    fn messages_have_the_short_path() {
        assert_eq!(
            short("/api/v1/namespaces/a/configmaps/b?x"),
            "namespaces/a/configmaps/b"
        );
        assert_eq!(short("/apis/apps/v1/deployments"), "apps/v1/deployments");
    }
}
