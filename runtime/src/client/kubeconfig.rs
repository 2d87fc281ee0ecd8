//! Kubeconfigs, read with the rules of client-go.
//!
//! A file is first parsed without types and tidied: an empty or null value is an unset
//! one, relative paths start at the file's directory, and base64 may have line breaks.
//! Only then it is read as a [`Kubeconfig`].

mod server;
mod tidy;
mod user;

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{Cluster, KubeConfigOptions, Kubeconfig, KubeconfigError};
use proto_types::escape;
use serde_json::Value;

use super::error::Invalid;
use super::token::TokenSource;
use super::{Error, Parts, inline, is_protected, proxy};
use crate::certificate;

/// Returns the parts of a client for a context of a kubeconfig.
pub(super) async fn parts(path: &Path, context: Option<&str>) -> Result<Parts, Error> {
    parts_of(path, context, read(path)?).await
}

/// Returns the same for a kubeconfig that may have inline data only.
pub(super) async fn inline_parts(path: &Path) -> Result<Parts, Error> {
    let (kubeconfig, files) = read(path)?;
    inline::check(path, &kubeconfig)?;
    parts_of(path, None, (kubeconfig, files)).await
}

/// Returns the same for a kubeconfig that is no file, by its current context.
pub(super) async fn provided_parts(origin: &str, text: &str) -> Result<Parts, Error> {
    let path = Path::new(origin);
    let read = serde_json::from_str(text).and_then(|mut document| {
        tidy::tidy(&mut document, Path::new(""));
        serde_json::from_value(document)
    });
    let kubeconfig = read.map_err(|why| Error::Malformed {
        path: path.to_owned(),
        why: why.to_string(),
    })?;
    parts_of(path, None, (kubeconfig, Vec::new())).await
}

async fn parts_of(
    path: &Path,
    context: Option<&str>,
    (mut kubeconfig, mut files): (Kubeconfig, Vec<PathBuf>),
) -> Result<Parts, Error> {
    files.extend(files_of(&kubeconfig));
    let context = choose(path, &kubeconfig, context)?;
    let refuse = |why| Error::Invalid {
        path: path.to_owned(),
        context: context.clone(),
        why,
    };
    let written = settle(&mut kubeconfig, &context).map_err(refuse)?;
    let place = format!("proxy-url in kubeconfig {}", path.display());
    let proxy = written.proxy.as_deref().map(|it| proxy::parse(it, &place));
    let proxy = proxy.transpose()?;
    let options = KubeConfigOptions {
        context: Some(context),
        ..KubeConfigOptions::default()
    };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|source| invalid(path, source))?;
    config.proxy_url = proxy;
    if let Some(told) = config
        .auth_info
        .exec
        .as_mut()
        .and_then(|it| it.cluster.as_mut())
    {
        // A plugin may look its cluster up by the address in the file.
        (told.server, told.proxy_url) = (written.server, written.proxy);
    }
    if inline::has_secret(&config) && !is_protected(&config.cluster_url) {
        return Err(Error::PlainSecret {
            path: path.to_owned(),
            server: escape::without_user_info(&config.cluster_url.to_string()).into_owned(),
        });
    }
    let token = token(&mut config)?;
    Ok(Parts {
        config,
        token,
        files,
    })
}

/// Takes the token file of a user. As in client-go, it precedes a token beside it, which
/// counts while the file cannot be read.
fn token(config: &mut Config) -> Result<Option<TokenSource>, Error> {
    use secrecy::ExposeSecret;

    let user = &mut config.auth_info;
    let Some(file) = user.token_file.take() else {
        return Ok(None);
    };
    let beside = user.token.take();
    user.exec = None;
    let beside = beside.as_ref().map(|it| it.expose_secret());
    TokenSource::open_or(Path::new(&file), beside).map(Some)
}

/// Values of a cluster in the file in whose place another one is used.
#[derive(Default)]
struct Overrides {
    server: Option<String>,
    proxy: Option<String>,
}

/// Makes what kube takes literally mean what client-go reads, for the cluster and the user
/// of a context.
fn settle(kubeconfig: &mut Kubeconfig, context: &str) -> Result<Overrides, Invalid> {
    let mut contexts = kubeconfig.contexts.iter();
    let chosen = contexts.find(|it| it.name == context);
    let Some(chosen) = chosen.and_then(|it| it.context.clone()) else {
        return Ok(Overrides::default());
    };
    let mut users = kubeconfig.auth_infos.iter_mut();
    let user = users.find(|it| Some(&it.name) == chosen.user.as_ref());
    let mut user = user.and_then(|it| it.auth_info.as_mut());
    let mut clusters = kubeconfig.clusters.iter_mut();
    let cluster = clusters.find(|it| it.name == chosen.cluster);
    let Some(cluster) = cluster.and_then(|it| it.cluster.as_mut()) else {
        // kube reports it.
        return Ok(Overrides::default());
    };
    let has_certificate = user
        .as_ref()
        .is_some_and(|it| it.client_certificate.is_some() || it.client_certificate_data.is_some());
    let written = settle_cluster(cluster, &chosen.cluster, has_certificate)?;
    if let Some(user) = user.as_mut() {
        user::settle(chosen.user.as_deref().unwrap_or_default(), user)?;
    }
    Ok(written)
}

fn settle_cluster(
    cluster: &mut Cluster,
    name: &str,
    has_certificate: bool,
) -> Result<Overrides, Invalid> {
    let has_authority =
        cluster.certificate_authority.is_some() || cluster.certificate_authority_data.is_some();
    let is_insecure = cluster.insecure_skip_tls_verify == Some(true);
    if has_authority && is_insecure {
        return Err(Invalid::InsecureWithAuthority(name.to_owned()));
    }
    let scheme = if has_authority || is_insecure || has_certificate {
        "https"
    } else {
        "http"
    };
    let Some(server) = cluster.server.take() else {
        return Err(Invalid::NoServer(name.to_owned()));
    };
    cluster.server = Some(server::normalized(&server, scheme)?);
    settle_authority(cluster, name)?;
    Ok(Overrides {
        server: Some(server),
        proxy: cluster.proxy_url.take(),
    })
}

/// Leaves out what is no certificate, as Go does, as long as one is. kube reports what cannot be
/// read.
fn settle_authority(cluster: &mut Cluster, name: &str) -> Result<(), Invalid> {
    use base64::Engine;

    let data = cluster.certificate_authority_data.as_deref();
    let Some(text) = super::stack::content(data, &cluster.certificate_authority) else {
        return Ok(());
    };
    let good = certificate::read(&text);
    if good.is_empty() {
        return Err(Invalid::NoCertificates(name.to_owned()));
    }
    let pem = certificate::pem(&good);
    let encoded = base64::engine::general_purpose::STANDARD.encode(pem);
    cluster.certificate_authority_data = Some(encoded);
    Ok(())
}

/// Reads a file, or several that are merged, separated as in the variable `KUBECONFIG`;
/// returns also which they are.
fn read(path: &Path) -> Result<(Kubeconfig, Vec<PathBuf>), Error> {
    let parts: Vec<_> = std::env::split_paths(path)
        .filter(|it| !it.as_os_str().is_empty())
        .collect();
    if path.exists() || parts.len() < 2 {
        return Ok((read_one(path)?, vec![path.to_owned()]));
    }
    let mut merged = Kubeconfig::default();
    let mut is_found = false;
    for part in &parts {
        match read_one(part) {
            // kubectl does not mind files that are not there, as long as one is.
            Err(Error::ReadKubeconfig { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(next) => {
                is_found = true;
                merged = merged.merge(next).map_err(|why| invalid(part, why))?;
            }
        }
    }
    if is_found {
        Ok((merged, parts))
    } else {
        Err(Error::ReadKubeconfig {
            path: path.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }
}

fn read_one(path: &Path) -> Result<Kubeconfig, Error> {
    let text = std::fs::read(path).and_then(|it| tidy::decoded(&it));
    let text = text.map_err(|source| Error::ReadKubeconfig {
        path: path.to_owned(),
        source,
    })?;
    // Below its first line the parser quotes the file, which may hold secrets.
    let malformed = |why: String| Error::Malformed {
        path: path.to_owned(),
        why: why.lines().next().unwrap_or_default().to_owned(),
    };
    // As for kubectl, the last of several values of one key counts.
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(&text, options)
        .map_err(|why| malformed(why.to_string()))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut merged = Kubeconfig::default();
    for mut document in documents {
        if document.is_null() {
            continue;
        }
        tidy::tidy(&mut document, directory);
        let next = serde_json::from_value(document).map_err(|why| {
            // Only the typed parser of YAML names the line.
            let located = Kubeconfig::from_yaml(&text).err();
            malformed(located.map_or_else(|| why.to_string(), words))
        })?;
        merged = merged.merge(next).map_err(|why| invalid(path, why))?;
    }
    Ok(merged)
}

fn words(why: KubeconfigError) -> String {
    match why {
        KubeconfigError::Parse(why) => why.to_string(),
        why => why.to_string(),
    }
}

/// Returns the files that a kubeconfig refers to, except for tokens, which are read for
/// each request.
fn files_of(kubeconfig: &Kubeconfig) -> impl Iterator<Item = PathBuf> + use<'_> {
    let clusters = kubeconfig.clusters.iter();
    let authorities = clusters.filter_map(|it| it.cluster.as_ref()?.certificate_authority.clone());
    let users = kubeconfig.auth_infos.iter();
    let users = users.filter_map(|it| it.auth_info.as_ref());
    let identities = users.flat_map(|it| [it.client_certificate.clone(), it.client_key.clone()]);
    authorities.chain(identities.flatten()).map(PathBuf::from)
}

/// Returns the requested context, or else the current one, or else the only one.
fn choose(path: &Path, kubeconfig: &Kubeconfig, asked: Option<&str>) -> Result<String, Error> {
    let path = path.to_owned();
    let contexts = kubeconfig.contexts.iter().map(|it| it.name.as_str());
    let names: Vec<_> = contexts.clone().collect();
    let known = names.join(", ");
    // `kubectl config unset current-context` leaves an empty one.
    let current = kubeconfig.current_context.as_deref();
    let current = current.filter(|name| !name.is_empty());
    let only = names.first().copied().filter(|_| names.len() == 1);
    match asked.or(current).or(only) {
        _ if known.is_empty() => Err(Error::NoContexts { path }),
        None => Err(Error::NoContext { path, known }),
        Some(name) if contexts.clone().any(|it| it == name) => Ok(name.to_owned()),
        Some(name) => Err(Error::UnknownContext {
            path,
            context: name.to_owned(),
            known,
        }),
    }
}

fn invalid(path: &Path, source: KubeconfigError) -> Error {
    Error::Kubeconfig {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
