//! The CIDRs of the local cluster, as its API server reports them.
//!
//! Its ServiceCIDRs, and the pod CIDRs and addresses of its nodes, belong to no other cluster:
//! endpoints in them are left out. CIDRs that may not be read are not known, and the log reports
//! that; what was read before goes on to count.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use http::Request;
use ipnet::IpNet;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// CIDRs of the local cluster; `None` before they are read.
pub(crate) type Ranges = watch::Receiver<Option<Vec<IpNet>>>;

/// Waits until others are read. A dropped call loses nothing.
pub(crate) async fn changed(ranges: &mut Option<Ranges>) {
    if let Some(ranges) = ranges
        && ranges.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

const RANGES_AT_START: Duration = Duration::from_secs(10);

/// Returns whether the CIDRs are known, or are not to be had soon.
pub(crate) fn are_known(ranges: Option<&Ranges>, started: Instant) -> bool {
    let is_read = |it: &Ranges| it.borrow().is_some();
    ranges.is_none_or(is_read) || RANGES_AT_START < started.elapsed()
}

/// Returns the CIDRs that were read last, and notes that they were seen.
pub(crate) fn learned(ranges: &mut Option<Ranges>) -> Option<Vec<IpNet>> {
    ranges.as_mut()?.borrow_and_update().clone()
}

/// Watcher of the CIDRs of the local cluster.
pub(crate) struct LocalRanges {
    client: kube::Client,
    services: BTreeSet<IpNet>,
    nodes: BTreeSet<IpNet>,
    ranges: watch::Sender<Option<Vec<IpNet>>>,
    has_warned: bool,
}

/// Reason for which a list was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unread {
    /// The API server has no such list, or does not give it.
    Refused(String),
    /// It may answer later.
    Failed,
}

const SERVICE_CIDRS: &str = "/apis/networking.k8s.io/v1/servicecidrs?limit=500";
const NODES: &str = "/api/v1/nodes?limit=500";
// A cluster gets further ones rarely.
const REFRESH: Duration = Duration::from_mins(5);
const RETRY: Duration = Duration::from_secs(15);
const RETRY_FIRST: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_PAGES: usize = 100;

impl LocalRanges {
    /// Watcher, and what it reads.
    pub(crate) fn new(client: kube::Client) -> (Self, Ranges) {
        let (ranges, read) = watch::channel(None);
        let reader = Self {
            client,
            services: BTreeSet::new(),
            nodes: BTreeSet::new(),
            ranges,
            has_warned: false,
        };
        (reader, read)
    }

    /// Reads once, and returns what is known then.
    pub(crate) async fn read_once(mut self) -> Vec<IpNet> {
        self.read().await;
        self.services.union(&self.nodes).copied().collect()
    }

    /// Reads again and again.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let read = async {
            loop {
                let again = self.read().await;
                tokio::time::sleep(again).await;
            }
        };
        tokio::select! {
            () = read => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Reads once; returns after which time to read again.
    async fn read(&mut self) -> Duration {
        let services = self.list(SERVICE_CIDRS, service_cidrs).await;
        let nodes = self.list(NODES, node_ranges).await;
        let mut refused = Vec::new();
        let mut has_failed = false;
        for (list, known) in [(services, &mut self.services), (nodes, &mut self.nodes)] {
            match list {
                Ok(ranges) => *known = ranges,
                Err(Unread::Refused(why)) => refused.push(why),
                Err(Unread::Failed) => has_failed = true,
            }
        }
        self.warn(&refused);
        // Before everything is read that may be, no mirror is written for a while.
        if has_failed && self.ranges.borrow().is_none() {
            return RETRY_FIRST;
        }
        let all: Vec<_> = self.services.union(&self.nodes).copied().collect();
        self.ranges.send_if_modified(|it| {
            let is_new = it.as_ref() != Some(&all);
            if is_new {
                info!(n_ranges = all.len(), "read the CIDRs of the local cluster");
            }
            *it = Some(all);
            is_new
        });
        if has_failed { RETRY } else { REFRESH }
    }

    fn warn(&mut self, refused: &[String]) {
        if !refused.is_empty() && !std::mem::replace(&mut self.has_warned, true) {
            let why = refused.join("; ");
            warn!(
                why,
                "cannot read CIDRs of the local cluster: sources can lead to addresses in them, except \
                 for those of localCIDRs"
            );
        }
    }

    async fn list(
        &self,
        path: &str,
        read: fn(&Value) -> Vec<IpNet>,
    ) -> Result<BTreeSet<IpNet>, Unread> {
        let mut ranges = BTreeSet::new();
        let mut next = String::new();
        for _ in 0..MAX_PAGES {
            let request = Request::get(format!("{path}{next}")).body(Vec::new());
            let request = request.map_err(|why| Unread::Refused(why.to_string()))?;
            let list = tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await;
            let list = match list.map_err(|_| Unread::Failed)? {
                Ok(list) => list,
                Err(kube::Error::Api(status)) if matches!(status.code, 403..=405) => {
                    return Err(Unread::Refused(status.message.clone()));
                }
                Err(_) => return Err(Unread::Failed),
            };
            let items = list["items"].as_array().into_iter().flatten();
            ranges.extend(items.flat_map(read));
            match list["metadata"]["continue"].as_str() {
                None | Some("") => return Ok(ranges),
                Some(token) => next = format!("&continue={token}"),
            }
        }
        Ok(ranges)
    }
}

/// Returns the CIDRs of a ServiceCIDR.
#[must_use]
pub fn service_cidrs(object: &Value) -> Vec<IpNet> {
    texts(&object["spec"]["cidrs"])
        .filter_map(|it| it.parse().ok())
        .collect()
}

/// Returns the pod CIDRs and the addresses of a node.
#[must_use]
pub fn node_ranges(node: &Value) -> Vec<IpNet> {
    let pods = texts(&node["spec"]["podCIDRs"]).filter_map(|it| it.parse().ok());
    let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
    let addresses = addresses.filter_map(|it| it["address"].as_str()?.parse::<IpAddr>().ok());
    pods.chain(addresses.map(IpNet::from)).collect()
}

fn texts(values: &Value) -> impl Iterator<Item = &str> {
    values
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{node_ranges, service_cidrs};

    #[test]
    fn the_ranges_of_services_and_nodes_are_read() {
        let cidr = json!({"spec": {"cidrs": ["10.96.0.0/12", "fd00:96::/112", "nonsense"]}});
        let ranges = ["10.96.0.0/12", "fd00:96::/112"].map(|it| it.parse().unwrap());
        assert_eq!(service_cidrs(&cidr), ranges);
        let node = json!({
            "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]},
            "status": {"addresses": [
                {"type": "InternalIP", "address": "192.168.0.7"},
                {"type": "Hostname", "address": "node-7"},
            ]},
        });
        let ranges = ["10.244.1.0/24", "192.168.0.7/32"].map(|it| it.parse().unwrap());
        assert_eq!(node_ranges(&node), ranges);
        assert!(node_ranges(&json!({})).is_empty());
    }
}
