//! Where the measured programs are, and where they listen.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The flag by which a program is told where its admin port listens: former ones had
/// another word for it.
pub(crate) fn admin_flag(program: &Path) -> anyhow::Result<&'static str> {
    Ok(if has_flag(program, "--admin-bind-address")? {
        "admin-bind-address"
    } else {
        "listen"
    })
}

/// Returns whether a program's help names that flag.
pub(crate) fn has_flag(program: &Path, flag: &str) -> anyhow::Result<bool> {
    let help = Command::new(program).arg("--help").output()?;
    Ok(String::from_utf8_lossy(&help.stdout).contains(flag))
}

/// Returns a client of an address.
pub(crate) fn client(address: SocketAddr) -> anyhow::Result<kube::Client> {
    let config = kube::Config::new(format!("http://{address}").parse()?);
    Ok(kube::Client::try_from(config)?)
}
