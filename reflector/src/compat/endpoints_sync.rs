//! k8s-endpoints-sync-controller's directory and variables. It had no flags: ours may stand
//! beside them.

use std::path::PathBuf;

use clap::Parser;
use proto_types::name::DnsLabel;
use serde_json::{Map, Value, json};

use super::settings::wrong;
use super::{Environment, Error, hash_of};
use crate::config::{Args, KubeconfigDir, SourceDefaults};

/// Directory of kubeconfig files.
const DIRECTORY: &str = "/etc/kubeconfigs";

/// The variable that names another directory. It is ours.
const ELSEWHERE: &str = "KUBECONFIGS";

/// Files with this in their names were none of its kubeconfigs, so that a ConfigMap's own
/// were not.
const ASIDE: &str = "data";

/// Label selector of the replicated Services: all but replicas.
const SELECTOR: &str = "replicated!=true";

/// Flags of this program that select another command, or configure sources themselves.
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

/// Returns whether these words, or that there are none, are for it.
pub(super) fn is_its(words: &[String], environment: &Environment) -> bool {
    let is_other = |word: &String| {
        let flag = word.split('=').next().unwrap_or_default();
        OTHERS.contains(&flag)
    };
    !words.iter().any(is_other) && directory(environment).is_dir()
}

/// The same as flags of this program.
pub(super) fn translate(words: &[String], environment: &Environment) -> Result<Args, Error> {
    let name = std::iter::once("reflector".to_owned());
    let mut args = Args::parse_from(name.chain(words.iter().cloned()));
    args.habits.opens_domains = true;
    args.notes
        .push(super::settings::DOMAINS_ARE_OPEN.to_owned());
    let kubeconfigs = KubeconfigDir {
        path: directory(environment),
        allow_references: false,
        each: SourceDefaults(each(environment, &mut args.notes)),
        passed_over: Some(ASIDE),
    };
    let global = json!({
        "cluster": local(&kubeconfigs),
        "selector": SELECTOR,
        "sameName": true,
        "migration": true,
    });
    let global = serde_json::from_value(global);
    args.global = Some(global.map_err(|why| wrong("global", why))?);
    args.kubeconfig_dir = Some(kubeconfigs);
    Ok(args)
}

fn directory(environment: &Environment) -> PathBuf {
    let named = environment.get(ELSEWHERE).filter(|it| !it.is_empty());
    named.map_or_else(|| DIRECTORY.into(), PathBuf::from)
}

/// Returns the name of this cluster, which none of the others may have.
fn local(kubeconfigs: &KubeconfigDir) -> String {
    const LOCAL: &str = "local";
    if kubeconfigs.has(LOCAL) {
        format!("{LOCAL}-{}", hash_of(DIRECTORY))
    } else {
        LOCAL.to_owned()
    }
}

/// Returns the defaults of the sources: the allowed namespaces. Labels of Services are copied.
fn each(environment: &Environment, notes: &mut Vec<String>) -> Map<String, Value> {
    let mut names = |variable| {
        let text = environment.get(variable).map_or("", String::as_str);
        names(variable, text, notes)
    };
    let mut namespaces = Map::new();
    let (allowed, denied) = (names("NSTOWATCH"), names("EXCLUDE"));
    if allowed.is_empty() {
        namespaces.insert("allow".to_owned(), json!(super::ANY_NAMESPACE));
    } else {
        notes.push(format!(
            "NSTOWATCH is heeded, which it was not before: only {} come in; what is here of other \
             namespaces stays",
            allowed.join(", ")
        ));
        namespaces.insert("allow".to_owned(), json!(allowed));
    }
    if !denied.is_empty() {
        namespaces.insert("deny".to_owned(), json!(denied));
    }
    // Each cluster has its own, in whatever namespace.
    let names = json!({"deny": ["kubernetes"]});
    let import = json!({"namespaces": namespaces, "names": names, "labels": ["*"]});
    let create = ("createNamespace".to_owned(), json!(true));
    Map::from_iter([create, ("import".to_owned(), import)])
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
