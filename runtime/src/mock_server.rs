//! A server for tests that answers its n-th request with the n-th answer, byte for byte.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Access;

/// Response to a request. After the last one, requests hang.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// With a head and a whole body.
    Whole {
        head: &'static str,
        body: String,
        after: Duration,
    },
    /// With a stream of these chunks.
    Stream {
        head: &'static str,
        chunks: Vec<Vec<u8>>,
        then: Then,
    },
}

/// Event after the chunks of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The end, in order.
    End,
    /// The end, in order, after a while.
    EndLater,
    /// The end of the connection.
    Cut,
    /// Nothing.
    Silence,
}

/// The server, while this is not dropped.
pub(crate) struct MockServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _connections: JoinSet<()>,
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<String>) -> Self {
        Self::refusal("200 OK", body)
    }

    pub(crate) fn refusal(head: &'static str, body: impl Into<String>) -> Self {
        let (body, after) = (body.into(), Duration::ZERO);
        Self::Whole { head, body, after }
    }

    pub(crate) fn late(body: impl Into<String>, after: Duration) -> Self {
        let (head, body) = ("200 OK", body.into());
        Self::Whole { head, body, after }
    }

    pub(crate) fn stream(chunks: &[&str], then: Then) -> Self {
        let chunks = chunks.iter().map(|it| it.as_bytes().to_vec()).collect();
        let head = "200 OK";
        Self::Stream { head, chunks, then }
    }

    pub(crate) fn bytes(head: &'static str, chunks: Vec<Vec<u8>>, then: Then) -> Self {
        Self::Stream { head, chunks, then }
    }

    /// The same answer with another head: a status, and headers.
    pub(crate) fn with_head(self, head: &'static str) -> Self {
        match self {
            Self::Whole { body, after, .. } => Self::Whole { head, body, after },
            Self::Stream { chunks, then, .. } => Self::Stream { head, chunks, then },
        }
    }
}

impl MockServer {
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        let script = Script {
            answers: Arc::new(Mutex::new(answers.into())),
            asked: Arc::clone(&asked),
        };
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut accepted = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepted.spawn(script.clone().serve(stream));
            }
        });
        Self {
            address,
            asked,
            _connections: connections,
        }
    }

    pub(crate) fn access(&self) -> Access {
        Access::Url {
            url: self.url(""),
            authority: None,
            token: None,
            identity: None,
            proxy: None,
        }
    }

    pub(crate) fn url(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}

impl Script {
    /// One request a connection: the response has `Connection: close`.
    async fn serve(self, mut stream: TcpStream) {
        let head = read_head(&mut stream).await;
        self.asked.lock().push(head);
        let answer = self.answers.lock().pop_front();
        let _ = match answer {
            Some(Answer::Whole { head, body, after }) => {
                tokio::time::sleep(after).await;
                let length = body.len();
                let whole = format!(
                    "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                );
                stream.write_all(whole.as_bytes()).await
            }
            Some(Answer::Stream { head, chunks, then }) => {
                write_stream(&mut stream, head, chunks, then).await
            }
            None => std::future::pending().await,
        };
        let _ = stream.shutdown().await;
    }
}

async fn write_stream(
    stream: &mut TcpStream,
    head: &str,
    chunks: Vec<Vec<u8>>,
    then: Then,
) -> std::io::Result<()> {
    let head =
        format!("HTTP/1.1 {head}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    for chunk in chunks {
        let length = chunk.len();
        let framed = [format!("{length:x}\r\n").as_bytes(), &chunk, b"\r\n"].concat();
        stream.write_all(&framed).await?;
    }
    match then {
        Then::Silence => std::future::pending().await,
        Then::Cut => return Ok(()),
        Then::EndLater => tokio::time::sleep(Duration::from_millis(300)).await,
        Then::End => {}
    }
    stream.write_all(b"0\r\n\r\n").await
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}
