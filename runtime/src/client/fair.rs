//! Connections that leave their thread to others between two reads.
//!
//! A server that sends without end, such as interim answers (103), would else be read for as long
//! as there is something: hyper continues until a response begins. Other sources and probes share
//! the thread.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

/// A connector of fair connections.
#[derive(Debug, Clone)]
pub(super) struct Fair<C> {
    /// Connector of the connections.
    pub(super) connector: C,
    /// Proxy that is sent the requests instead of their server. It forwards them.
    pub(super) proxy: Option<Uri>,
}

/// A connection that is read once before others have a turn.
#[derive(Debug)]
pub(super) struct Stream<S> {
    stream: S,
    is_to_proxy: bool,
    was_read: bool,
}

impl<C> Service<Uri> for Fair<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Stream<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let is_to_proxy = self.proxy.is_some();
        let connect = self.connector.call(self.proxy.clone().unwrap_or(uri));
        Box::pin(async move {
            let stream = connect.await?;
            Ok(Stream {
                stream,
                is_to_proxy,
                was_read: false,
            })
        })
    }
}

impl<S: Read + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.was_read) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.was_read = true;
        Poll::Ready(read)
    }
}

impl<S: Write + Unpin> Write for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }
}

impl<S: Connection> Connection for Stream<S> {
    fn connected(&self) -> Connected {
        let connected = self.stream.connected();
        // Requests name their server then.
        match self.is_to_proxy {
            true => connected.proxy(true),
            false => connected,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;
    use kube::client::Body;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use crate::Access;

    #[tokio::test]
    async fn a_server_without_end_leaves_the_thread_to_others() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = listener.into_std().unwrap();
        // A thread of its own, since this one is to be held up.
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).unwrap();
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let interim = "HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n".repeat(1000);
                while stream.write_all(interim.as_bytes()).await.is_ok() {}
            });
        });
        let access = Access::Url {
            url: format!("http://{address}").parse().unwrap(),
            authority: None,
            token: None,
            identity: None,
            proxy: None,
        };
        let client = crate::connect(&access, "test").await.unwrap();
        let request = Request::get("/").body(Body::empty()).unwrap();
        let ask = tokio::time::timeout(Duration::from_secs(3), client.send(request));
        let others = async {
            let mut longest = Duration::ZERO;
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(2) {
                let before = Instant::now();
                tokio::time::sleep(Duration::from_millis(10)).await;
                longest = longest.max(before.elapsed());
            }
            longest
        };
        let (answer, longest) = tokio::join!(ask, others);
        assert!(answer.is_err(), "there is no answer");
        // A thread that is held up is so for all three seconds; a busy machine takes one.
        assert!(longest < Duration::from_millis(1_900), "{longest:?}");
    }
}
