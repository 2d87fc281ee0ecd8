//! What lies between two clusters, and hears all that is said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The type of a TLS record that begins a handshake.
const HANDSHAKE: u8 = 22;

/// Carries connections to one port, and keeps what it carried.
pub(super) struct Wire {
    port: u16,
    server: u16,
    heard: Arc<Heard>,
    cut: watch::Sender<()>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Heard {
    n_connections: AtomicUsize,
    /// Whether each connection began as TLS does.
    begins: Mutex<Vec<u8>>,
    all: Mutex<Vec<u8>>,
}

impl Wire {
    pub(super) async fn to(server: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let heard = Arc::<Heard>::default();
        let (cut, _) = watch::channel(());
        let mut tasks = JoinSet::new();
        let (ears, scissors) = (Arc::clone(&heard), cut.clone());
        tasks.spawn(async move {
            let mut carried = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
                    continue;
                };
                ears.n_connections.fetch_add(1, Ordering::Relaxed);
                let mut cut = scissors.subscribe();
                let ears = Arc::clone(&ears);
                carried.spawn(async move {
                    tokio::select! {
                        () = carry(client, server, &ears) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Ok(Self {
            port,
            server,
            heard,
            cut,
            _tasks: tasks,
        })
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the server is.
    pub(super) fn server(&self) -> String {
        format!("127.0.0.1:{}", self.server)
    }

    pub(super) fn n_connections(&self) -> usize {
        self.heard.n_connections.load(Ordering::Relaxed)
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Nothing was heard that says something.
    pub(super) fn is_encrypted(&self) -> anyhow::Result<()> {
        let begins = self.heard.begins.lock();
        ensure!(!begins.is_empty(), "nothing was carried");
        ensure!(
            begins.iter().all(|it| *it == HANDSHAKE),
            "not TLS: {begins:?}"
        );
        let all = self.heard.all.lock();
        for word in ["authorization", "Bearer", "EndpointSlice", "10.1.0."] {
            let is_heard = all.windows(word.len()).any(|it| it == word.as_bytes());
            ensure!(!is_heard, "{word} can be read on the way");
        }
        Ok(())
    }
}

async fn carry(client: TcpStream, server: TcpStream, heard: &Heard) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        let mut is_first = true;
        let mut buffer = vec![0; 16 << 10];
        while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
            if std::mem::take(&mut is_first) {
                heard.begins.lock().push(buffer[0]);
            }
            heard.all.lock().extend_from_slice(&buffer[..n]);
            if to_server.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
            heard.all.lock().extend_from_slice(&buffer[..n]);
            if to_client.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! { () = there => {}, () = back => {} }
}
