//! Ports that nobody listens on.
//!
//! They lie below the range from which a system takes the ports of outgoing
//! connections, so that nobody gets one by chance while a server that is to come back
//! to it is down; a client that knocks there could even be connected to itself.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

const RANGE: Range<u16> = 12_000..30_000;

/// The next to try. No port comes twice in a process until all have been tried, and
/// processes of about the same time begin far from each other.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let spread = std::process::id().wrapping_mul(97) % u32::from(n_ports());
    AtomicU16::new(u16::try_from(spread).unwrap_or_default())
});

/// A port of the loopback interface on which nobody listens.
pub fn free_port() -> io::Result<u16> {
    for _ in RANGE {
        let port = RANGE.start + NEXT.fetch_add(1, Ordering::Relaxed) % n_ports();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        format!("there is no free port in {RANGE:?}"),
    ))
}

const fn n_ports() -> u16 {
    RANGE.end - RANGE.start
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_comes_twice_and_none_is_in_use() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free_port().unwrap())).unwrap();
        let taken = taken.local_addr().unwrap().port();
        let ports: BTreeSet<u16> = (0..100).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 100);
        assert!(!ports.contains(&taken));
        assert!(ports.iter().all(|port| RANGE.contains(port)));
    }
}
