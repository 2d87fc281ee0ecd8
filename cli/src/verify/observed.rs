//! Facts about the steps from an exported Service to an answered request.

use std::time::Duration;

use crate::probe::Probed;

/// Steps before the first connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The server of probes is ready.
    Started,
    /// The reflector reads the Service from the source.
    Exported,
    /// The mirror exists, with endpoints.
    Mirrored,
}

/// Facts of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    /// Namespace and name of the Service.
    pub(super) service: String,
    /// Namespace and name of the mirror.
    pub(super) mirror: String,
    /// Steps that were reached, and when.
    pub(super) reached: Vec<(Step, Duration)>,
    /// State of a pod that does not run.
    pub(super) waiting: Option<String>,
    /// Problems of the Service that the reflector reports.
    pub(super) problems: Vec<String>,
    /// Connections to each endpoint.
    pub(super) endpoints: Vec<Probed>,
    /// Connections to the ClusterIP; absent for a headless Service.
    pub(super) cluster_ip: Option<Probed>,
    /// Connections by name.
    pub(super) name: Option<Probed>,
    /// ClusterIPs of the mirror.
    pub(super) cluster_ips: Vec<String>,
}

/// Targets of the connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Targets {
    /// Addresses of endpoints.
    pub(super) endpoints: Vec<String>,
    /// The ClusterIP.
    pub(super) cluster_ip: Option<String>,
    /// The name.
    pub(super) name: String,
    /// ClusterIPs without ports.
    pub(super) cluster_ips: Vec<String>,
}

impl Targets {
    /// All targets in the order of the results.
    pub(super) fn all(&self) -> Vec<String> {
        let endpoints = self.endpoints.iter().chain(&self.cluster_ip);
        endpoints.chain([&self.name]).cloned().collect()
    }
}

impl Observed {
    /// Notes a step that was reached for the first time.
    pub(super) fn reach(&mut self, step: Step, after: Duration) {
        if !self.is_reached(step) {
            self.reached.push((step, after));
        }
    }

    /// Returns whether a step was reached.
    pub(super) fn is_reached(&self, step: Step) -> bool {
        self.time(step).is_some()
    }

    /// Returns the time until a step.
    pub(super) fn time(&self, step: Step) -> Option<Duration> {
        let found = self.reached.iter().find(|it| it.0 == step);
        found.map(|it| it.1)
    }

    /// Takes the results of all targets.
    pub(super) fn take(&mut self, targets: &Targets, probed: Vec<Probed>) {
        self.waiting = None;
        self.cluster_ips.clone_from(&targets.cluster_ips);
        for it in probed {
            if targets.cluster_ip.as_ref() == Some(&it.target) {
                self.cluster_ip = Some(it);
            } else if targets.name == it.target {
                self.name = Some(it);
            } else {
                self.endpoints.push(it);
            }
        }
    }
}
