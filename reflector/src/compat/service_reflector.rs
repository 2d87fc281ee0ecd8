//! service-reflector's flags.
//!
//! It was emitter and reflector in one; here the emitter is a program of its own, which
//! reads the `--emitter.*` flags itself.

use clap::Parser;
use kube::config::Kubeconfig;
use runtime::flags::service_reflector::{SYNTAX, log_level};
use runtime::flags::{address, switch};
use serde_json::json;

use super::settings::wrong;
use super::{Error, defaults};
use crate::config::{
    Args, EndpointsFrom, ImportEntry, SourceApi, SourceDefaults, SourceEntry, name_of_url, whole,
};

/// The same as flags of this program.
pub(super) fn translate(words: &[String]) -> Result<Args, Error> {
    let flags = SYNTAX.read(words)?;
    let value = |name| flags.last(name).filter(|it| !it.is_empty());
    if flags.last("version").and_then(switch) == Some(true) {
        return Ok(Args::parse_from(["reflector", "--version"]));
    }
    if let Some(on) = flags.last("reflector")
        && switch(on) != Some(true)
    {
        let why = "this program is the reflector; the emitter is a program of its own".to_owned();
        let flag = "--reflector".to_owned();
        return Err(Error::Value { flag, why });
    }
    let mut args = defaults();
    args.kubeconfig = value("kubeconfig").map(Into::into);
    for flag in ["listen", "admin-bind-address"] {
        if let Some(at) = value(flag) {
            args.listen = address(at).map_err(|why| wrong(&format!("--{flag}"), why))?;
        }
    }
    if let Some(level) = value("log-level") {
        args.log_level = log_level(level).map_err(Error::Words)?;
    }
    let mut sources: Vec<SourceEntry> = Vec::new();
    for (flag, value) in flags.all() {
        match flag {
            "reflector.source-api" => {
                let urls = value.split(',').map(str::trim).filter(|it| !it.is_empty());
                for url in urls {
                    let source = at_url(url, &sources)?;
                    sources.extend(source);
                }
            }
            "reflector.source-kubeconfig" => sources.push(by_kubeconfig(value, &sources)?),
            _ => {}
        }
    }
    for source in &mut sources {
        source.same_name = true;
        source.marks_as_reflected = true;
        source.create_namespace = true;
        // Its own emitter has no slices, and its watches send nothing.
        source.endpoints_from = EndpointsFrom::Auto;
        source.poll_every = Some("10s".to_owned());
        // Its users select on the labels of their originals.
        source.import = ImportEntry::carrying_all();
        // It wrote to any namespace. What is closed is opened with --open-namespace.
        source.import.allow_namespaces(&super::ANY_NAMESPACE);
        source.selector = value("reflector.selector").map(ToOwned::to_owned);
        source.namespace = match value("namespace") {
            Some(namespace) => Some(namespace.parse().map_err(|why| wrong("--namespace", why))?),
            None => None,
        };
    }
    args.sources = sources;
    args.source_api = source_api(&value)?;
    as_it_did(&mut args);
    if flags.all().any(|(flag, _)| flag.starts_with("emitter")) || flags.last("emitter").is_none() {
        args.notes.push(
            "the emitter is a program of its own: run `emitter` with the --emitter flags"
                .to_owned(),
        );
    }
    Ok(args)
}

/// Enables the tasks of service-reflector beside mirroring.
fn as_it_did(args: &mut Args) {
    args.may_be_empty = true;
    args.habits.reaps_namespaces = true;
    args.habits.opens_domains = true;
    let note = super::settings::DOMAINS_ARE_OPEN;
    args.notes.push(note.to_owned());
}

/// The ConfigMap that its flag took its value from, read as it is by now: flags of this program, so
/// that its users need no restart.
fn source_api<'a>(
    value: &impl Fn(&'static str) -> Option<&'a str>,
) -> Result<Option<SourceApi>, Error> {
    const CONFIG_MAP: &str = "reflector.source-api-config-map";
    let file = value("reflector.source-api-file").map(Into::into);
    let config_map = value(CONFIG_MAP).map(str::parse).transpose();
    let config_map = config_map.map_err(|why: String| wrong(&format!("--{CONFIG_MAP}"), why))?;
    if file.is_none() && config_map.is_none() {
        return Ok(None);
    }
    let mut each = json!({
        "sameName": true,
        "import": {
            "labels": ["*"],
            "annotations": ["*"],
            "namespaces": {"allow": super::ANY_NAMESPACE},
        },
    });
    for (key, flag) in [
        ("selector", "reflector.selector"),
        ("namespace", "namespace"),
    ] {
        if let Some(value) = value(flag) {
            each[key] = json!(value);
        }
    }
    let each = each.as_object().cloned().unwrap_or_default();
    Ok(Some(SourceApi {
        file,
        config_map,
        each: SourceDefaults(each),
    }))
}

/// The source at a URL; none where the same URL is given twice.
fn at_url(text: &str, others: &[SourceEntry]) -> Result<Option<SourceEntry>, Error> {
    let url = whole(text);
    if others.iter().any(|it| it.url.as_ref() == Some(&url)) {
        return Ok(None);
    }
    let name = name_of_url(&url, others).map_err(|why| wrong("--reflector.source-api", why))?;
    Ok(Some(SourceEntry {
        url: Some(url),
        ..SourceEntry::named(name)
    }))
}

/// The source that a kubeconfig leads to, called after its server.
fn by_kubeconfig(path: &str, others: &[SourceEntry]) -> Result<SourceEntry, Error> {
    const FLAG: &str = "--reflector.source-kubeconfig";
    let file = Kubeconfig::read_from(path).map_err(|why| wrong(FLAG, why))?;
    let current = file.current_context.as_ref();
    let context = file.contexts.iter().find(|it| Some(&it.name) == current);
    let cluster = context.and_then(|it| Some(&it.context.as_ref()?.cluster));
    let cluster = file.clusters.iter().find(|it| Some(&it.name) == cluster);
    let server = cluster.and_then(|it| it.cluster.as_ref()?.server.clone());
    let server = server.ok_or_else(|| {
        wrong(
            FLAG,
            format!("the current context of {path} leads to no server"),
        )
    })?;
    let name = name_of_url(&server, others).map_err(|why| wrong(FLAG, why))?;
    Ok(SourceEntry {
        kubeconfig: Some(path.into()),
        server: Some(server),
        ..SourceEntry::named(name)
    })
}
