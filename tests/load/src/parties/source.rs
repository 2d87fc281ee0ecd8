//! Hostile sources: servers that send what no API server sends.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::programs::free_address;

/// What a hostile source does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Malice {
    /// Lists an object whose namespace is long and of long characters.
    LongNames,
    /// Lists an object that is nested without end.
    Nested,
    /// Lists 400 MiB at once.
    Huge,
    /// Lists page after page.
    EndlessPages,
    /// Lists pages that lead back to the first.
    RepeatedPages,
    /// Lists many items of one character.
    TinyItems,
    /// Lists 20 000 Services.
    ManyServices,
    /// Sends a byte now and then.
    Slow,
    /// Answers with a head without end.
    HugeHead,
    /// Watches with a line without end.
    EndlessLine,
    /// Watches with Services without end.
    EndlessEvents,
    /// Lists what has a name twice, and numbers that nothing holds.
    Odd,
}

impl Malice {
    pub(super) const ALL: [Self; 12] = [
        Self::LongNames,
        Self::Nested,
        Self::Huge,
        Self::EndlessPages,
        Self::RepeatedPages,
        Self::TinyItems,
        Self::ManyServices,
        Self::Slow,
        Self::HugeHead,
        Self::EndlessLine,
        Self::EndlessEvents,
        Self::Odd,
    ];
}

/// Addresses of hostile sources that do not listen yet.
pub(crate) struct Trouble {
    all: Vec<SocketAddr>,
}

/// Addresses for one of each kind.
pub(crate) fn troubles() -> anyhow::Result<Trouble> {
    let all = Malice::ALL.iter().map(|_| free_address());
    let all = all.collect::<Result<_, _>>()?;
    Ok(Trouble { all })
}

impl Trouble {
    /// The arguments of the command that starts them.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = String> {
        self.all.iter().map(ToString::to_string)
    }

    /// One that is slow, and one that sends without end.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let kinds = [Malice::Slow, Malice::EndlessEvents];
        let all = Malice::ALL.iter().zip(&self.all);
        let some = all.filter(|(it, _)| kinds.contains(it));
        some.map(|(_, address)| *address).collect()
    }
}

/// Where hostile sources listen, one of each kind, in order.
#[derive(Debug, clap::Args)]
pub(crate) struct Sources {
    addresses: Vec<SocketAddr>,
}

impl Sources {
    /// Serves indefinitely.
    pub(crate) async fn play(&self) -> anyhow::Result<()> {
        let mut serving = JoinSet::new();
        for (malice, address) in Malice::ALL.into_iter().zip(&self.addresses) {
            let listener = TcpListener::bind(address).await?;
            serving.spawn(malice.serve(listener));
        }
        while let Some(ended) = serving.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// The size of what is sent at once.
const CHUNK: usize = 64 << 10;

/// Between two small things.
const PAUSE: Duration = Duration::from_millis(50);

impl Malice {
    async fn serve(self, listener: TcpListener) -> io::Result<Infallible> {
        let mut answering = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await?;
            answering.spawn(async move {
                // The client hangs up when it has enough.
                let _ = self.answer(stream).await;
            });
            while answering.try_join_next().is_some() {}
        }
    }

    async fn answer(self, mut stream: TcpStream) -> io::Result<()> {
        let head = read_head(&mut stream).await?;
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        if target.contains("watch=true") {
            return self.watch(&mut stream).await;
        }
        if !target.contains("/services") && !target.contains("/endpointslices") {
            return whole(&mut stream, "404 Not Found", "{}").await;
        }
        self.list(&mut stream, &target).await
    }

    async fn list(self, stream: &mut TcpStream, target: &str) -> io::Result<()> {
        let is_services = target.contains("/services");
        match self {
            Self::LongNames => {
                let name = "\u{e9}".repeat(40_000);
                let items = [item("web", &name), item(&name, "demo")].join(",");
                whole(stream, "200 OK", &page(&items, "")).await
            }
            Self::Nested => {
                let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
                let item = item("web", "demo").replace("{}", &format!("{{\"x\":{deep}}}"));
                whole(stream, "200 OK", &page(&item, "")).await
            }
            Self::Huge => {
                begin(stream, 400 << 20).await?;
                for _ in 0..(400 << 20) / CHUNK {
                    stream.write_all(&[b' '; CHUNK]).await?;
                }
                Ok(())
            }
            Self::EndlessPages => {
                let (_, n) = target.split_once("continue=t").unwrap_or(("", "0"));
                let n = n.parse::<u64>().unwrap_or_default();
                let items: Vec<_> = (0..1000)
                    .map(|i| item(&format!("p{n}-{i}"), "demo"))
                    .collect();
                whole(
                    stream,
                    "200 OK",
                    &page(&items.join(","), &format!("t{}", n + 1)),
                )
                .await
            }
            Self::RepeatedPages => whole(stream, "200 OK", &page("", "again")).await,
            Self::TinyItems => whole(stream, "200 OK", &page(&"0,".repeat(8 << 20), "")).await,
            Self::ManyServices if is_services => {
                let items: Vec<_> = (0..20_000)
                    .map(|i| item(&format!("s{i}"), "demo"))
                    .collect();
                whole(stream, "200 OK", &page(&items.join(","), "")).await
            }
            Self::Slow | Self::HugeHead => self.drip(stream).await,
            Self::Odd => {
                let item = r#"{"metadata":{"name":"a","name":"b","namespace":"demo","uid":"u","resourceVersion":"18446744073709551615"},"spec":{"ports":[{"port":1e999},{"port":-1},{"port":99999999999}],"ports":[]}}"#;
                whole(stream, "200 OK", &page(item, "")).await
            }
            Self::ManyServices | Self::EndlessLine | Self::EndlessEvents => {
                whole(stream, "200 OK", &page("", "")).await
            }
        }
    }

    /// Sends without end, and says nothing.
    async fn drip(self, stream: &mut TcpStream) -> io::Result<()> {
        if self == Self::Slow {
            begin(stream, 1 << 20).await?;
            loop {
                stream.write_all(b" ").await?;
                tokio::time::sleep(PAUSE).await;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
        loop {
            let header = format!("x: {}\r\n", "y".repeat(1000));
            stream.write_all(header.as_bytes()).await?;
        }
    }

    async fn watch(self, stream: &mut TcpStream) -> io::Result<()> {
        begin(stream, 1 << 40).await?;
        match self {
            Self::EndlessLine => loop {
                stream.write_all(&[b' '; CHUNK]).await?;
            },
            Self::EndlessEvents => {
                for i in 0_u64.. {
                    let object = item(&format!("e{i}"), "demo");
                    let event = format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n");
                    stream.write_all(event.as_bytes()).await?;
                }
                Ok(())
            }
            _ => std::future::pending().await,
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

async fn begin(stream: &mut TcpStream, length: u64) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await
}

async fn whole(stream: &mut TcpStream, code: &str, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {code}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn page(items: &str, token: &str) -> String {
    let items = items.trim_end_matches(',');
    format!(
        r#"{{"kind":"List","apiVersion":"v1","metadata":{{"resourceVersion":"7","continue":"{token}"}},"items":[{items}]}}"#
    )
}

fn item(name: &str, namespace: &str) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"u-{name}","resourceVersion":"5"}},"spec":{{"ports":[{{"name":"http","port":80,"protocol":"TCP"}}]}},"status":{{}}}}"#
    )
}
