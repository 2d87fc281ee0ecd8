//! A way to a real server that fails on demand.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Lies before a server, and lets through what it is to.
pub(crate) struct Gate {
    pub(crate) port: u16,
    state: watch::Sender<State>,
    _tasks: JoinSet<()>,
}

/// What gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything.
    Open,
    /// Everything, piece by piece.
    Slow,
    /// Nothing, and all connections end.
    Shut,
    /// Nothing, and nobody is told.
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// Connections of another one have ended.
    age: u32,
}

const LATENCY: Duration = Duration::from_millis(200);

impl Gate {
    pub(crate) async fn before(server: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (state, states) = watch::channel(State {
            mode: Mode::Open,
            age: 0,
        });
        let server = server.to_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connect(client, server.clone(), states.clone()));
            }
        });
        Ok(Self {
            port,
            state,
            _tasks: tasks,
        })
    }

    pub(crate) fn becomes(&self, mode: Mode) {
        self.state.send_modify(|state| {
            // One that was half open is known to nobody when the way is open again.
            let ends = mode == Mode::Shut || state.mode == Mode::HalfOpen;
            state.age += u32::from(ends);
            state.mode = mode;
        });
    }

    /// Ends all connections; others may follow.
    pub(crate) fn cut(&self) {
        self.becomes(Mode::Shut);
        self.becomes(Mode::Open);
    }
}

async fn connect(client: TcpStream, server: String, states: watch::Receiver<State>) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = relay(from_client, to_server, states.clone()) => {}
        () = relay(from_server, to_client, states.clone()) => {}
        () = ended(states) => {}
    }
}

/// Waits until no connection of now may live any more.
async fn ended(mut states: watch::Receiver<State>) {
    let State { mode, age } = *states.borrow_and_update();
    if mode != Mode::Shut {
        let _ = states.wait_for(|it| it.age != age).await;
    }
}

async fn relay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, states: watch::Receiver<State>) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut piece).await {
        let mode = states.borrow().mode;
        match mode {
            Mode::Open => {}
            Mode::Slow => tokio::time::sleep(LATENCY).await,
            Mode::Shut | Mode::HalfOpen => std::future::pending().await,
        }
        if to.write_all(&piece[..n]).await.is_err() {
            return;
        }
    }
}
