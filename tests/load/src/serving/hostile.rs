//! Well-behaved watchers, alone and then beside clients that do all they can to be in the
//! way: from another address of this machine, as they would come.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use http::Version;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::consumer::connector;
use super::rig::{Measured, Rig};
use super::setup::{Server, Setup};

/// Who is in the way, and who must not notice.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many well-behaved watchers there are
    #[arg(long, default_value_t = 300)]
    watchers: usize,

    /// How many changes are made, without and then with hostile clients
    #[arg(long, default_value_t = 200)]
    events: usize,

    /// How many changes a second
    #[arg(long, default_value_t = 20)]
    rate: u32,

    /// How many connections say nothing at all
    #[arg(long, default_value_t = 10_000)]
    silent: usize,

    /// How many clients there are of each other kind
    #[arg(long, default_value_t = 50)]
    others: usize,
}

const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Between two things that one hostile client does: it is to be a nuisance to the server,
/// and not to take the machine from those who are measured.
const PAUSE: Duration = Duration::from_millis(500);

/// What a hostile client does.
#[derive(Debug, Clone, Copy)]
enum Malice {
    /// Connects, and says nothing.
    Silent,
    /// Sends a head, a header at a time, and never its end.
    SlowHead,
    /// Asks for everything, and reads nothing.
    Deaf,
    /// Sends a head of a megabyte.
    HugeHead,
    /// Sends what HTTP/2 forbids.
    BadHttp2,
}

/// Measures both, and prints them.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let rig = Rig::start(&Setup::default()).await?;
    rig.fill(2000).await?;
    let alone = measure(&rig, args).await?;
    eprintln!("letting hostile clients come");
    // They have a process of their own, which yields to those who are measured: what they
    // take of the machine is not what they do to the server.
    let mut command = Command::new("nice");
    command
        .args(["-n", "19"])
        .arg(std::env::current_exe()?)
        .arg("hostile-clients")
        .arg(rig.address(Server::Emitter)?.to_string())
        .arg(rig.authority_file())
        .args([args.silent.to_string(), args.others.to_string()]);
    let _clients = rig.spawn("hostile-clients", &command)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let beside = measure(&rig, args).await?;
    print(args, &alone, &beside);
    Ok(())
}

/// Whom to be in the way of, and how many are.
#[derive(Debug, clap::Args)]
pub(crate) struct Clients {
    server: SocketAddr,
    authority: PathBuf,
    silent: usize,
    others: usize,
}

impl Clients {
    /// Goes on indefinitely.
    pub(crate) async fn play(&self) -> anyhow::Result<()> {
        let connector = connector(&std::fs::read_to_string(&self.authority)?, Version::HTTP_11)?;
        let kinds = [
            Malice::SlowHead,
            Malice::Deaf,
            Malice::HugeHead,
            Malice::BadHttp2,
        ];
        let others = kinds.iter().flat_map(|kind| vec![*kind; self.others]);
        let mut clients = JoinSet::new();
        for kind in std::iter::repeat_n(Malice::Silent, self.silent).chain(others) {
            clients.spawn(kind.play(self.server, connector.clone()));
        }
        while clients.join_next().await.is_some() {}
        Ok(())
    }
}

async fn measure(rig: &Rig, args: &Args) -> anyhow::Result<Measured> {
    let watch = rig
        .watch(Server::Emitter, args.watchers, args.events)
        .await?;
    rig.churn(args.events, Duration::from_secs(1) / args.rate.max(1))
        .await?;
    watch.finish(args.events).await
}

impl Malice {
    /// Does it again and again.
    async fn play(self, server: SocketAddr, connector: TlsConnector) {
        loop {
            let _ = self.once(server, &connector).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn once(self, server: SocketAddr, connector: &TlsConnector) -> anyhow::Result<()> {
        let mut tcp = dial(server).await?;
        match self {
            Self::Silent => {
                let mut byte = [0];
                tokio::io::AsyncReadExt::read(&mut tcp, &mut byte).await?;
                Ok(())
            }
            Self::SlowHead => {
                let mut stream = secure(tcp, connector).await?;
                stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await?;
                loop {
                    stream.write_all(b"x: y\r\n").await?;
                    stream.flush().await?;
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Self::Deaf => {
                let mut stream = secure(tcp, connector).await?;
                let ask = "GET /api/v1/services?watch=1 HTTP/1.1\r\nhost: x\r\n\r\n";
                stream.write_all(ask.as_bytes()).await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_secs(600)).await;
                Ok(())
            }
            Self::HugeHead => {
                let mut stream = secure(tcp, connector).await?;
                let head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
                stream.write_all(head.as_bytes()).await?;
                Ok(stream.flush().await?)
            }
            Self::BadHttp2 => {
                let mut stream = secure(tcp, connector).await?;
                stream
                    .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
                    .await?;
                stream.write_all(&[0xff; 65_536]).await?;
                Ok(stream.flush().await?)
            }
        }
    }
}

async fn dial(server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((HOSTILE, 0).into())?;
    socket.connect(server).await
}

async fn secure(tcp: TcpStream, connector: &TlsConnector) -> anyhow::Result<TlsStream<TcpStream>> {
    let name = rustls::pki_types::ServerName::try_from("localhost")?;
    Ok(connector.connect(name, tcp).await?)
}

#[expect(clippy::print_stdout, reason = "this is the answer")]
fn print(args: &Args, alone: &Measured, beside: &Measured) {
    println!(
        "{} well-behaved watchers, {} events to each; then beside {} silent connections and \
         {} clients each with slow heads, deaf ears, huge heads and bad HTTP/2",
        args.watchers, args.events, args.silent, args.others
    );
    println!("{:<8} {:>10} {:>10} {:>10}", "", "p50 ms", "p99 ms", "lost");
    for (name, it) in [("alone", alone), ("beside", beside)] {
        println!(
            "{name:<8} {:>10.1} {:>10.1} {:>10}",
            it.median.as_secs_f64() * 1e3,
            it.p99.as_secs_f64() * 1e3,
            it.lost
        );
    }
}
