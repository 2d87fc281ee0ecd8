//! Ports that nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

/// So many free ports of the loopback interface, all different.
pub(super) fn free<const N: usize>() -> std::io::Result<[u16; N]> {
    let mut ports = [0; N];
    // All are held until all are known, so that none comes twice.
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
