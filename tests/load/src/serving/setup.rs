//! Who serves, and how.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs::{admin_flag, free_address, has_flag};

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Apiserver,
    Emitter,
    /// An emitter behind the emitter.
    Relay,
    /// An emitter of a former version.
    Former,
    Bare,
}

/// How it is served and watched.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Setup {
    /// Watch over HTTP/2, with so many watches on each connection
    #[arg(long, value_name = "STREAMS")]
    pub(super) http2: Option<NonZeroUsize>,

    /// How long emitters may gather changes; their default if absent
    #[arg(long, value_name = "DURATION")]
    max_gather: Option<String>,

    /// Measure an emitter behind the emitter, too
    #[arg(long)]
    pub(super) relay: bool,

    /// A former emitter, which is measured in the same run
    #[arg(long, value_name = "FILE")]
    pub(super) former: Option<PathBuf>,
}

impl Setup {
    /// How watches come, in words.
    pub(crate) fn protocol(&self) -> String {
        match self.http2 {
            Some(streams) => format!("HTTP/2 with {streams} watches on each connection"),
            None => "HTTP/1.1".into(),
        }
    }
}

impl Server {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Apiserver => "kube-apiserver",
            Self::Emitter => "emitter",
            Self::Relay => "relay",
            Self::Former => "former emitter",
            Self::Bare => "bare writer",
        }
    }
}

/// An emitter that listens there, and does not know its upstream yet.
pub(super) fn emitter_at(
    program: &Path,
    listens: SocketAddr,
    (cert, key): (&Path, &Path),
    setup: &Setup,
) -> anyhow::Result<Command> {
    // Former versions had other words for the same.
    let [anonymous, batch] = if has_flag(program, "--anonymous-auth")? {
        ["--anonymous-auth", "--watch-batch-period"]
    } else {
        ["--anonymous", "--max-gather"]
    };
    let mut command = Command::new(program);
    command
        .args(["--selector=export=yes", "--fields=all", "--insecure-port=0"])
        .args([anonymous, "--bind-address=127.0.0.1"])
        .arg(format!("--secure-port={}", listens.port()))
        .arg(format!("--{}={}", admin_flag(program)?, free_address()?))
        .arg("--tls-cert-file")
        .arg(cert)
        .arg("--tls-private-key-file")
        .arg(key);
    let max_gather = setup.max_gather.iter();
    command.args(max_gather.map(|it| format!("{batch}={it}")));
    Ok(command)
}
