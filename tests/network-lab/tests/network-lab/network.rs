//! Network namespaces, and threads within them.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, ensure};

/// What a command line begins with that is to run within a namespace.
pub(crate) fn exec_in(namespace: &str) -> [&str; 4] {
    ["ip", "netns", "exec", namespace]
}

/// Runs lines of `ip`, up to the first that fails.
pub(crate) fn ip(lines: &str) -> anyhow::Result<()> {
    run_ip(&[], lines)
}

/// Runs lines of `ip` within a namespace, up to the first that fails.
pub(crate) fn ip_in(namespace: &str, lines: &str) -> anyhow::Result<()> {
    run_ip(&["-n", namespace], lines)
}

fn run_ip(flags: &[&str], lines: &str) -> anyhow::Result<()> {
    let mut child = Command::new("ip")
        .args(flags)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run ip")?;
    let mut input = child.stdin.take().context("ip has an input")?;
    input.write_all(lines.as_bytes())?;
    input.write_all(b"\n")?;
    drop(input);
    let output = child.wait_with_output()?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip: {why}\n{flags:?}\n{lines}");
    Ok(())
}

/// Lets this thread's namespace pass on what is for others.
pub(crate) fn allow_forwarding() -> std::io::Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    if has_ipv6() {
        fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// Whether this kernel has IPv6, for namespaces too.
pub(crate) fn has_ipv6() -> bool {
    let is_off = fs::read_to_string("/proc/sys/net/ipv6/conf/default/disable_ipv6");
    is_off.is_ok_and(|it| it.trim() == "0")
}

/// Lines of `ip` for where there is IPv6; none elsewhere.
pub(crate) fn where_ipv6(lines: &str) -> &str {
    if has_ipv6() { lines } else { "" }
}

/// Acts on a thread of its own within a namespace. A socket that it makes stays there,
/// whoever uses it later.
pub(crate) fn within<T: Send>(
    namespace: &str,
    act: impl FnOnce() -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let acted = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            enter(namespace)?;
            act()
        });
        thread.join()
    });
    acted.map_err(|_| anyhow!("a thread within {namespace} panicked"))?
}

/// Moves this thread into a namespace, for good.
#[cfg(target_os = "linux")]
pub(crate) fn enter(namespace: &str) -> anyhow::Result<()> {
    use std::os::fd::AsFd;

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    let file = fs::File::open(format!("/run/netns/{namespace}"))
        .with_context(|| format!("there is no namespace {namespace}"))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("cannot enter {namespace}"))
}

/// Moves this thread into a namespace, for good.
#[cfg(not(target_os = "linux"))]
pub(crate) fn enter(namespace: &str) -> anyhow::Result<()> {
    anyhow::bail!("there is no namespace {namespace}: this is not Linux")
}
