//! The floor: sends what it is told to everybody who connected, and does nothing else.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// The largest frame: what fits a datagram, by which it is told.
const MAX_FRAME: usize = 60_000;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// Serves indefinitely: frames come as datagrams to the same address. Each goes so many times to
/// every connection, at once, as to the streams that share it.
pub(crate) async fn serve(
    address: SocketAddr,
    (cert, key): (&Path, &Path),
    n_streams: usize,
) -> anyhow::Result<()> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(address).await?;
    let orders = UdpSocket::bind(address).await?;
    let (sender, _) = broadcast::channel::<Arc<[u8]>>(4096);
    let mut connections = JoinSet::new();
    let mut buffer = vec![0; MAX_FRAME];
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(send(stream, acceptor.clone(), sender.subscribe()));
            }
            received = orders.recv(&mut buffer) => {
                let frame = &buffer[..received?];
                let mut chunk = format!("{:x}\r\n", frame.len()).into_bytes();
                chunk.extend_from_slice(frame);
                chunk.extend_from_slice(b"\r\n");
                let _ = sender.send(chunk.repeat(n_streams).into());
            }
        }
    }
}

async fn send(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    mut frames: broadcast::Receiver<Arc<[u8]>>,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let _ = stream.read(&mut [0; 4096]).await?;
    stream.write_all(HEAD).await?;
    loop {
        stream.write_all(&frames.recv().await?).await?;
        stream.flush().await?;
    }
}
