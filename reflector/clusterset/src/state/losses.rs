//! Hands to the deletion holds of clusters what the clusters lost.

use std::collections::{BTreeMap, HashSet};

use proto_types::ObjectKey;
use proto_types::label::RELEASE;
use reflector_planner::hold::{Judged, Left, Mirrored};
use reflector_planner::{HoldReason, MirrorKey};

use super::{AffectedKeys, ClusterSet};
use crate::cluster::{Cluster, Contribution};
use crate::id::ClusterId;
use crate::known::Change;
use crate::local::LocalState;
use crate::losses::Part;

/// Request to list a resource of a cluster again, because deletions are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelistRequest {
    /// The cluster.
    pub cluster: ClusterId,
    /// The resource.
    pub part: Part,
}

/// Kind of news by which a cluster has or lacks something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A completed list whose absences count.
    List,
    /// Single objects.
    Event,
    /// Nothing about objects.
    Contact,
}

impl By {
    pub(super) const fn of<K, T>(change: &Change<K, T>) -> Self {
        match change {
            Change::Listed(_) => Self::List,
            Change::ListedUnconfirmed(_) | Change::Applied(..) | Change::Deleted(_) => Self::Event,
            Change::Connected | Change::Disconnected => Self::Contact,
        }
    }
}

impl ClusterSet {
    /// Returns the lists to request again since the last call.
    pub fn relist_requests(&mut self) -> Vec<RelistRequest> {
        std::mem::take(&mut self.doubts)
    }

    /// Returns the clusters whose deletions for an import are held, and why.
    #[must_use]
    pub fn held(&self, import: &ObjectKey) -> BTreeMap<ClusterId, HoldReason> {
        let held = self.clusters.iter().filter_map(|(id, cluster)| {
            let why = match cluster.contribution(import) {
                Contribution::Held(why, _) => why,
                Contribution::None | Contribution::Invalid(..) => return None,
                Contribution::Unknown | Contribution::Exported(..) => {
                    cluster.losses.hold(Part::Slices).holds(import)?
                }
            };
            has_contributed(&self.local, id, Part::Exports, import).then(|| (id.clone(), why))
        });
        held.collect()
    }

    /// Tells the holds of a cluster what became of the objects that a change touched. Returns
    /// the imports whose deletions are held from now on.
    pub(super) fn weigh(
        &mut self,
        id: &ClusterId,
        part: Part,
        by: By,
        affected: &[ObjectKey],
    ) -> Vec<ObjectKey> {
        // The local API server speaks for itself.
        if *id == self.settings.local {
            return Vec::new();
        }
        let mut held = Vec::new();
        match by {
            By::Contact => return held,
            By::List => self.evaluate(id, part, true),
            By::Event => {
                for key in affected {
                    held.extend(self.weigh_one(id, part, key));
                }
            }
        }
        if let Some(cluster) = self.clusters.get_mut(id) {
            cluster.losses.prune();
        }
        held
    }

    fn weigh_one(&mut self, id: &ClusterId, part: Part, key: &ObjectKey) -> Vec<ObjectKey> {
        let (local, now) = (&self.local, self.now);
        let Some(cluster) = self.clusters.get_mut(id) else {
            return Vec::new();
        };
        if cluster.has(part, key) {
            cluster.losses.hold_mut(part).has(key);
            return Vec::new();
        }
        // The endpoints of an export that goes, go with it.
        let goes = matches!(
            cluster.contribution(key),
            Contribution::None | Contribution::Invalid(..)
        );
        if !cluster.is_listed(part)
            || !local.is_listed()
            || (part == Part::Slices && goes)
            || !has_contributed(local, id, part, key)
        {
            return Vec::new();
        }
        let left = Left {
            n: n_left(cluster, part),
            exists: |key: &ObjectKey, _: &MirrorKey| has_contributed(local, id, part, key),
            confirms: self.settings.confirm_deletions,
        };
        let hold = cluster.losses.hold_mut(part);
        let held = hold.event(lost(key), &left, now);
        if is_released(local, key) {
            hold.release(key);
        }
        held.iter().map(|it| it.object().clone()).collect()
    }

    /// Compares the last list of a resource with what the cluster contributed to imports.
    fn evaluate(&mut self, id: &ClusterId, part: Part, is_new: bool) {
        let local = &self.local;
        let Some(cluster) = self.clusters.get_mut(id) else {
            return;
        };
        if *id == self.settings.local || !cluster.is_listed(part) || !local.is_listed() {
            return;
        }
        let imports = local.imports.data().into_iter().flatten();
        let imports = imports.map(|(key, _)| key).chain(local.with_slices());
        let contributed: HashSet<&ObjectKey> = imports
            .filter(|it| has_contributed(local, id, part, it))
            .collect();
        let n_contributed = contributed.len();
        let gone = contributed.into_iter().filter(|it| !cluster.has(part, it));
        let gone: HashSet<Mirrored> = gone.map(lost).collect();
        let released = gone.iter().filter(|it| is_released(local, &it.service));
        let released: Vec<_> = released.map(|it| it.service.clone()).collect();
        let mut hold = std::mem::take(cluster.losses.hold_mut(part));
        hold.clear(|it| cluster.has(part, it));
        let list = Judged {
            gone: &gone,
            n_left: n_contributed - gone.len(),
            confirms: self.settings.confirm_deletions,
            is_new,
        };
        hold.list(&list, self.now);
        for key in &released {
            hold.release(key);
        }
        *cluster.losses.hold_mut(part) = hold;
    }

    /// Judges the lists that came before the local cluster was listed.
    pub(super) fn evaluate_all(&mut self) {
        let ids: Vec<_> = self.clusters.keys().cloned().collect();
        for id in &ids {
            for part in Part::ALL {
                self.evaluate(id, part, false);
            }
        }
    }

    /// Continues the deletion of imports with that annotation.
    pub(super) fn release(&mut self, imports: &AffectedKeys) {
        let local = &self.local;
        for key in imports.iter().filter(|it| is_released(local, it)) {
            for cluster in self.clusters.values_mut() {
                for part in Part::ALL {
                    cluster.losses.hold_mut(part).release(key);
                }
            }
        }
    }

    /// Asks again for the lists that held deletions long enough.
    pub(super) fn request_relists_of_held(&mut self) {
        let (now, hold) = (self.now, self.settings.deletion_hold);
        for (id, cluster) in &mut self.clusters {
            for part in Part::ALL {
                if cluster.losses.hold_mut(part).tick(now, hold) {
                    self.doubts.push(RelistRequest {
                        cluster: id.clone(),
                        part,
                    });
                }
            }
            cluster.losses.prune();
        }
    }
}

/// Returns whether an import has something of a cluster, as the local cluster records it.
fn has_contributed(local: &LocalState, id: &ClusterId, part: Part, import: &ObjectKey) -> bool {
    let is_its = |it: &crate::local::CopiedSlice| it.cluster.as_ref() == Some(id);
    let mut slices = local.slices_of(import);
    let has_slices = slices.any(|(_, it)| it.shows.as_ref().is_some_and(is_its));
    has_slices || (part != Part::Slices && local.names(import, id))
}

/// Returns the number of imports to which a cluster contributes now.
fn n_left(cluster: &Cluster, part: Part) -> usize {
    let Some(exports) = cluster.exports.data() else {
        return 0;
    };
    match part {
        Part::Exports => exports.len(),
        Part::Services | Part::Slices => {
            let has = exports.keys().filter(|it| cluster.has(part, it));
            has.count()
        }
    }
}

fn is_released(local: &LocalState, import: &ObjectKey) -> bool {
    let import = local.imports.data().and_then(|it| it.get(import));
    import.is_some_and(|it| it.annotations.get(RELEASE) == Some("true"))
}

fn lost(import: &ObjectKey) -> Mirrored {
    Mirrored {
        service: import.clone(),
        local: MirrorKey::new(import.clone()),
    }
}
