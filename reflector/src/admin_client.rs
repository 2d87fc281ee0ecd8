//! Asks a running reflector, and prints what it answers.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use http::Uri;
use http_body_util::BodyExt;
use kube::client::Body;
use proto_types::{ObjectKey, escape};
use runtime::{Access, Token};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::config::Output;
use crate::explained::{Explained, explained};
use crate::status::Status;

/// Time between two requests while something is waited for.
const PERIOD: Duration = Duration::from_millis(500);

// The reflector answers from memory.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Admin ports: the default of this program, and that of a predecessor.
const PORTS: [u16; 2] = [9090, 8080];

/// Address of a reflector, and the credentials for it.
pub(crate) struct AdminAddress {
    servers: Vec<Uri>,
    token: Option<Token>,
}

impl AdminAddress {
    /// The named server, or those of the listen flags.
    pub(crate) fn new(named: Option<Uri>, listen: SocketAddr, tokens: Option<PathBuf>) -> Self {
        Self {
            servers: servers(named, listen),
            token: tokens.map(Token::File),
        }
    }
}

/// Returns the addresses at which a reflector with that admin address may serve.
pub(crate) fn servers(named: Option<Uri>, listen: SocketAddr) -> Vec<Uri> {
    if let Some(server) = named {
        return vec![server];
    }
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let others = PORTS.into_iter().filter(|port| *port != listen.port());
    let others = others.filter(|_| PORTS.contains(&listen.port()));
    let ports = std::iter::once(listen.port()).chain(others);
    let addresses = ports.map(|port| format!("http://{}", SocketAddr::new(ip, port)));
    addresses.filter_map(|it| it.parse().ok()).collect()
}

/// Requests the status of a running reflector.
pub(crate) async fn status(place: &AdminAddress) -> anyhow::Result<Status> {
    request(place, "/status").await
}

/// Returns the status of a running reflector as soon as all its sources are synced.
pub(crate) async fn synced(place: &AdminAddress, limit: Duration) -> anyhow::Result<Status> {
    let deadline = Instant::now() + limit;
    loop {
        let why = match status(place).await {
            Ok(status) if status.is_synced() => return Ok(status),
            Ok(status) => anyhow!("{status}"),
            Err(why) => why,
        };
        if deadline <= Instant::now() {
            return Err(why.context(format!("not all sources are synced after {limit:?}")));
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Requests the explanation of a Service, as mirror or import.
pub(crate) async fn explain(
    place: &AdminAddress,
    service: &ObjectKey,
) -> anyhow::Result<Vec<Explained>> {
    let services = request(place, &format!("/explain/{service}")).await?;
    // A reflector of an earlier version has no answer.
    let import = request(place, &format!("/imports/{service}")).await;
    Ok(explained(services, import.unwrap_or_default()))
}

/// Prints one answer.
pub(crate) fn print<T: Serialize + Display>(answer: &T, output: Output) -> anyhow::Result<()> {
    write(&match output {
        Output::Text => escape::lines(&answer.to_string()).into_owned(),
        Output::Json => json(answer)?,
    })
}

/// Prints what only machines read.
pub(crate) fn print_json<T: Serialize>(answer: &T) -> anyhow::Result<()> {
    write(&json(answer)?)
}

/// Prints several answers.
pub(crate) fn print_all<T: Serialize + Display>(
    answers: &[T],
    output: Output,
) -> anyhow::Result<()> {
    write(&match output {
        Output::Text => {
            let texts: Vec<_> = answers.iter().map(ToString::to_string).collect();
            escape::lines(&texts.join("\n")).into_owned()
        }
        Output::Json => json(&answers)?,
    })
}

fn json<T: Serialize>(answer: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&escape::json(answer)?)? + "\n")
}

fn write(text: &str) -> anyhow::Result<()> {
    Ok(runtime::print(text)?)
}

/// Asks the first that answers as a reflector does.
async fn request<T: DeserializeOwned>(place: &AdminAddress, path: &str) -> anyhow::Result<T> {
    let mut why = anyhow!("there is no address to ask");
    for server in &place.servers {
        match request_one(server, place.token.clone(), path).await {
            Ok(answer) => return Ok(answer),
            Err(error) => why = error,
        }
    }
    let names: Vec<_> = place.servers.iter().map(ToString::to_string).collect();
    let names = names.join(" or ");
    Err(why.context(format!(
        "cannot ask {names}: is a reflector running there? name where it listens with --server"
    )))
}

async fn request_one<T: DeserializeOwned>(
    server: &Uri,
    token: Option<Token>,
    path: &str,
) -> anyhow::Result<T> {
    let access = Access::Url {
        url: server.clone(),
        authority: None,
        token,
        identity: None,
        proxy: None,
    };
    let client = runtime::connect(&access, crate::USER_AGENT).await?;
    let request = http::Request::get(path).body(Body::empty())?;
    let answer = async {
        let response = client.send(request).await?;
        let code = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        anyhow::ensure!(code.is_success(), "it answered {code}");
        let mut answer: Value = serde_json::from_slice(&body)?;
        // What answers there may be something else.
        escape::value(&mut answer);
        Ok(serde_json::from_value(answer)?)
    };
    let answer = tokio::time::timeout(TIMEOUT, answer).await;
    answer.map_err(anyhow::Error::from).flatten()
}
