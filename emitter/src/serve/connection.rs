//! One connection, from its handshake to its end.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::debug;

use super::Transport;
use super::chunked_response::LongAnswer;
use super::http_connection::{Conversation, Handed, Http, Io};
use super::replay_stream::{Protocol, Rewound};
use super::service::{Answers, Handover, Service};
use super::write_timeout::Paced;
use crate::connections::{Connection, ConnectionSlot};
use crate::limits::ConnectionLimits;
use crate::metrics::{Limit, Metrics};

/// Parts that all connections of a server share.
pub(super) struct Server {
    pub(super) http: Http,
    pub(super) transport: Transport,
    pub(super) limits: ConnectionLimits,
    pub(super) metrics: Arc<Metrics>,
}

impl Server {
    pub(super) async fn run(
        self: Arc<Self>,
        stream: TcpStream,
        place: ConnectionSlot,
        answers: Answers,
    ) {
        // Events are small and must not wait for more of them.
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "a connection was gone before it began");
            return;
        }
        // What only lasts for a moment is not kept for as long as the connection.
        let Some(stream) = Box::pin(self.secure(stream, &place)).await else {
            return;
        };
        let connection = Arc::clone(&place.connection);
        self.answer(stream, connection, answers).await;
    }

    /// A client's bytes, once it has shaken hands.
    async fn secure(&self, stream: TcpStream, place: &ConnectionSlot) -> Option<Io> {
        let paced = Paced::new(
            stream,
            Arc::clone(&place.connection),
            self.limits.write_timeout,
            Arc::clone(&self.metrics),
        );
        let Transport::Tls(certificates) = &self.transport else {
            return Some(Box::new(paced));
        };
        let handshake = async {
            let _turn = place.handshakes.acquire().await;
            certificates.acceptor().accept(paced).await
        };
        match tokio::time::timeout(self.limits.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => {
                let (_, session) = stream.get_ref();
                let chain = session.peer_certificates().unwrap_or_default();
                *place.connection.certificates.lock() =
                    chain.iter().map(|it| it.clone().into_owned()).collect();
                Some(Box::new(stream))
            }
            Ok(Err(error)) => {
                debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                self.metrics.refused(Limit::Handshake);
                debug!("a TLS handshake took too long");
                None
            }
        }
    }

    async fn answer(&self, stream: Io, connection: Arc<Connection>, answers: Answers) {
        let deadline = Instant::now() + self.limits.header_timeout;
        let listened = tokio::select! {
            listened = Rewound::listen(stream) => listened,
            () = self.first_head(&connection, deadline) => return,
            () = connection.idle(self.limits.idle_timeout) => return,
            () = connection.closing() => return,
        };
        let Ok((protocol, mut stream)) = listened else {
            debug!("a connection broke before it asked anything");
            return;
        };
        loop {
            let conversation = self.converse(protocol, stream, &connection, answers.clone());
            let conversation = Box::pin(conversation);
            let handed = tokio::select! {
                handed = conversation => handed,
                () = self.first_head(&connection, deadline) => return,
            };
            let Some(((rest, read), response)) = handed else {
                return;
            };
            let mut answer = LongAnswer::new(rest, &read, response);
            // It has the room that the library read into.
            drop(read);
            let written = tokio::select! {
                written = answer.write() => written,
                () = connection.closed_now() => return,
            };
            if let Err(error) = written {
                debug!(%error, "a watch broke");
                return;
            }
            let (rest, read) = answer.into_parts();
            stream = Rewound::new(rest, read);
        }
    }

    /// Answers requests, to the connection's end or to an answer that leaves the library.
    async fn converse(
        &self,
        protocol: Protocol,
        stream: Rewound<Io>,
        connection: &Arc<Connection>,
        answers: Answers,
    ) -> Option<Handed> {
        let service = Service {
            connection: Arc::clone(connection),
            answers,
            handover: Handover::new(Arc::clone(stream.unflushed())),
        };
        let mut conversation = Conversation::new(&self.http, protocol, stream, service);
        tokio::select! {
            handed = conversation.next() => return conversation.leave(handed?),
            () = connection.idle(self.limits.idle_timeout) => {}
            () = connection.closing() => {}
        }
        // What is being answered comes to its end: watches are ended by their consumers'
        // entries, in their own time.
        conversation.end();
        tokio::select! {
            handed = conversation.next() => conversation.leave(handed?),
            () = connection.closed_now() => None,
        }
    }

    /// Counts the limit and returns, if the head of a request did not arrive in time.
    async fn first_head(&self, connection: &Connection, deadline: Instant) {
        let first = connection.first_request();
        if tokio::time::timeout_at(deadline, first).await.is_ok() {
            std::future::pending::<()>().await;
        }
        self.metrics.refused(Limit::Header);
        debug!("a first request took too long");
    }
}
