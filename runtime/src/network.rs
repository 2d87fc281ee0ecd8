//! Network of a program: the system's sockets, or connections within the process.
//!
//! A simulation runs whole programs in one process. It gives each of them a [`Virtual`]
//! network, which decides where a request arrives and what happens to it on the way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::{self, Access};
use crate::listen::Error;
use crate::{admin, listen};

/// Network of a program.
#[derive(Clone, Default)]
pub enum Network {
    /// Sockets of the operating system.
    #[default]
    System,
    /// Connections within this process.
    Virtual(Arc<dyn Virtual>),
}

/// Connections within a process.
pub trait Virtual: Send + Sync {
    /// Returns a client for the server behind an access.
    fn client(&self, access: &Access, user_agent: &str) -> Client;

    /// Passes requests to `router` from now on, as if it listened on that address.
    fn serve(&self, address: SocketAddr, router: Router, shutdown: CancellationToken);
}

impl Network {
    /// Builds a client for a cluster, as [`client::connect`] does.
    pub async fn connect(
        &self,
        access: &Access,
        user_agent: &str,
    ) -> Result<Client, client::Error> {
        match self {
            Self::System => client::connect(access, user_agent).await,
            Self::Virtual(network) => Ok(network.client(access, user_agent)),
        }
    }
}

/// Place where a program accepts requests.
pub enum Listener {
    /// A socket.
    Socket(TcpListener),
    /// An address of a virtual network.
    Virtual(Arc<dyn Virtual>, SocketAddr),
}

impl Network {
    /// Listens on an address, which came from that flag.
    pub fn listen(&self, address: SocketAddr, flag: &'static str) -> Result<Listener, Error> {
        Ok(match self {
            Self::System => Listener::Socket(listen::bind(address, flag)?),
            Self::Virtual(network) => Listener::Virtual(Arc::clone(network), address),
        })
    }
}

impl Listener {
    /// Returns its address, with the port that the system chose.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Socket(listener) => listener.local_addr(),
            Self::Virtual(_, address) => Ok(*address),
        }
    }

    /// Serves until `shutdown`, then lets requests end.
    pub async fn serve(self, router: Router, shutdown: CancellationToken) -> io::Result<()> {
        match self {
            Self::Socket(listener) => admin::serve(listener, router, shutdown).await,
            Self::Virtual(network, address) => {
                network.serve(address, admin::within_machine(router), shutdown.clone());
                shutdown.cancelled().await;
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Virtual(_) => "Virtual",
        })
    }
}
