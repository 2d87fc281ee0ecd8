//! Where the measured programs are, and where they listen.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::anyhow;

/// A program that was built with the same profile.
pub(crate) fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let program = this.with_file_name(name);
    program
        .is_file()
        .then_some(program)
        .ok_or_else(|| anyhow!("there is no {name} beside load: build it with the same profile"))
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let port = control_plane::free_port()?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}
