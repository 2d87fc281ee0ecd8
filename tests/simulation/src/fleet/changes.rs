//! Changes of clusters and programs that faults make, and clients of emitters.

use std::sync::Arc;
use std::time::Duration;

use embedded_cluster::Kind;

use super::{IMPOSTOR, Running, unmanaged};
use crate::network::Node;
use crate::oracle::MIRRORS;
use crate::plan::{Fleet, LOCAL, Way, api};
use crate::settings::NAMESPACE;

impl Running {
    /// Lets another cluster answer for a source, or the right one again.
    pub(super) fn swap(&self, source: &str, is_other: bool) {
        let server = api(if is_other { IMPOSTOR } else { source });
        let Some(spec) = self.fleet.sources.iter().find(|it| it.name == source) else {
            return;
        };
        for emitter in Fleet::emitters(spec) {
            self.net.home(&emitter, &server);
        }
        if spec.way == Way::Direct {
            self.net.host(source, vec![server]);
        }
        self.net.reset(&api(source));
        self.net.reset(&api(IMPOSTOR));
    }

    /// Restores a cluster from its backup; its API server starts for a while after that.
    pub(super) fn restore(&mut self, source: &str) {
        const START: Duration = Duration::from_secs(8);
        let Some(backup) = self.backups.get(source) else {
            return;
        };
        let (net, node) = (Arc::clone(&self.net), api(source));
        net.down(&node, true);
        let restore = || self.clusters[source].restore_unnoticed(backup);
        self.oracle.as_operator(restore);
        self.starts.spawn(async move {
            tokio::time::sleep(START).await;
            net.down(&node, false);
        });
    }

    /// Changes the port of a mirror.
    pub(super) fn edit(&self, source: &str) {
        let local = &self.clusters[LOCAL];
        let name = format!("{source}-{NAMESPACE}-73736d-s0");
        let Some(mut mirror) = local.get(Kind::Services, MIRRORS, &name) else {
            return;
        };
        mirror["apiVersion"] = "v1".into();
        mirror["kind"] = "Service".into();
        mirror["spec"]["ports"][0]["port"] = 9999.into();
        let edited = self.oracle.as_operator(|| local.put(mirror));
        edited.expect("a Service with another port is valid");
    }

    /// Puts an unmanaged Service in the place of a mirror, or deletes that Service.
    pub(super) fn usurp(&self, source: &str, begins: bool) {
        let local = &self.clusters[LOCAL];
        let name = format!("{source}-{NAMESPACE}-73736d-s0");
        self.oracle.as_operator(|| {
            local.delete(Kind::Services, MIRRORS, &name);
            if begins {
                local
                    .put(unmanaged(&name))
                    .expect("a Service of one port is valid");
            }
        });
    }

    /// Tells the judge that an API server is down, or up again.
    pub(super) fn note_down(&self, node: &Node, is_down: bool) {
        if let Some(source) = node.strip_prefix("api-") {
            self.oracle.down(source, is_down);
        }
    }

    pub(super) fn select(&mut self, node: &Node, selector: &str) {
        if let Some(program) = self.programs.get_mut(node) {
            program.crash();
            program.set("--selector", selector);
            program.start();
        }
    }

    /// Starts clients of emitters where none run.
    pub(crate) fn start_consumers(&mut self) {
        for source in &self.fleet.sources {
            self.consumers
                .start(&source.name, &self.clusters[&source.name]);
        }
    }

    /// Checks what clients of emitters have seen. Call it when nothing happens any more.
    pub(crate) fn check_consumers(&mut self) {
        for source in self.fleet.names() {
            let illegal = self.consumers.judge_end(&source);
            self.note_illegal(illegal);
        }
    }

    pub(super) fn note_illegal(&self, illegal: Vec<String>) {
        for what in illegal {
            self.oracle
                .violate("every consumer sees a legal history", what);
        }
    }
}
