//! The network around all clusters, gone with its last process.
//!
//! The suite runs itself once more in network and mount namespaces of its own, and in a
//! user namespace where it is not root. Invariants: no packet gets in or out; the names
//! of network namespaces are in a file system that nobody else sees, so the kernel
//! removes all of it with the last process, however that ends.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};

use crate::network::{allow_forwarding, ip, where_ipv6};

/// The address of the world on the wire that joins the clusters: their default route.
pub(crate) const ROUTER: &str = "10.254.0.254";

/// The same for IPv6.
pub(crate) const ROUTER_6: &str = "fd00:254::ffff";

/// Set within.
const ENTERED: &str = "HELIOGRAPH_NETWORK_LAB";

/// Makes room for names of namespaces, and for a `resolv.conf` that leads there, then
/// becomes the program.
const MOVE_IN: &str = r#"
set -e
mount -t tmpfs none /run
resolv=$(readlink -m /etc/resolv.conf)
case $resolv in
/run/*) mkdir -p "${resolv%/*}" && : > "$resolv" ;;
esac
ip link set lo up
exec "$0" "$@"
"#;

/// Tries what the lab does.
const REHEARSE: &str = r"
set -e
ip netns add probe
ip link add wire type bridge
ip link add one type veth peer name other netns probe
ip netns exec probe nft add table ip probe
ip netns exec probe nft 'add chain ip probe nat { type nat hook prerouting priority 0; }'
";

/// Why the lab cannot be here.
pub(crate) fn lacks() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("there are no network namespaces; use Linux".to_owned());
    }
    let programs = [
        ("ip", "-V", "iproute2"),
        ("nft", "--version", "nftables"),
        ("unshare", "--version", "util-linux"),
        ("getent", "--version", "libc-bin"),
    ];
    for (program, flag, package) in programs {
        let mut command = Command::new(program);
        let tried = command.arg(flag).stdin(Stdio::null()).output();
        if tried.is_err() {
            return Some(format!(
                "there is no `{program}`; install it (Debian's package {package})"
            ));
        }
    }
    let rehearsal = within().args(["sh", "-c", REHEARSE]).output().ok()?;
    let words = String::from_utf8_lossy(&rehearsal.stderr);
    let why = words.trim().replace('\n', ", ");
    (!rehearsal.status.success()).then(|| {
        format!(
            "network namespaces with nftables cannot be made here ({why}); be root, or allow \
             user namespaces, on a kernel that has veth, bridge and nf_tables"
        )
    })
}

/// Becomes this same program within; comes back only if that fails.
pub(crate) fn enter() -> anyhow::Error {
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error.into(),
    };
    let mut command = within();
    command.arg(program).args(env::args_os().skip(1));
    let error = command.env(ENTERED, "1").exec();
    anyhow!(error).context("cannot run unshare")
}

/// Whether this process is within.
pub(crate) fn is_entered() -> bool {
    env::var_os(ENTERED).is_some()
}

/// Lays the wire, and routes between the clusters.
pub(crate) fn furnish() -> anyhow::Result<()> {
    ip(&format!(
        "link add wire type bridge
         link set wire up
         address add {ROUTER}/24 dev wire"
    ))?;
    ip(where_ipv6(&format!(
        "address add {ROUTER_6}/64 dev wire nodad"
    )))?;
    allow_forwarding().context("cannot route between the clusters")
}

fn within() -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "sh", "-c", MOVE_IN]);
    command
}
