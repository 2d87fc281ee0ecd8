//! `heliograph link` and `unlink`: the reflector of one cluster reads the emitter of another.
//!
//! The emitter learns the public keys by which the API server of the reading cluster signs
//! tokens, and which ServiceAccount may read. The reflector gets the URL, the CA certificate
//! and a projected token of its own. No Secret is read, written or printed.

mod access;
mod address;
mod change;
mod deployment;
mod place;
mod reader;
mod source;
mod sourced;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use proto_types::name::DnsLabel;

pub(crate) use address::Via;
use change::{Changed, Report};
use reader::ReflectorCluster;
use sourced::Sourced;

use crate::args::{self, Global};
use crate::cluster::{Cluster, Writes};
use crate::output::Printer;

/// A pair of clusters, by contexts and by the names that they have in configurations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Context of the source cluster.
    source_context: String,
    /// Context of the cluster that reads.
    reader_context: String,
    /// Name of the source cluster.
    source: String,
    /// Name of the cluster that reads.
    reader: String,
}

/// Runs `link`.
pub(crate) async fn link(
    global: &Global,
    asked: &args::Link,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    let writes = writes(asked.pair.dry_run);
    let pairs = pairs(global, &asked.pair)?;
    ensure!(
        pairs.len() == 1 || !asked.url.iter().any(|it| !it.contains("=http")),
        "with --mesh, write each --url as CONTEXT=URL"
    );
    let mut clusters = Clusters::read(global, &pairs).await?;
    let mut report = Report::new(writes);
    for pair in &pairs {
        let (sourced, reader) = clusters.of(pair)?;
        ensure!(
            sourced.uid != reader.uid,
            "contexts {} and {} lead to the same cluster",
            pair.source_context,
            pair.reader_context
        );
        let place = sourced.place(pair, asked)?;
        sourced.grant(reader, pair, asked)?;
        reader.add(&place, pair, asked)?;
        report.notes.extend(sourced.notes());
        report.notes.extend(reader.notes());
    }
    // A reflector may read as soon as it has the source.
    report.apply(&clusters.sources(), writes).await?;
    report.apply(&clusters.readers(), writes).await?;
    report.next = "heliograph check, then heliograph status --wait 60s".to_owned();
    report.print(printer)
}

/// Runs `unlink`.
pub(crate) async fn unlink(
    global: &Global,
    asked: &args::Pair,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    let writes = writes(asked.dry_run);
    let pairs = pairs(global, asked)?;
    let mut clusters = Clusters::read(global, &pairs).await?;
    let mut report = Report::new(writes);
    for pair in &pairs {
        let (sourced, reader) = clusters.of(pair)?;
        report.notes.push(reader.remove(&pair.source)?);
        sourced.revoke(&pair.reader)?;
    }
    report.apply(&clusters.readers(), writes).await?;
    report.apply(&clusters.sources(), writes).await?;
    report.print(printer)
}

/// Clusters by context, each read once: nothing is written before all pairs are understood.
struct Clusters {
    sources: BTreeMap<String, Sourced>,
    readers: BTreeMap<String, ReflectorCluster>,
}

impl Clusters {
    async fn read(global: &Global, pairs: &[Pair]) -> anyhow::Result<Self> {
        let (mut sources, mut readers) = (BTreeMap::new(), BTreeMap::new());
        for pair in pairs {
            if !sources.contains_key(&pair.source_context) {
                let cluster = Cluster::of_context(global, &pair.source_context).await?;
                let sourced = Sourced::read(&cluster, global).await?;
                sources.insert(pair.source_context.clone(), sourced);
            }
            if !readers.contains_key(&pair.reader_context) {
                let cluster = Cluster::of_context(global, &pair.reader_context).await?;
                let reader = ReflectorCluster::read(cluster, global).await?;
                readers.insert(pair.reader_context.clone(), reader);
            }
        }
        Ok(Self { sources, readers })
    }

    /// Both clusters of a pair.
    fn of(&mut self, pair: &Pair) -> anyhow::Result<(&mut Sourced, &mut ReflectorCluster)> {
        let sourced = self.sources.get_mut(&pair.source_context);
        let reader = self.readers.get_mut(&pair.reader_context);
        sourced
            .zip(reader)
            .context("a cluster of a pair is not read")
    }

    /// Objects of the source clusters.
    fn sources(&self) -> Vec<&Changed> {
        self.sources.values().map(|it| &it.access).collect()
    }

    /// Objects of the clusters that read.
    fn readers(&self) -> Vec<&Changed> {
        let readers = self.readers.values();
        readers
            .flat_map(|it| [&it.config, &it.deployment])
            .collect()
    }
}

const fn writes(is_dry_run: bool) -> Writes {
    if is_dry_run {
        Writes::DryRun
    } else {
        Writes::Stored
    }
}

/// The requested pairs: one, or each with each of a mesh.
fn pairs(global: &Global, asked: &args::Pair) -> anyhow::Result<Vec<Pair>> {
    if asked.mesh.is_empty() {
        let source = global.context.as_ref();
        let source = source.context("name the source cluster with --context")?;
        let reader = asked.to_context.as_ref();
        let reader = reader.context("name the cluster that reads with --to-context")?;
        let names = (asked.source_name.as_deref(), asked.to_name.as_deref());
        return Ok(vec![pair(source, reader, names)?]);
    }
    ensure!(
        global.context.is_none() && asked.to_context.is_none(),
        "--mesh names all contexts: leave out --context and --to-context"
    );
    let mut pairs = Vec::new();
    for source in &asked.mesh {
        for reader in asked.mesh.iter().filter(|it| *it != source) {
            pairs.push(pair(source, reader, (None, None))?);
        }
    }
    ensure!(!pairs.is_empty(), "--mesh needs two contexts or more");
    Ok(pairs)
}

fn pair(source: &str, reader: &str, names: (Option<&str>, Option<&str>)) -> anyhow::Result<Pair> {
    ensure!(
        source != reader,
        "context {source} cannot be linked to itself"
    );
    let pair = Pair {
        source_context: source.to_owned(),
        reader_context: reader.to_owned(),
        source: name(names.0.unwrap_or(source))?,
        reader: name(names.1.unwrap_or(reader))?,
    };
    ensure!(
        pair.source != pair.reader,
        "both clusters would be called {}",
        pair.source
    );
    Ok(pair)
}

/// A context's name as a DNS label.
fn name(text: &str) -> anyhow::Result<String> {
    let is_kept = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit();
    let text = text.to_ascii_lowercase();
    let text: String = text
        .chars()
        .map(|it| if is_kept(it) { it } else { '-' })
        .collect();
    let text = text.trim_matches('-');
    let label: Result<DnsLabel, _> = text.parse();
    let remedy = || format!("{text:?} is no name for a cluster: pass --source-name or --to-name");
    label
        .map(|it| it.to_string())
        .map_err(|_| anyhow::anyhow!(remedy()))
}

#[cfg(test)]
mod tests {
    use super::{name, pair};

    #[test]
    fn contexts_become_names() {
        assert_eq!(name("kind-east").unwrap(), "kind-east");
        assert_eq!(
            name("arn:aws:eks:eu-1:12:cluster/East").unwrap(),
            "arn-aws-eks-eu-1-12-cluster-east"
        );
        assert!(
            name("***")
                .unwrap_err()
                .to_string()
                .contains("--source-name")
        );
        let it = pair("kind-a", "kind-b", (Some("a"), None)).unwrap();
        assert_eq!((it.source.as_str(), it.reader.as_str()), ("a", "kind-b"));
        assert!(pair("a", "a", (None, None)).is_err());
        assert!(pair("a", "b", (Some("x"), Some("x"))).is_err());
    }
}
