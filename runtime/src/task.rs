//! Runs named tasks until shutdown or the first failure.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

// Kubernetes gives a pod 30 s from SIGTERM to SIGKILL by default.
const GRACE: Duration = Duration::from_secs(25);

type BoxError = Box<dyn Error + Send + Sync>;
type Ended = Result<(Id, Result<(), BoxError>), JoinError>;

/// The tasks that together are the program. None ends before the program does.
#[derive(Debug)]
pub struct Tasks {
    tasks: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, String>,
    shutdown: CancellationToken,
    grace: Duration,
}

/// Reason for which a program ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A task reported a failure.
    #[error("{task} failed")]
    Failed {
        /// The task's name.
        task: String,
        /// Error of the task.
        #[source]
        source: BoxError,
    },
    /// A task panicked: a bug.
    #[error("{task} panicked")]
    Panicked {
        /// The task's name.
        task: String,
        /// Error of the runtime.
        #[source]
        source: JoinError,
    },
    /// A task ended well, but too early.
    #[error("{task} ended, though nobody asked it to")]
    Ended {
        /// The task's name.
        task: String,
    },
}

impl Tasks {
    /// No tasks yet. They are expected to end soon after `shutdown` is cancelled.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            shutdown,
            grace: GRACE,
        }
    }

    /// The same, with that much time between shutdown and abortion.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Returns the token that is cancelled when the tasks must end, also after a failure of one of
    /// them.
    #[must_use]
    pub const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// Starts a task. Its name completes the sentence "… failed".
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = Result<(), impl Into<BoxError>>> + Send + 'static,
    ) {
        let task = async move { task.await.map_err(Into::into) };
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name.into());
    }

    /// Runs until shutdown or the first failure; then all tasks end, or are ended.
    pub async fn run(mut self) -> Result<(), Failure> {
        let outcome = tokio::select! {
            () = self.shutdown.cancelled() => Ok(()),
            Some(ended) = self.tasks.join_next_with_id() => self.restart_or_fail(ended),
        };
        self.shutdown.cancel();
        let ended_later = self.drain().await;
        outcome.and(ended_later)
    }

    /// Waits for the tasks that are left, and returns the first failure among them.
    async fn drain(&mut self) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + self.grace;
        let mut outcome = Ok(());
        while !self.tasks.is_empty() {
            match tokio::time::timeout_at(deadline, self.tasks.join_next_with_id()).await {
                Ok(Some(ended)) => outcome = outcome.and(self.restart_or_fail(ended)),
                Ok(None) => break,
                Err(_) => {
                    let left: Vec<_> = self.names.values().collect();
                    warn!(?left, "tasks did not end in time");
                    self.tasks.shutdown().await;
                }
            }
        }
        outcome
    }

    fn restart_or_fail(&mut self, ended: Ended) -> Result<(), Failure> {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let task = self.names.remove(&id).unwrap_or_default();
        match ended {
            Ok((_, Ok(()))) if self.shutdown.is_cancelled() => {
                debug!(task, "ended");
                Ok(())
            }
            Ok((_, Ok(()))) => Err(Failure::Ended { task }),
            Ok((_, Err(source))) => Err(Failure::Failed { task, source }),
            Err(source) => Err(Failure::Panicked { task, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    async fn until(shutdown: CancellationToken) -> io::Result<()> {
        shutdown.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn shutdown_ends_all_tasks_well() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("one", until(shutdown.clone()));
        tasks.spawn("another", until(shutdown.clone()));
        shutdown.cancel();
        tasks.run().await.unwrap();
    }

    #[tokio::test]
    async fn the_first_failure_is_the_program_s_and_ends_the_others() {
        let mut tasks = Tasks::new(CancellationToken::new());
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("one", until(shutdown.clone()));
        tasks.spawn("another", async { Err(io::Error::other("broken")) });
        let failure = tasks.run().await.unwrap_err();
        assert_eq!(failure.to_string(), "another failed");
        assert_eq!(failure.source().unwrap().to_string(), "broken");
        assert!(shutdown.is_cancelled());
    }

    #[tokio::test]
    async fn a_task_that_ends_early_is_a_failure() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("one", async { io::Result::Ok(()) });
        let failure = tasks.run().await.unwrap_err();
        assert_eq!(failure.to_string(), "one ended, though nobody asked it to");
    }

    #[tokio::test]
    async fn a_panic_names_its_task() {
        let mut tasks = Tasks::new(CancellationToken::new());
        tasks.spawn("one", async {
            if true {
                panic!("a bug");
            }
            io::Result::Ok(())
        });
        let failure = tasks.run().await.unwrap_err();
        assert_eq!(failure.to_string(), "one panicked");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_ended() {
        let shutdown = CancellationToken::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn("one", std::future::pending::<io::Result<()>>());
        shutdown.cancel();
        tasks.run().await.unwrap();
    }
}
