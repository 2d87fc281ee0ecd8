//! The client of probes: it connects, sends requests, and measures.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::{Failure, Latency, MAGIC, Probed};
use crate::args;

/// Time between two attempts while the client waits for a first answer.
const AGAIN: Duration = Duration::from_millis(100);

/// Maximum length of the first line of an answer in bytes.
const MAX_HEAD: usize = 400;

/// Probes all targets at once.
pub(crate) async fn all(asked: &args::Connect) -> Vec<Probed> {
    let probes = asked.targets.iter().map(|target| one(target, asked));
    futures::future::join_all(probes).await
}

/// Probes a target; until the time of `--wait` is over, a failure is tried again.
async fn one(target: &str, asked: &args::Connect) -> Probed {
    let deadline = Instant::now() + asked.wait.unwrap_or_default();
    loop {
        let probed = probe(target, asked).await;
        if probed.is_well() || deadline <= Instant::now() {
            return probed;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn probe(target: &str, asked: &args::Connect) -> Probed {
    let mut probed = Probed {
        target: target.to_owned(),
        addresses: Vec::new(),
        sent: asked.requests,
        answered: 0,
        failure: None,
        latency: None,
        large_failure: None,
        servers: Vec::new(),
    };
    let addresses = match resolve(target, asked.timeout).await {
        Ok(addresses) => addresses,
        Err(why) => {
            probed.failure = Some(why);
            return probed;
        }
    };
    probed.addresses = addresses.iter().map(|it| it.ip().to_string()).collect();
    let (mut times, mut servers) = (Vec::new(), BTreeSet::new());
    for address in addresses.iter().cycle().take(asked.requests) {
        let started = Instant::now();
        match request(*address, 0, asked).await {
            Ok(server) => {
                times.push(started.elapsed());
                servers.extend(server);
            }
            Err(why) => probed.failure = Some(why),
        }
    }
    probed.answered = times.len();
    probed.latency = Latency::of(times);
    if 0 < probed.answered && 0 < asked.bytes && !asked.tcp_only {
        let large = request(addresses[0], asked.bytes, asked).await;
        probed.large_failure = large.err();
    }
    probed.servers = servers.into_iter().collect();
    probed
}

async fn resolve(target: &str, patience: Duration) -> Result<Vec<SocketAddr>, Failure> {
    let found = timeout(patience, lookup_host(target)).await;
    let found = found.map_err(|_| Failure::Timeout)?;
    let found: Vec<_> = found.map_err(|_| Failure::Unresolved)?.collect();
    match found.is_empty() {
        true => Err(Failure::Unresolved),
        false => Ok(found),
    }
}

/// Connects and requests that many bytes; returns the name of the server, if requested.
async fn request(
    address: SocketAddr,
    n_bytes: usize,
    asked: &args::Connect,
) -> Result<Option<String>, Failure> {
    let exchange = async {
        let mut stream = TcpStream::connect(address)
            .await
            .map_err(|it| failure(&it))?;
        if asked.tcp_only {
            return Ok(None);
        }
        let line = format!("{MAGIC} {n_bytes}\n");
        stream
            .write_all(line.as_bytes())
            .await
            .map_err(|it| failure(&it))?;
        let mut answer = Vec::new();
        let limit = n_bytes + MAX_HEAD;
        let mut limited = stream.take(u64::try_from(limit).unwrap_or(u64::MAX));
        limited
            .read_to_end(&mut answer)
            .await
            .map_err(|it| failure(&it))?;
        server(&answer, n_bytes).map(Some)
    };
    timeout(asked.timeout, exchange)
        .await
        .unwrap_or(Err(Failure::Timeout))
}

/// Reads an answer, and returns the name of the server.
fn server(answer: &[u8], n_bytes: usize) -> Result<String, Failure> {
    if answer.is_empty() {
        return Err(Failure::Closed);
    }
    let end = answer.iter().position(|it| *it == b'\n');
    let end = end.ok_or(Failure::Stranger)?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut words = head.splitn(3, ' ');
    if words.next() != Some(MAGIC) || words.next() != Some(&n_bytes.to_string()) {
        return Err(Failure::Stranger);
    }
    match answer.len() - end - 1 < n_bytes {
        true => Err(Failure::Closed),
        false => Ok(words.next().unwrap_or_default().to_owned()),
    }
}

fn failure(error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::ConnectionRefused => Failure::Refused,
        ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable => Failure::Unreachable,
        ErrorKind::TimedOut => Failure::Timeout,
        _ => Failure::Closed,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    use super::{all, server};
    use crate::args::Connect;
    use crate::probe::{Failure, MAX_BYTES, serve};

    fn asked(targets: Vec<String>) -> Connect {
        Connect {
            targets,
            requests: 4,
            timeout: std::time::Duration::from_secs(2),
            bytes: MAX_BYTES,
            tcp_only: false,
            wait: None,
        }
    }

    async fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        (listener, address)
    }

    #[tokio::test]
    async fn a_server_answers_with_its_name_and_large_answers_are_complete() {
        let (listener, address) = listener().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(serve::serve(listener, "pod-1".to_owned()));
        let name = address.replace("127.0.0.1", "localhost");
        let probed = all(&asked(vec![address, name])).await;
        for it in &probed {
            assert!(it.is_well(), "{it:?}");
            assert_eq!((it.answered, &*it.servers), (4, &["pod-1".to_owned()][..]));
            let latency = it.latency.unwrap();
            assert!(latency.min <= latency.median && latency.median <= latency.max);
        }
    }

    #[tokio::test]
    async fn each_failure_has_its_own_name() {
        let (closed, refused) = listener().await;
        drop(closed);
        let (silent, timeout) = listener().await;
        let (stranger, strange) = listener().await;
        let mut tasks = JoinSet::<()>::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = stranger.accept().await.unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400\n")
                    .await
                    .unwrap();
                tokio::io::AsyncWriteExt::shutdown(&mut stream)
                    .await
                    .unwrap();
                let mut rest = Vec::new();
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await;
            }
        });
        let unknown = "no-such-name.invalid:80".to_owned();
        let mut asked = asked(vec![refused, timeout.clone(), strange, unknown]);
        asked.timeout = std::time::Duration::from_millis(300);
        let probed = all(&asked).await;
        let failures: Vec<_> = probed.iter().map(|it| it.failure.unwrap()).collect();
        let refused = [Failure::Refused, Failure::Timeout, Failure::Stranger];
        assert_eq!(failures[..3], refused);
        // Without any DNS server the lookup itself has no answer.
        assert!([Failure::Unresolved, Failure::Timeout].contains(&failures[3]));
        asked.targets = vec![timeout];
        asked.tcp_only = true;
        assert!(all(&asked).await[0].is_well(), "it accepts connections");
        drop(silent);
    }

    #[test]
    fn a_short_answer_is_closed() {
        assert_eq!(server(b"heliograph-probe 3 a\n...", 3), Ok("a".to_owned()));
        assert_eq!(server(b"heliograph-probe 3 a\n..", 3), Err(Failure::Closed));
        assert_eq!(server(b"heliograph-probe 4 a\n", 3), Err(Failure::Stranger));
        assert_eq!(server(b"", 3), Err(Failure::Closed));
    }
}
