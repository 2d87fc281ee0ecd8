//! Finds the mirrors that a predecessor left of Services that are gone, as its own
//! synchronization at the start did.
//!
//! Only objects with its labels are listed with the prefix of a source, once for each source, and
//! after the source has been listed and all of its desired mirrors are adopted. What becomes of
//! them, the index decides.

use bytes::Bytes;
use http::Method;
use proto_types::{ObjectKey, RawObject, Resource};
use reflector_planner::{
    ExistingObject, Index, MirrorKey, Placement, Policy, SourceName, Update,
    selector_of_left_behind,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Duration, Instant};
use tracing::{debug, info};

use crate::write::{WriteResult, Writer};

/// Progress of the search for mirrors that predecessors left behind.
pub(crate) struct Sweep {
    pending: Vec<SourceName>,
    not_before: Instant,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, default)]
    items: Vec<&'a RawValue>,
}

const RETRY: Duration = Duration::from_secs(30);

impl Sweep {
    /// For the sources of a policy, where that is wanted.
    pub(crate) fn new(policy: &Policy, is_wanted: bool) -> Self {
        let prefixed = policy
            .sources()
            .iter()
            .filter(|it| is_wanted && matches!(it.placement, Placement::Prefixed { .. }));
        Self {
            pending: prefixed.map(|it| it.name.clone()).collect(),
            not_before: Instant::now(),
        }
    }

    /// The next source to look for, if it has been listed.
    pub(crate) fn due(&mut self, index: &Index) -> Option<(SourceName, String, String)> {
        if self.pending.is_empty() || Instant::now() < self.not_before {
            return None;
        }
        let policy = index.policy();
        let at = self.pending.iter().position(|name| {
            let rank = policy.rank(name, reflector_planner::Role::Mirror);
            rank.is_none_or(|it| index.source(it).services.is_synced())
        })?;
        let name = self.pending.remove(at);
        let rank = policy.rank(&name, reflector_planner::Role::Mirror)?;
        match &policy.source(rank).placement {
            Placement::Prefixed { prefix, namespace } => {
                let selector = selector_of_left_behind(prefix.as_str());
                Some((name, namespace.to_string(), selector))
            }
            Placement::SameName | Placement::Global(_) => None,
        }
    }

    /// Looks again later for what could not be listed.
    pub(crate) fn postpone(&mut self, name: SourceName) {
        self.pending.push(name);
        self.not_before = Instant::now() + RETRY;
    }
}

impl Writer {
    /// Lists what a predecessor left. Nothing is known where that fails.
    pub(crate) async fn left_behind(
        self,
        source: SourceName,
        namespace: String,
        selector: String,
    ) -> WriteResult {
        let met = self.list_left_behind(&namespace, &selector).await;
        let update = match met {
            Some(met) => {
                if !met.is_empty() {
                    info!(%source, n_services = met.len(), "found mirrors of a predecessor");
                }
                Update::LeftBehind(source, met)
            }
            None => {
                debug!(%source, "mirrors of a predecessor could not be listed");
                return WriteResult::postponed(source);
            }
        };
        WriteResult::of(MirrorKey::new(ObjectKey::new(&namespace, "")), vec![update])
    }

    async fn list_left_behind(
        &self,
        namespace: &str,
        selector: &str,
    ) -> Option<Vec<ExistingObject>> {
        let selector = selector
            .replace('=', "%3D")
            .replace(',', "%2C")
            .replace('!', "%21");
        let collection = Resource::Services.collection(Some(namespace));
        let path = format!("{collection}?labelSelector={selector}");
        let answer = self.send(Method::GET, &path, Bytes::new()).await.ok()?;
        let list: List<'_> = serde_json::from_slice(&answer).ok()?;
        let mut all = Vec::new();
        for item in list.items {
            let item = answer.slice_ref(item.get().as_bytes());
            let service = RawObject::parse(Resource::Services, &item).ok()?;
            let endpoints = self.endpoints_beside(&service.key).await;
            all.push(ExistingObject { service, endpoints });
        }
        Some(all)
    }

    /// The Endpoints of the same name; none, where they cannot be read.
    async fn endpoints_beside(&self, key: &ObjectKey) -> Option<RawObject> {
        let collection = Resource::Endpoints.collection(Some(key.namespace()));
        let path = format!("{collection}/{}", key.name());
        let answer = self.send(Method::GET, &path, Bytes::new()).await.ok()?;
        RawObject::parse(Resource::Endpoints, &answer).ok()
    }
}
