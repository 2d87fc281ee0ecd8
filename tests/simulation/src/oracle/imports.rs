//! ServiceImports and what each cluster contributes to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use embedded_cluster::Change;
use serde_json::Value;

use super::{Inner, Oracle};
use crate::settings::Scene;
use crate::truth::{Key, key, label, ready};

const SERVICE_NAME: &str = "multicluster.kubernetes.io/service-name";
const SOURCE_CLUSTER: &str = "multicluster.kubernetes.io/source-cluster";

/// Returns the import and the cluster of a copied EndpointSlice; nothing for other objects.
pub(super) fn copied(slice: &Value) -> Option<(Key, &str)> {
    let import = label(slice, SERVICE_NAME)?;
    Some((
        (key(slice).0, import.to_owned()),
        label(slice, SOURCE_CLUSTER)?,
    ))
}

/// Key under which the contribution of a cluster to an import is noted.
pub(super) fn contribution(import: &Key, source: &str) -> Key {
    (
        format!("{}, exported by {source}", import.0),
        import.1.clone(),
    )
}

fn clusters(import: Option<&Value>) -> BTreeSet<String> {
    let clusters = import.and_then(|it| it["status"]["clusters"].as_array());
    let names = clusters.into_iter().flatten();
    names
        .filter_map(|it| it["cluster"].as_str().map(str::to_owned))
        .collect()
}

impl Inner {
    /// Judges a change of a ServiceImport.
    pub(super) fn import(&mut self, change: Change<'_>, now: Duration, is_operator: bool) {
        let Some(object) = change.after.or(change.before) else {
            return;
        };
        let import = key(object);
        match change.after {
            Some(after) => drop(self.imports.insert(import.clone(), after.clone())),
            None => drop(self.imports.remove(&import)),
        }
        let (before, after) = (clusters(change.before), clusters(change.after));
        for source in after.difference(&before) {
            self.make(source, &contribution(&import, source), "", now);
        }
        if is_operator {
            return;
        }
        for source in before.difference(&after) {
            self.judged.imports += 1;
            let Some(truth) = self.sources.get(source) else {
                continue;
            };
            let history = truth.service_history(&import);
            let place = contribution(&import, source);
            if let Some(why) = self.judge(source, &place, "", &history, now) {
                let what = format!("import {} lost cluster {source}; {why}", import.1);
                self.violate("no import is deleted wrongly", now, what);
            }
        }
    }

    /// Ready addresses that an import has of a cluster.
    pub(super) fn imported(&self, import: &Key, source: &str) -> BTreeSet<String> {
        let slices = self.slices.values();
        let its =
            slices.filter(|it| copied(it).is_some_and(|it| it.0 == *import && it.1 == source));
        its.flat_map(ready).collect()
    }
}

impl Oracle {
    /// Number of ServiceImports, and of their ready endpoints.
    pub(super) fn count_imports(inner: &Inner) -> (usize, usize) {
        let copies = inner.slices.values().filter(|it| copied(it).is_some());
        (inner.imports.len(), copies.map(|it| ready(it).len()).sum())
    }

    /// Checks that no endpoint of an import serves which is gone for too long.
    pub(crate) fn check_imported_endpoints(&self) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        let mut late = Vec::new();
        for slice in inner.slices.values() {
            let Some((import, source)) = copied(slice) else {
                continue;
            };
            for address in ready(slice) {
                if inner.is_late((source, &import), &address, now) {
                    late.push(format!(
                        "import {} still has {address} of {source}",
                        import.1
                    ));
                }
            }
        }
        for what in late {
            inner.violate("no dead endpoint serves", now, what);
        }
    }

    /// Checks that imports are exactly what the sources export.
    pub(super) fn check_imports(&self, sources: &BTreeSet<String>) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        if inner.settings.scene != Scene::Imports {
            return;
        }
        let mut wanted: BTreeMap<Key, BTreeSet<String>> = BTreeMap::new();
        for (name, truth) in inner.sources.iter().filter(|it| sources.contains(it.0)) {
            for (service, _) in truth.exported() {
                let exporters = wanted.entry(service.clone()).or_default();
                exporters.insert(name.clone());
            }
        }
        let mut wrong = Vec::new();
        for (import, exporters) in &wanted {
            let Some(here) = inner.imports.get(import) else {
                wrong.push(format!("import {} is missing", import.1));
                continue;
            };
            let named = clusters(Some(here));
            if named != *exporters {
                wrong.push(format!(
                    "import {} names {named:?}, not {exporters:?}",
                    import.1
                ));
            }
            for source in sources {
                let truth = inner.sources.get(source);
                let there = truth.filter(|_| exporters.contains(source));
                let there = there.map(|it| it.ready(import)).unwrap_or_default();
                let here = inner.imported(import, source);
                if here != there {
                    let name = &import.1;
                    wrong.push(format!(
                        "import {name} has {here:?} of {source}, not {there:?}"
                    ));
                }
            }
        }
        let surplus = inner.imports.keys().filter(|it| !wanted.contains_key(*it));
        wrong.extend(surplus.map(|it| format!("import {} is left over", it.1)));
        for what in wrong {
            inner.violate("everything converges", now, what);
        }
    }
}
