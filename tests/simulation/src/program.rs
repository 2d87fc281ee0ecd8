//! Emitters and reflectors as nodes: they start, crash and end.

use std::sync::Arc;

use reflector::compat::CommandLine;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::network::{Net, Node, PORT};
use crate::truth::EXPORT;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Emitter,
    Reflector,
}

/// A program of a fleet.
pub(crate) struct Program {
    node: Node,
    net: Arc<Net>,
    role: Role,
    words: Vec<String>,
    running: Option<Process>,
}

struct Process {
    tasks: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
}

impl Program {
    /// Creates an emitter of what has the label, with further flags. It does not run yet.
    pub(crate) fn emitter<'a>(
        node: &Node,
        net: &Arc<Net>,
        more: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let export = format!("{}={}", EXPORT.0, EXPORT.1);
        let port = PORT.to_string();
        let words = [
            "--selector",
            &export,
            "--insecure-port",
            &port,
            "--secure-port",
            "0",
            "--admin-bind-address",
            "127.0.0.1:9090",
        ];
        let mut words = words.map(str::to_owned).to_vec();
        words.extend(more.into_iter().map(str::to_owned));
        Self::new(node, net, Role::Emitter, words)
    }

    /// Creates a reflector with these flags, which does not run yet.
    pub(crate) fn reflector(node: &Node, net: &Arc<Net>, words: Vec<String>) -> Self {
        Self::new(node, net, Role::Reflector, words)
    }

    fn new(node: &Node, net: &Arc<Net>, role: Role, words: Vec<String>) -> Self {
        Self {
            node: Arc::clone(node),
            net: Arc::clone(net),
            role,
            words,
            running: None,
        }
    }

    /// Changes the value of a flag for the next start.
    pub(crate) fn set(&mut self, flag: &str, value: &str) {
        let mut words = self.words.iter_mut();
        if words.any(|it| it == flag)
            && let Some(word) = words.next()
        {
            value.clone_into(word);
        }
    }

    /// Starts it, unless it runs.
    pub(crate) fn start(&mut self) {
        if self.running.is_some() {
            return;
        }
        let shutdown = CancellationToken::new();
        let network = self.net.of(&self.node);
        let (words, stop) = (self.words.clone(), shutdown.clone());
        self.net.down(&self.node, false);
        let mut tasks = JoinSet::new();
        match self.role {
            Role::Emitter => tasks.spawn(async move {
                let args = emitter::compat::parse(&words)?;
                emitter::run_on(network, args.try_into()?, stop).await
            }),
            Role::Reflector => tasks.spawn(async move {
                let environment = reflector::compat::Environment::new();
                let line = CommandLine { words, environment };
                reflector::run_on(network, line, stop).await
            }),
        };
        self.running = Some(Process { tasks, shutdown });
    }

    /// Ends it without warning.
    pub(crate) fn crash(&mut self) {
        // What is dropped is aborted.
        self.running = None;
        self.net.unplug(&self.node);
        self.net.down(&self.node, true);
    }

    /// Lets it end in order, and waits for that.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut process) = self.running.take() {
            process.shutdown.cancel();
            // Its own limits are shorter; what hangs is ended.
            let limit = std::time::Duration::from_secs(60);
            let ended = tokio::time::timeout(limit, process.tasks.join_next()).await;
            tracing::debug!(node = %self.node, ?ended, "stopped");
        }
        self.net.unplug(&self.node);
        self.net.down(&self.node, true);
    }

    /// Returns why it ended, if it did though it should run.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let process = self.running.as_mut()?;
        let ended = process.tasks.try_join_next()?;
        self.running = None;
        Some(match ended {
            Ok(Ok(())) => "without a failure".to_owned(),
            Ok(Err(error)) => format!("{error:#}"),
            Err(error) => error.to_string(),
        })
    }
}
