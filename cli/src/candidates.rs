//! Words that complete a command line: contexts, sources and mirrors, as they are now.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use reflector::status::Status;

use crate::FAILED;
use crate::admin::Admin;
use crate::args::{Arguments, Global, Server};
use crate::cluster::{Cluster, default_kubeconfig};
use crate::output::write;

/// Time for the answer of a cluster: a person waits for it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Kind of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Context of the kubeconfig.
    Context,
    /// Source of the reflector.
    Source,
    /// Mirror, as NAMESPACE/NAME.
    Service,
}

/// Prints candidates for the last of the words, or fails, so that a script proposes flags.
pub(crate) async fn run(words: &[String]) -> anyhow::Result<ExitCode> {
    let Some((kind, global)) = asked(words) else {
        return Ok(ExitCode::from(FAILED));
    };
    let found = tokio::time::timeout(PATIENCE, found(kind, &global)).await;
    let mut found = found.context("no answer in time")??;
    found.retain(|it| is_plain(it));
    found.sort();
    write(&(found.join("\n") + "\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns whether no shell gives a word another meaning.
fn is_plain(word: &str) -> bool {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "./_:@-".contains(it);
    !word.is_empty() && word.chars().all(is_plain)
}

/// The kind of the last word, and the flags before it.
fn asked(words: &[String]) -> Option<(Kind, Global)> {
    let (last, before) = words.split_last()?;
    let command = Arguments::command().ignore_errors(true);
    let line = std::iter::once("heliograph").chain(before.iter().map(String::as_str));
    let matches = command.clone().try_get_matches_from(line).ok()?;
    let global = Global::from_arg_matches(innermost(&matches)).ok()?;
    let flag = before.last().filter(|it| takes_value(&command, it));
    let kind = match flag.map(String::as_str) {
        Some("--context" | "--to-context") => Kind::Context,
        Some("--source-name") => Kind::Source,
        Some("--service") => Kind::Service,
        Some(_) => return None,
        None if last.starts_with('-') => return None,
        None => match matches.subcommand() {
            Some(("explain", matches)) if !matches.contains_id("service") => Kind::Service,
            _ => return None,
        },
    };
    Some((kind, global))
}

fn innermost(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) => innermost(inner),
        None => matches,
    }
}

/// Returns whether a word is a flag whose value follows.
fn takes_value(command: &Command, word: &str) -> bool {
    let own = command.get_arguments().any(|it| {
        let long = it.get_long().map(|it| format!("--{it}"));
        let short = it.get_short().map(|it| format!("-{it}"));
        let is_it = [long, short].iter().flatten().any(|it| it == word);
        is_it && it.get_action().takes_values()
    });
    own || command.get_subcommands().any(|it| takes_value(it, word))
}

async fn found(kind: Kind, global: &Global) -> anyhow::Result<Vec<String>> {
    match kind {
        Kind::Context => {
            let path = global.kubeconfig.clone().or_else(default_kubeconfig);
            let path = path.context("there is no kubeconfig")?;
            let config = kube::config::Kubeconfig::read_from(path)?;
            Ok(config.contexts.into_iter().map(|it| it.name).collect())
        }
        Kind::Source => {
            let server = Server {
                server: None,
                token_file: None,
            };
            let admin = Admin::of_reflector(global, &server).await?;
            let status: Status = admin.json("/status").await?;
            Ok(status.sources.into_iter().map(|it| it.name).collect())
        }
        Kind::Service => {
            let cluster = Cluster::of(global).await?;
            let label = "labelSelector=heliograph.dev%2Fsource";
            let mirrors = cluster.list(&format!("/api/v1/services?{label}")).await?;
            let names = mirrors.iter().filter_map(|it| {
                let metadata = &it["metadata"];
                let (namespace, name) = (&metadata["namespace"], &metadata["name"]);
                Some(format!("{}/{}", namespace.as_str()?, name.as_str()?))
            });
            Ok(names.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, asked, is_plain};

    fn kind(line: &str) -> Option<Kind> {
        let words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        asked(&words).map(|it| it.0)
    }

    #[test]
    fn the_kind_of_a_word_follows_from_the_words_before() {
        for (line, wanted) in [
            ("explain ", Some(Kind::Service)),
            ("explain demo/w", Some(Kind::Service)),
            ("explain -n other --context east ", Some(Kind::Service)),
            ("explain demo/web ", None),
            ("explain --outp", None),
            ("explain --output ", None),
            ("status --context ", Some(Kind::Context)),
            ("link --to-context l", Some(Kind::Context)),
            ("verify --source-name ", Some(Kind::Source)),
            ("verify --service mirrors/", Some(Kind::Service)),
            ("st", None),
            ("status ", None),
        ] {
            assert_eq!(kind(line), wanted, "{line:?}");
        }
        let words = ["explain", "--context", "east", "-n", "x", ""].map(str::to_owned);
        let (_, global) = asked(&words).unwrap();
        assert_eq!(global.context.as_deref(), Some("east"));
        assert_eq!(global.namespace, "x");
    }

    #[test]
    fn words_with_a_meaning_to_shells_are_left_out() {
        assert!(is_plain("mirrors/east-demo-web") && is_plain("kind-east"));
        assert!(!is_plain("$(reboot)") && !is_plain("a b") && !is_plain(""));
    }
}
