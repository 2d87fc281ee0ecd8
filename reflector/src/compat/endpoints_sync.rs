//! k8s-endpoints-sync-controller's directory and variables. It had no flags: ours may stand
//! beside them.

use std::path::{Path, PathBuf};

use clap::Parser;
use proto_types::name::DnsLabel;
use reflector_planner::SourceName;
use serde_json::json;

use super::settings::wrong;
use super::{Environment, Error, hash_of, label_of};
use crate::config::{Args, ImportEntry, SourceEntry};

/// Where each file is a kubeconfig.
const DIRECTORY: &str = "/etc/kubeconfigs";

/// The variable that names another directory. It is ours.
const ELSEWHERE: &str = "KUBECONFIGS";

/// What it replicates: all but replicas.
const SELECTOR: &str = "replicated!=true";

/// Words of ours that ask for something else, or say themselves what to reflect.
const OTHERS: [&str; 9] = [
    "status",
    "explain",
    "help",
    "-h",
    "--help",
    "-V",
    "--version",
    "--config",
    "--source",
];

/// Whether these words, or that there are none, are for it.
pub(super) fn is_its(words: &[String], environment: &Environment) -> bool {
    let is_other = |word: &String| {
        let flag = word.split('=').next().unwrap_or_default();
        OTHERS.contains(&flag)
    };
    !words.iter().any(is_other) && directory(environment).is_dir()
}

/// The same in our flags.
pub(super) fn translate(words: &[String], environment: &Environment) -> Result<Args, Error> {
    let name = std::iter::once("reflector".to_owned());
    let mut args = Args::parse_from(name.chain(words.iter().cloned()));
    let directory = directory(environment);
    let import = import(environment, &mut args.notes);
    let mut sources: Vec<SourceEntry> = Vec::new();
    for file in files(&directory, &mut args.notes)? {
        let name = name_of(&file)?;
        if let Some(other) = sources.iter().find(|it| it.name == name) {
            let other = other.kubeconfig.clone().unwrap_or_default();
            let (file, other) = (file.display(), other.display());
            return Err(Error::Words(format!(
                "{file} and {other} would both be source {name}: rename one"
            )));
        }
        sources.push(SourceEntry {
            kubeconfig: Some(file),
            create_namespace: true,
            import: import.clone(),
            ..SourceEntry::named(name)
        });
    }
    let global = json!({
        "cluster": local(&sources),
        "selector": SELECTOR,
        "sameName": true,
        "migration": true,
    });
    let global = serde_json::from_value(global);
    args.global = Some(global.map_err(|why| wrong("global", why))?);
    args.sources.extend(sources);
    args.inputs.push(directory);
    args.may_be_empty = true;
    Ok(args)
}

fn directory(environment: &Environment) -> PathBuf {
    let named = environment.get(ELSEWHERE).filter(|it| !it.is_empty());
    named.map_or_else(|| DIRECTORY.into(), PathBuf::from)
}

/// Its kubeconfigs, in the order of their names: all files but those with `data` in their
/// names, as it skipped a ConfigMap's own.
fn files(directory: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>, Error> {
    let unread = |source| Error::Read {
        path: directory.display().to_string(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.contains("data") {
            files.push(path);
        } else if !name.starts_with('.') {
            notes.push(format!(
                "{} is no source, as it never was: its name contains data; rename it",
                path.display()
            ));
        }
    }
    files.sort();
    Ok(files)
}

/// A source is called as its file, without what kubeconfigs' names end with.
fn name_of(file: &Path) -> Result<SourceName, Error> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let endings = [".yaml", ".yml", ".json", ".conf", ".config", ".kubeconfig"];
    let mut stems = endings.iter().filter_map(|it| name.strip_suffix(it));
    let stem = stems.next().unwrap_or(&name);
    let label = label_of(stem).map_err(|_| {
        let why = "its name has no letter or digit to call a source by: rename it";
        wrong(&file.display().to_string(), why)
    })?;
    label.as_str().parse().map_err(|why| wrong(stem, why))
}

/// What this cluster is called, which none of the others may be.
fn local(sources: &[SourceEntry]) -> String {
    const LOCAL: &str = "local";
    let is_taken = sources.iter().any(|it| it.name.as_str() == LOCAL);
    if is_taken {
        format!("{LOCAL}-{}", hash_of(DIRECTORY))
    } else {
        LOCAL.to_owned()
    }
}

/// From which namespaces what comes in. Services' labels come along.
fn import(environment: &Environment, notes: &mut Vec<String>) -> ImportEntry {
    let mut names = |variable| {
        let text = environment.get(variable).map_or("", String::as_str);
        names(variable, text, notes)
    };
    let (allowed, denied) = (names("NSTOWATCH"), names("EXCLUDE"));
    if !allowed.is_empty() {
        notes.push(format!(
            "NSTOWATCH is heeded, which it was not before: only {} come in; what is here of other \
             namespaces stays",
            allowed.join(", ")
        ));
    }
    // Each cluster has its own, in whatever namespace.
    ImportEntry::replicating(allowed, denied, vec!["kubernetes".to_owned()])
}

/// The namespaces in a list. What cannot be one never had an effect.
fn names(variable: &str, text: &str, notes: &mut Vec<String>) -> Vec<String> {
    let words = text
        .split(',')
        .map(|it| it.trim_matches(|c: char| " []\"'".contains(c)));
    let (names, others): (Vec<_>, Vec<_>) = words
        .filter(|it| !it.is_empty())
        .partition(|it| it.parse::<DnsLabel>().is_ok());
    for word in others {
        notes.push(format!(
            "{variable}: {word:?} is not the name of a namespace, and has no effect"
        ));
    }
    names.into_iter().map(str::to_owned).collect()
}
