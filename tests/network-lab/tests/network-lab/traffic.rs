//! Requests, and what became of them.
//!
//! Invariants: each request is a connection of its own, so each is balanced again; a request is
//! lost when there is no whole answer to it; there is a limit to how many are sent.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{anyhow, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::network::{enter, within};

/// The port of every pod's server.
pub(crate) const POD_PORT: u16 = 8080;

/// Requests, one after the other, until it is told to end.
pub(crate) struct Traffic {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<Tally>>>,
}

/// What became of requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) n_sent: usize,
    /// By the name of the pod.
    pub(crate) answers: BTreeMap<String, Answers>,
    pub(crate) losses: Vec<String>,
}

/// What one pod answered.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) n: usize,
    /// When the last request to it began.
    pub(crate) last: Instant,
}

const PAUSE: Duration = Duration::from_millis(5);
/// More than a machine that is shared stands still for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A scenario's time at that pace, and then some.
const MOST: usize = 30_000;

impl Traffic {
    /// Sends from a namespace until [`Traffic::end`].
    pub(crate) fn start(namespace: &str, server: SocketAddr) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let namespace = namespace.to_owned();
        let thread = thread::spawn(move || {
            enter(&namespace)?;
            let mut tally = Tally::default();
            while !told.load(Ordering::Relaxed) && tally.n_sent < MOST {
                tally.send(server);
                thread::sleep(PAUSE);
            }
            Ok(tally)
        });
        Self {
            is_over,
            thread: Some(thread),
        }
    }

    /// Sends nothing more.
    pub(crate) fn end(mut self) -> anyhow::Result<Tally> {
        self.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take();
        let ended = thread.map(JoinHandle::join);
        ended.map_or_else(
            || Ok(Tally::default()),
            |it| it.unwrap_or_else(|_| Err(anyhow!("the thread that sends panicked"))),
        )
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Tally {
    /// Sends so many requests from a namespace.
    pub(crate) fn of(namespace: &str, server: SocketAddr, n: usize) -> anyhow::Result<Self> {
        within(namespace, || {
            let mut tally = Self::default();
            for _ in 0..n {
                tally.send(server);
            }
            Ok(tally)
        })
    }

    fn send(&mut self, server: SocketAddr) {
        self.n_sent += 1;
        let start = Instant::now();
        match get(server, "/") {
            Ok(pod) => {
                let answers = self
                    .answers
                    .entry(pod)
                    .or_insert(Answers { n: 0, last: start });
                answers.n += 1;
                answers.last = start;
            }
            Err(error) => {
                let (sent, after) = (self.n_sent, start.elapsed());
                self.losses
                    .push(format!("request {sent}, after {after:?}: {error}"));
            }
        }
    }

    /// Says what became of them, and fails unless each was answered, by these pods and
    /// by all of them.
    pub(crate) fn check(&self, what: &str, pods: &[&str]) -> anyhow::Result<()> {
        eprintln!("{what}: {self}");
        ensure!(self.losses.is_empty(), "{what}: {self}: {:?}", self.losses);
        let answered: Vec<&str> = self.answers.keys().map(String::as_str).collect();
        ensure!(answered == pods, "{what}: {self}");
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_answered: usize = self.answers.values().map(|it| it.n).sum();
        let (n_sent, n_lost) = (self.n_sent, self.losses.len());
        write!(f, "{n_sent} sent, {n_answered} answered")?;
        for (i, (pod, answers)) in self.answers.iter().enumerate() {
            let opening = if i == 0 { " (" } else { ", " };
            write!(f, "{opening}{pod} {}", answers.n)?;
        }
        let closing = if self.answers.is_empty() { "" } else { ")" };
        write!(f, "{closing}, {n_lost} lost")
    }
}

/// One request from this thread's namespace, with the answer's body.
pub(crate) fn get(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = std::net::TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {server}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let whole = answer.strip_prefix("HTTP/1.1 200 OK\r\n");
    let body = whole.and_then(|it| it.split_once("\r\n\r\n"));
    let body = body.ok_or_else(|| io::Error::other(format!("the answer is {answer:?}")))?;
    Ok(body.1.to_owned())
}

/// A server of a pod at an address of a namespace: it answers with the pod's name.
pub(crate) fn serve(
    namespace: &str,
    address: IpAddr,
    pod: &str,
) -> anyhow::Result<impl Future<Output = ()> + use<>> {
    let listener = within(namespace, || {
        let listener = std::net::TcpListener::bind((address, POD_PORT))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    })?;
    let listener = TcpListener::from_std(listener)?;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{pod}",
        pod.len()
    );
    let answer: Arc<[u8]> = Arc::from(answer.into_bytes());
    Ok(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(respond(stream, Arc::clone(&answer)));
            while connections.try_join_next().is_some() {}
        }
    })
}

async fn respond(mut stream: TcpStream, answer: Arc<[u8]>) {
    let mut request = [0; 1024];
    if stream.read(&mut request).await.is_ok_and(|n| 0 < n) {
        // Who hangs up counts the loss.
        let _ = stream.write_all(&answer).await;
    }
}
