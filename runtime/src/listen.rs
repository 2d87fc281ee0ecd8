//! Binds a socket; an error names the address and the cause.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Maximum number of connections that wait to be accepted; the limit of Linux by default. A client
/// beyond it retries after a second.
const BACKLOG: u32 = 4096;

/// Error of a listening socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({flag}): {why}")]
pub struct Error {
    /// The requested address.
    pub address: SocketAddr,
    /// The flag with the address.
    pub flag: &'static str,
    why: String,
}

/// Listens on that address, which came from that flag.
pub fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, Error> {
    listen(address).map_err(|error| Error {
        address,
        flag,
        why: explain(&error),
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of the program before this one may still be coming to their end.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "address already in use; stop what listens there, or choose another".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; choose a port from 1024 up".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_flag() {
        let first = bind(([127, 0, 0, 1], 0).into(), "--admin-bind-address").unwrap();
        let address = first.local_addr().unwrap();
        let why = bind(address, "--admin-bind-address")
            .unwrap_err()
            .to_string();
        let expected =
            format!("cannot listen on {address} (--admin-bind-address): address already in use");
        assert!(why.starts_with(&expected), "{why}");
    }

    #[tokio::test]
    async fn an_address_of_another_machine_is_explained() {
        let elsewhere = ([192, 0, 2, 1], 0).into();
        let why = bind(elsewhere, "--admin").unwrap_err().to_string();
        assert!(why.ends_with("this machine has no such address"), "{why}");
    }
}
