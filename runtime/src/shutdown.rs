//! Signals become a cancellation.

use std::io;
use std::sync::mpsc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// A token that SIGTERM or SIGINT cancels. A second signal ends the process at once.
///
/// The signals have a thread and a runtime of their own, since the second must
/// also work when the program's runtime hangs or is already gone.
pub fn on_signal() -> io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    let (ready, installed) = mpsc::channel();
    let wait = move || match Signals::install() {
        Ok((runtime, signals)) => {
            let _ = ready.send(Ok(()));
            runtime.block_on(signals.relay(&token));
            end();
        }
        Err(why) => {
            let _ = ready.send(Err(why));
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)?;
    installed.recv().map_err(io::Error::other)??;
    Ok(shutdown)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<(tokio::runtime::Runtime, Self)> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let guard = runtime.enter();
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        drop(guard);
        Ok((runtime, signals))
    }

    /// Cancels at the first signal, and returns at the second.
    async fn relay(mut self, shutdown: &CancellationToken) {
        let name = self.next().await;
        info!(signal = name, "shutting down");
        shutdown.cancel();
        let name = self.next().await;
        warn!(signal = name, "asked again: ending without waiting");
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    clippy::exit,
    reason = "whoever asks twice does not want to wait for tasks to end"
)]
fn end() {
    std::process::exit(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_cancels() {
        let shutdown = on_signal().unwrap();
        assert!(!shutdown.is_cancelled());
        let this = std::process::id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-TERM", &this])
            .status();
        assert!(kill.unwrap().success());
        shutdown.cancelled().await;
    }
}
