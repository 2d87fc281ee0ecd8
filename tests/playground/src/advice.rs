//! The lines to try, and what each shows.

use std::fmt::Write;
use std::path::Path;

use proto_types::{ObjectKey, label};
use reflector_planner::Placement;

use crate::scene::{EXPORT, EXPORTED, INTERNAL, MIRRORS, NAMESPACE, Places};

/// A line to type in another terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advice {
    /// The line.
    pub(crate) line: String,
    /// What it shows.
    pub(crate) shows: String,
}

/// What there is to try in a playground.
pub(crate) fn advice(places: &Places) -> Vec<Advice> {
    let source = places.sources.first().map_or("east", String::as_str);
    let mut advice = asking(places, source);
    advice.extend(looking(places, source));
    if places.has_exports {
        advice.extend(importing(places, source));
    }
    advice.extend(changing(source));
    advice.extend(breaking(source));
    advice
}

fn try_out(line: String, shows: impl Into<String>) -> Advice {
    let shows = shows.into();
    Advice { line, shows }
}

/// Address of the reflector's page.
pub(crate) fn page(places: &Places) -> String {
    format!("http://{}/", places.reflector)
}

/// Commands of the command line program for a reflector.
fn asking(places: &Places, source: &str) -> Vec<Advice> {
    let program = call("heliograph");
    let server = format!("--server http://{}", places.reflector);
    let mirror = mirror(source, "web");
    vec![
        try_out(
            format!("{program} status {server}"),
            "sources, held deletions and problems on one screen; its page shows the same",
        ),
        try_out(
            format!("{program} explain {MIRRORS}/{mirror} {server}"),
            format!("why web of {source} is mirrored as it is"),
        ),
        try_out(
            format!("{program} top {server}"),
            "rates and propagation of each source, again and again",
        ),
    ]
}

fn looking(places: &Places, source: &str) -> Vec<Advice> {
    let kubeconfig = quoted(&places.kubeconfig());
    let mirror = mirror(source, "web");
    vec![
        try_out(
            format!("export KUBECONFIG={kubeconfig}"),
            "lets the lines below find the clusters",
        ),
        try_out(
            format!("kubectl --context {source} get services -n {NAMESPACE} --show-labels"),
            format!("what {source} has"),
        ),
        try_out(
            format!("kubectl --context {source}-emitter get services -A"),
            format!("what its emitter lets out: all that has {EXPORT}=true"),
        ),
        try_out(
            format!(
                "kubectl --context local get services -A -l {}={source}",
                label::SOURCE
            ),
            "what came of it here",
        ),
        try_out(
            format!(
                "kubectl --context local get endpointslices -n {MIRRORS} -l {}={mirror}",
                label::SERVICE_NAME
            ),
            format!("where web of {source} is, kept up with its changes"),
        ),
    ]
}

/// The Service that is exported by ServiceExports, and its import.
fn importing(places: &Places, source: &str) -> Vec<Advice> {
    let program = call("heliograph");
    let server = format!("--server http://{}", places.reflector);
    vec![
        try_out(
            format!("kubectl --context local get serviceimports -n {NAMESPACE}"),
            format!("{EXPORTED} of all clusters that export it, as one ServiceImport"),
        ),
        try_out(
            format!("{program} explain {NAMESPACE}/{EXPORTED} {server}"),
            "which cluster's export takes precedence, and why the import is as it is",
        ),
        try_out(
            format!("kubectl --context {source} delete serviceexport {EXPORTED} -n {NAMESPACE}"),
            format!("ends the export of {source}: its endpoints leave the import"),
        ),
    ]
}

fn changing(source: &str) -> Vec<Advice> {
    vec![
        try_out(
            format!(
                "kubectl --context {source} label services,endpointslices -n {NAMESPACE} \
                 -l app={INTERNAL} {EXPORT}=true"
            ),
            format!("exports {INTERNAL}: one mirror more"),
        ),
        try_out(
            format!(
                "kubectl --context local delete service {} -n {MIRRORS}",
                mirror(source, "web")
            ),
            "deletes a mirror, which comes back",
        ),
        try_out(
            format!("kubectl --context {source} delete service cache -n {NAMESPACE}"),
            "deletes a Service, and its mirror goes",
        ),
    ]
}

fn breaking(source: &str) -> Vec<Advice> {
    let playground = call("playground");
    vec![
        try_out(
            format!("{playground} status"),
            "prints what is seen here, with the reasons",
        ),
        try_out(
            format!("{playground} break {source}"),
            "stops its emitter; no mirror goes. Also: hang, corrupt, empty, apiserver",
        ),
        try_out(format!("{playground} heal {source}"), "brings it back"),
    ]
}

/// What the mirror of a Service is called.
fn mirror(source: &str, service: &str) -> String {
    let label = |text: &str| text.parse().expect("the playground's names are labels");
    let (prefix, namespace) = (label(source), label(MIRRORS));
    let key = Placement::Prefixed { prefix, namespace }.local(&ObjectKey::new(NAMESPACE, service));
    key.object().name().to_owned()
}

/// All of it, as text.
pub(crate) fn text(page: &str, advice: &[Advice]) -> String {
    let mut text = format!("The reflector's page: {page}\n\nTo try in another terminal:\n");
    for Advice { line, shows } in advice {
        let _ = write!(text, "\n  # {shows}\n  {line}\n");
    }
    text
}

/// What to say where the lines cannot work.
pub(crate) fn lacking_kubectl() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_it = std::env::split_paths(&path).any(|it| it.join("kubectl").is_file());
    (!has_it).then_some(
        "there is no kubectl on this machine's PATH, and the kubectl lines need one; \
         https://kubernetes.io/docs/tasks/tools/ has it. All else works without",
    )
}

/// Calls a program the way this one was called: by cargo, or by the path where both lie.
pub(crate) fn call(program: &str) -> String {
    // cargo tells those it runs of itself.
    if std::env::var_os("CARGO").is_some() {
        let release = if cfg!(debug_assertions) {
            ""
        } else {
            " --release"
        };
        return format!("cargo run{release} --bin {program}");
    }
    let beside = std::env::current_exe().map(|it| it.with_file_name(program));
    match beside {
        Ok(path) if path.is_file() => quoted(&path),
        _ => program.to_owned(),
    }
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "/._-+".contains(it);
    if text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_read_them_otherwise() {
        for (path, shown) in [
            ("/tmp/a-b_c.d", "/tmp/a-b_c.d"),
            ("/tmp/a b", "'/tmp/a b'"),
            ("/tmp/it's", r"'/tmp/it'\''s'"),
        ] {
            assert_eq!(quoted(Path::new(path)), shown);
        }
    }
}
