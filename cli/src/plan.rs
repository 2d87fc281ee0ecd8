//! `heliograph plan`: what a configuration would change, by the code of the reflector.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use proto_types::ObjectKey;
use reflector::compat::CommandLine;
use serde_json::Value;

use crate::args::{self, Global, Output};
use crate::cluster::{Cluster, default_kubeconfig};
use crate::installation::{Installed, Program};
use crate::output::yaml;

/// Runs the subcommand.
pub(crate) async fn run(global: &Global, asked: &args::Plan) -> anyhow::Result<ExitCode> {
    run_with(global, asked, None).await
}

/// Runs the subcommand, or explains one Service by the same state.
pub(crate) async fn run_with(
    global: &Global,
    asked: &args::Plan,
    explained: Option<&ObjectKey>,
) -> anyhow::Result<ExitCode> {
    let output = match &global.output {
        Output::Text | Output::Wide => "text",
        Output::Json => "json",
        Output::Yaml | Output::JsonPath(_) => bail!("plan has text and JSON: use -o json"),
    };
    let kubeconfig = kubeconfig(global)?;
    let text = match &asked.filename {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?,
        None => installed(global).await?,
    };
    let text = with_contexts(&text, &kubeconfig.to_string_lossy(), &asked.source_context)?;
    let directory = Directory::new()?;
    let file = directory.0.join("config.yaml");
    std::fs::write(&file, text)?;
    let mut words = vec!["plan".to_owned(), format!("--output={output}")];
    words.push(format!("--config={}", file.display()));
    words.push(format!("--kubeconfig={}", kubeconfig.display()));
    words.extend(explained.map(|it| format!("--explain={it}")));
    words.extend(global.context.iter().map(|it| format!("--context={it}")));
    words.push("--log-level=error".to_owned());
    let environment = std::collections::BTreeMap::new();
    reflector::main(CommandLine { words, environment }).await
}

/// The kubeconfig that flags or the environment name.
fn kubeconfig(global: &Global) -> anyhow::Result<PathBuf> {
    let path = global.kubeconfig.clone().or_else(default_kubeconfig);
    path.context("no kubeconfig: name one with --kubeconfig or KUBECONFIG")
}

/// The configuration of the installed reflector.
async fn installed(global: &Global) -> anyhow::Result<String> {
    let cluster = Cluster::of(global).await?;
    let namespace = &global.namespace;
    let reflector = Installed::existing(&cluster, namespace, Program::Reflector).await?;
    let file = reflector.mounted("--config").context(
        "the reflector has no configuration in a ConfigMap: name a file with --filename",
    )?;
    let path = format!(
        "/api/v1/namespaces/{namespace}/configmaps/{}",
        file.config_map
    );
    let map = cluster
        .existing(&path, "name a file with --filename")
        .await?;
    let text = map["data"][&file.key].as_str().map(str::to_owned);
    text.with_context(|| format!("ConfigMap {} has no key {}", file.config_map, file.key))
}

/// Sources that are read by a context have no URL.
fn with_contexts(
    text: &str,
    kubeconfig: &str,
    contexts: &[(String, String)],
) -> anyhow::Result<String> {
    if contexts.is_empty() {
        return Ok(text.to_owned());
    }
    let mut config: Value = serde_saphyr::from_str(text).context("the configuration is invalid")?;
    for (name, context) in contexts {
        let sources = config["sources"].as_array_mut();
        let source = sources
            .into_iter()
            .flatten()
            .find(|it| it["name"] == **name);
        let source = source.and_then(Value::as_object_mut);
        let source = source.with_context(|| format!("the configuration has no source {name}"))?;
        let of_urls = [
            "url",
            "ca",
            "caFile",
            "caUrl",
            "serverName",
            "tokenFile",
            "tokenVariable",
            "proxyUrl",
        ];
        source.retain(|key, _| !of_urls.contains(&key.as_str()));
        source.insert("kubeconfig".to_owned(), kubeconfig.into());
        source.insert("context".to_owned(), context.as_str().into());
    }
    yaml(&config)
}

/// A directory of this process, which goes with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("heliograph-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // The system cleans what cannot be removed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::with_contexts;

    #[test]
    fn a_source_can_be_read_by_a_context() {
        let text = "sources:\n- {name: east, url: https://e, caFile: /ca, prefix: east}\n";
        let pair = [("east".to_owned(), "kind-east".to_owned())];
        let changed = with_contexts(text, "/k", &pair).unwrap();
        let config: reflector::config::File = serde_saphyr::from_str(&changed).unwrap();
        assert_eq!(config.sources[0].context.as_deref(), Some("kind-east"));
        assert!(config.sources[0].url.is_none() && config.sources[0].ca_file.is_none());
        let other = [("west".to_owned(), "x".to_owned())];
        let said = with_contexts(text, "/k", &other).unwrap_err().to_string();
        assert!(said.contains("no source west"), "{said}");
        assert_eq!(
            with_contexts("# as it is\n", "/k", &[]).unwrap(),
            "# as it is\n"
        );
    }
}
