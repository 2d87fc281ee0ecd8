//! HTTP/2 as no client speaks it: frames in any order, of any kind and length, on sockets of an
//! emitter. Whatever they are, somebody else is answered, and nothing of them stays.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clap::Parser;
use emitter::connections::Connections;
use emitter::limits::ConnectionLimits;
use emitter::serve::{self, End, Transport};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::requests;

/// Frames, each as four bytes and its payload: length, kind, flags, stream. A length of 255 takes
/// all that follows as it is.
pub(crate) const FRAMES: &[&str] = &[
    // A list, a watch, and a request without an end.
    "\x20\x01\x05\x01\x02\x03GET\x06\x04http\x04\x10/api/v1/services\x01\x01x",
    "\x28\x01\x05\x03\x02\x03GET\x06\x04http\x04\x18/api/v1/services?watch=1\x01\x01x",
    "\x20\x01\x04\x05\x02\x03GET\x06\x04http\x04\x10/api/v1/services\x01\x01x",
    // Headers in parts, and a field of any name.
    "\x10\x01\x01\x07\x02\x03GET\x06\x04http\x04\x03/ap\x10\x09\x04\x07i\0\x04evil\x03abc\x01\x01x",
    // Settings: of a window of nothing, of small frames, of a big table, and their acknowledgement.
    "\x06\x04\0\0\0\x04\0\0\0\0",
    "\x06\x04\0\0\0\x05\0\0\x40\0",
    "\x06\x04\0\0\0\x01\x7f\x7f\x7f\x7f",
    "\0\x04\x01\0",
    // Windows, of a stream and of the connection; a reset; a ping; a farewell.
    "\x04\x08\0\x01\0\0\0\x01",
    "\x04\x08\0\0\x7f\x7f\x7f\x7f",
    "\x04\x03\0\x01\0\0\0\x08",
    "\x08\x06\0\0abcdefgh",
    "\x08\x07\0\0\0\0\0\0\0\0\0\0",
    // Data, a priority, a push, and something of no kind.
    "\x05\0\x01\x05hello",
    "\x05\x02\0\x01\0\0\0\x01\x10",
    "\x04\x05\x04\x01\0\0\0\x02",
    "\x03\x0c\0\x01abc",
    // Something else in the place of a frame.
    "\x7fGET / HTTP/1.1\r\n\r\n",
];

/// An emitter with sockets.
struct Lab {
    address: SocketAddr,
    connections: Arc<Connections>,
    _runtime: Runtime,
}

/// The limits of an emitter without flags.
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    limits: ConnectionLimits,
}

static LAB: LazyLock<Lab> = LazyLock::new(Lab::start);

/// Longer than an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections that may be on their way to their end.
const MAX_OPEN: usize = 64;

impl Lab {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let _guard = runtime.enter();
        let served = requests::emitter();
        let limits = Flags::parse_from(["emitter"]).limits;
        let connections = Connections::new(limits, Arc::clone(&served.metrics));
        let bound = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = bound.expect("a port");
        let address = listener.local_addr().expect("an address");
        let all = Arc::clone(&connections);
        runtime.spawn(async move {
            let serving = serve::serve(
                listener,
                Transport::Plain,
                served.router.clone(),
                all,
                End::default(),
            );
            let ended = serving.await;
            drop(served);
            ended
        });
        drop(_guard);
        Self {
            address,
            connections,
            _runtime: runtime,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// Asks as everybody does, and is answered.
    fn is_answered(&self) {
        let mut client = self.connect();
        let head = "GET /api/v1/services HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        client.write_all(head.as_bytes()).expect("it reads");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).expect("it answers");
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// Waits until few connections are open.
    fn forgets(&self) {
        let deadline = Instant::now() + PATIENCE;
        while MAX_OPEN < self.connections.len() {
            let n_open = self.connections.len();
            assert!(Instant::now() < deadline, "{n_open} connections stay open");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Writes frames by what a fuzzer made of them.
fn frames(mut input: &[u8]) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    while let [length, kind, flags, stream, rest @ ..] = input {
        if *length == u8::MAX {
            bytes.extend_from_slice(&input[1..]);
            break;
        }
        let payload = &rest[..rest.len().min(usize::from(*length))];
        bytes.extend_from_slice(&[0, 0, *length, *kind, *flags, 0, 0, 0, *stream]);
        bytes.extend_from_slice(payload);
        input = &rest[payload.len()..];
    }
    bytes
}

/// Whatever a client sends, others are answered, and its connection ends with it.
pub(crate) fn conversations(data: &[u8]) {
    let lab = &*LAB;
    let mut client = lab.connect();
    // It may be cut off while it writes.
    let _ = client.write_all(&frames(data));
    lab.is_answered();
    drop(client);
    lab.forgets();
}
