//! One kubeconfig for all clusters and emitters of a playground.

use anyhow::Context;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

/// A kubeconfig to which clusters are added, each as a context of its name.
#[derive(Debug, Default)]
pub(crate) struct Contexts {
    clusters: Vec<Value>,
    users: Vec<Value>,
    contexts: Vec<Value>,
}

impl Contexts {
    /// Adds the cluster that a kubeconfig is about.
    pub(crate) fn add(&mut self, name: &str, kubeconfig: &Kubeconfig) -> anyhow::Result<()> {
        let cluster = kubeconfig
            .clusters
            .first()
            .and_then(|it| it.cluster.as_ref());
        let user = kubeconfig
            .auth_infos
            .first()
            .and_then(|it| it.auth_info.as_ref());
        let cluster = cluster.with_context(|| format!("no cluster in the kubeconfig of {name}"))?;
        self.push(name, &json!(cluster), &json!(user));
        Ok(())
    }

    /// Adds a server that asks for no credentials.
    pub(crate) fn add_server(&mut self, name: &str, url: &str) {
        self.push(name, &json!({ "server": url }), &json!({}));
    }

    /// The file's content. JSON is YAML too.
    pub(crate) fn text(&self) -> String {
        let all = json!({
            "apiVersion": "v1", "kind": "Config",
            "clusters": self.clusters, "users": self.users, "contexts": self.contexts,
            "current-context": self.contexts.first().map(|it| &it["name"]),
        });
        format!("{all:#}\n")
    }

    fn push(&mut self, name: &str, cluster: &Value, user: &Value) {
        self.clusters
            .push(json!({"name": name, "cluster": cluster}));
        self.users.push(json!({"name": name, "user": user}));
        let context = json!({"cluster": name, "user": name});
        self.contexts
            .push(json!({"name": name, "context": context}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_keep_their_own_credentials() {
        let plane = |token: &str| {
            let text = format!(
                "clusters: [{{name: c, cluster: {{server: \"https://{token}\"}}}}]\n\
                 users: [{{name: admin, user: {{token: {token}}}}}]\n\
                 contexts: [{{name: c, context: {{cluster: c, user: admin}}}}]\n"
            );
            Kubeconfig::from_yaml(&text).unwrap()
        };
        let mut contexts = Contexts::default();
        contexts.add("local", &plane("one")).unwrap();
        contexts.add("east", &plane("two")).unwrap();
        contexts.add_server("east-emitter", "http://three");
        let read = Kubeconfig::from_yaml(&contexts.text()).unwrap();
        assert_eq!(read.current_context.as_deref(), Some("local"));
        let names: Vec<_> = read.contexts.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["local", "east", "east-emitter"]);
        let json = serde_json::to_value(&read.auth_infos).unwrap();
        assert_eq!(json[1]["user"]["token"], "two");
    }
}
