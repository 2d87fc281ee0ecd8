//! A server that answers lists with what it was given, as no API server would.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What a stub answers.
pub(super) enum Answers {
    /// Nothing, while connections stay open.
    Nothing,
    /// A page for people.
    Page,
    /// Lists by the last part of the path; 404 for others.
    Lists(BTreeMap<&'static str, Value>),
}

/// A running stub.
pub(super) struct Stub {
    pub(super) url: String,
    _tasks: JoinSet<()>,
}

impl Stub {
    pub(super) async fn start(answers: Answers) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let answers = Arc::new(answers);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&answers)));
            }
        });
        Ok(Self { url, _tasks: tasks })
    }
}

/// A list as an API server has it.
pub(super) fn list(kind: &str, api_version: &str, items: &[Value]) -> Value {
    json!({"kind": format!("{kind}List"), "apiVersion": api_version,
        "metadata": {"resourceVersion": "1"}, "items": items})
}

/// Answers one request after the other; a watch stays open.
async fn serve(mut stream: TcpStream, answers: Arc<Answers>) {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut piece).await {
        head.extend_from_slice(&piece[..n]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let request = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        let target = request.split(' ').nth(1).unwrap_or_default();
        let answer = answer(target, &answers);
        let is_watch = target.contains("watch=true") || target.contains("watch=1");
        if answer.is_empty() || stream.write_all(answer.as_bytes()).await.is_err() || is_watch {
            std::future::pending::<()>().await;
        }
    }
}

/// An answer; an empty one is none.
fn answer(target: &str, answers: &Answers) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let whole = |status: &str, kind: &str, body: &str| {
        let n = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {n}\r\n\r\n{body}")
    };
    match answers {
        Answers::Nothing => String::new(),
        Answers::Page => whole("200 OK", "text/html", "<html>Log in</html>"),
        Answers::Lists(lists) => match lists.get(last) {
            None => whole("404 Not Found", "text/plain", "404 page not found\n"),
            Some(_) if target.contains("watch=") => {
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: \
                 chunked\r\n\r\n"
                    .to_owned()
            }
            Some(list) => whole("200 OK", "application/json", &list.to_string()),
        },
    }
}
