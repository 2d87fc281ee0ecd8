//! service-reflector's flags.
//!
//! It was emitter and reflector in one; here the emitter is a program of its own, which
//! reads the `--emitter.*` flags itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use kube::config::Kubeconfig;
use serde_json::json;

use super::flags::{Dashes, Syntax, switch};
use super::settings::wrong;
use super::{Error, defaults};
use crate::config::{Args, Each, ImportEntry, SourceApi, SourceEntry, name_of_url, whole};

const SYNTAX: Syntax = Syntax {
    values: &[
        "kubeconfig",
        "listen",
        "log-level",
        "namespace",
        "reflector.source-api",
        "reflector.source-api-file",
        "reflector.source-api-config-map",
        "reflector.source-kubeconfig",
        "reflector.selector",
        "emitter.selector",
        "emitter.insecure-bind-address",
        "emitter.insecure-port",
        "emitter.bind-address",
        "emitter.secure-port",
        "emitter.cert-dir",
        "emitter.tls-cert-file",
        "emitter.tls-private-key-file",
        "emitter.tls-cipher-suites",
        "emitter.tls-min-version",
        "emitter.tls-sni-cert-key",
        "emitter.http2-max-streams-per-connection",
    ],
    switches: &["emitter", "reflector"],
    dashes: Dashes::Two,
};

/// Whether a word is a flag that only service-reflector has.
pub(super) fn is_its(word: &str) -> bool {
    let name = SYNTAX.name_of(word).unwrap_or_default();
    let name = name.split('=').next().unwrap_or_default();
    let its = |it: &str| name == it || name.starts_with(&format!("{it}."));
    its("reflector") || its("emitter")
}

/// The same in our flags.
pub(super) fn translate(words: &[String]) -> Result<Args, Error> {
    let flags = SYNTAX.read(words)?;
    let value = |name| flags.last(name).filter(|it| !it.is_empty());
    if let Some(on) = flags.last("reflector")
        && switch(on) != Some(true)
    {
        let why = "this program is the reflector; the emitter is a program of its own".to_owned();
        let flag = "--reflector".to_owned();
        return Err(Error::Value { flag, why });
    }
    let mut args = defaults();
    args.kubeconfig = value("kubeconfig").map(Into::into);
    if let Some(listen) = value("listen") {
        args.listen = address(listen)?;
    }
    if let Some(level) = value("log-level") {
        args.log_level = log_level(level)?;
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
        source.create_namespace = true;
        // Its users select on the labels of their originals.
        source.import = ImportEntry::carrying_all();
        source.selector = value("reflector.selector").map(ToOwned::to_owned);
        source.namespace = match value("namespace") {
            Some(namespace) => Some(namespace.parse().map_err(|why| wrong("--namespace", why))?),
            None => None,
        };
    }
    args.sources = sources;
    args.source_api = source_api(&value)?;
    args.may_be_empty = true;
    if flags.all().any(|(flag, _)| flag.starts_with("emitter")) || flags.last("emitter").is_none() {
        args.notes.push(
            "the emitter is a program of its own: run `emitter` with the --emitter flags"
                .to_owned(),
        );
    }
    Ok(args)
}

/// The ConfigMap that its flag took its value from, read as it is by now: flags of ours,
/// so that its users need no restart.
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
        "import": {"labels": ["*"], "annotations": ["*"]},
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
        each: Each(each),
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

/// An address as Go writes it: without a host it is every one.
fn address(text: &str) -> Result<SocketAddr, Error> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match host {
        "" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.parse(),
    };
    let ip = ip.map_err(|why| wrong("--listen", format!("{text:?}: {why}")))?;
    let port = port.parse();
    let port = port.map_err(|why| wrong("--listen", format!("{text:?}: {why}")))?;
    Ok(SocketAddr::new(ip, port))
}

fn log_level(text: &str) -> Result<runtime::LogFilter, Error> {
    let level = match text {
        "all" => "trace",
        "none" => "off",
        "debug" | "info" | "warn" | "error" => text,
        _ => {
            let words = format!(
                "log level {text} unknown; possible values are: all, debug, info, warn, error, none"
            );
            return Err(Error::Words(words));
        }
    };
    level.parse().map_err(|why| wrong("--log-level", why))
}
