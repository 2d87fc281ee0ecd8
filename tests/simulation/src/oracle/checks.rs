//! Checks of the whole state, which writes do not cause.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::{
    BYSTANDER, Inner, MIRRORS, Oracle, SETTLE, is_managed, is_of_import, mirror_name, original,
    ready, service_of,
};
use crate::plan::Expected;
use crate::settings::Scene;
use crate::truth::Key;

/// Time in which a silent source is noticed and its endpoints are changed.
const NOTICED: Duration = Duration::from_secs(15);

impl Inner {
    /// Returns whether an endpoint of a source's Service is gone for too long to serve still.
    pub(super) fn is_late(
        &self,
        (source, service): (&str, &Key),
        address: &str,
        now: Duration,
    ) -> bool {
        let (Some(truth), Some(heard)) = (self.sources.get(source), self.heard(source, now)) else {
            return false;
        };
        let gone = truth.gone_since(service, address);
        gone.is_some_and(|it| it.max(heard) + SETTLE < now)
    }
}

impl Oracle {
    /// Checks that endpoints of a source which is silent for too long are not ready.
    pub(crate) fn check_stale(&self) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        let Some(limit) = inner.settings.not_ready_after else {
            return;
        };
        let limit = Duration::from_secs(limit) + NOTICED;
        let is_late = |source: &str| inner.down.get(source).is_some_and(|it| *it + limit < now);
        let mirrors = inner.services.iter();
        let mirrors = mirrors.filter(|(_, it)| original(it).is_some_and(|it| is_late(it.0)));
        let serving = mirrors.filter(|(mirror, _)| !inner.ready(mirror).is_empty());
        let serving: Vec<String> = serving.map(|(mirror, _)| mirror.1.clone()).collect();
        for mirror in serving {
            let what = format!("{mirror} has ready endpoints");
            inner.violate("no stale endpoint serves", now, what);
        }
    }

    /// Checks what a schedule expects. The number of writes is that at the storm's begin.
    pub(crate) fn expect(&self, expected: Expected, n_writes: u64, sources: &BTreeSet<String>) {
        if expected == Expected::Exact {
            return self.check_convergence(sources);
        }
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        let mirrors = || {
            let mirrors = inner.services.iter();
            mirrors.filter(|(_, it)| original(it).is_some())
        };
        let slices = || {
            let all = inner.slices.values();
            all.filter(|it| mirrors().any(|(mirror, _)| mirror.1 == service_of(it)))
        };
        let endpoints = |it: &Value| it["endpoints"].as_array().map_or(0, Vec::len);
        let n_mirrors = mirrors().count();
        let (n_imports, n_imported) = Self::count_imports(&inner);
        let n_ready: usize = slices().map(|it| ready(it).len()).sum();
        let n_endpoints: usize = slices().map(endpoints).sum();
        let n_writes = inner.judged.writes - n_writes;
        let is_met = match expected {
            Expected::Exact => true,
            Expected::Mirrors(n) => n_mirrors == n,
            Expected::LeastMirrors(n) => n <= n_mirrors,
            Expected::Ready(n) => n_ready == n,
            Expected::LeastReady(n) => n <= n_ready,
            Expected::Endpoints(n) => n_endpoints == n,
            Expected::Writes(n) => n_writes <= n,
            Expected::Imports(n) => n_imports == n,
            Expected::LeastImports(n) => n <= n_imports,
            Expected::Imported(n) => n_imported == n,
        };
        if !is_met {
            let what = format!(
                "expected {expected:?}; there are {n_mirrors} mirrors, {n_ready} ready endpoints \
                 of {n_endpoints}, {n_imports} imports with {n_imported} ready endpoints, and \
                 {n_writes} writes"
            );
            inner.violate("the documentation is right", now, what);
        }
    }

    /// Checks that no endpoint serves which is gone for too long.
    pub(crate) fn check_endpoints(&self) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        let mut late = Vec::new();
        for (mirror, service) in &inner.services {
            let Some((source, original)) = original(service) else {
                continue;
            };
            for address in inner.ready(mirror) {
                if inner.is_late((source, &original), &address, now) {
                    late.push(format!("{}/{} still has {address}", mirror.0, mirror.1));
                }
            }
        }
        for what in late {
            inner.violate("no dead endpoint serves", now, what);
        }
    }

    /// Checks that mirrors are exactly what the sources export.
    pub(crate) fn check_convergence(&self, sources: &BTreeSet<String>) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        let scene = inner.settings.scene;
        if !matches!(scene, Scene::Mirrors | Scene::Imports) {
            let missing = scene.missing(&inner.services, |it| inner.ready(it));
            if let Some(what) = missing {
                inner.violate("everything converges", now, what);
            }
            return;
        }
        let mut wanted = BTreeMap::new();
        for (name, truth) in &inner.sources {
            if !sources.contains(name) {
                continue;
            }
            for (service, exported) in truth.exported() {
                let mirror = mirror_name(name, service, exported.alias.as_deref());
                let mirror = (MIRRORS.to_owned(), mirror);
                wanted.insert(mirror, (ports(&exported.spec), truth.ready(service)));
            }
        }
        let mut wrong = Vec::new();
        for (mirror, (ports_there, ready_there)) in &wanted {
            let Some(here) = inner.services.get(mirror) else {
                wrong.push(format!("{} is missing", mirror.1));
                continue;
            };
            if ports(&here["spec"]) != *ports_there {
                wrong.push(format!("{} has other ports", mirror.1));
            }
            let ready_here = inner.ready(mirror);
            if ready_here != *ready_there {
                let name = &mirror.1;
                wrong.push(format!("{name} has {ready_here:?}, not {ready_there:?}"));
            }
        }
        let surplus = inner.services.iter();
        let surplus = surplus.filter(|(it, object)| {
            is_managed(object) && !is_of_import(object) && !wanted.contains_key(*it)
        });
        wrong.extend(surplus.map(|(it, _)| format!("{} is left over", it.1)));
        let bystander = (MIRRORS.to_owned(), BYSTANDER.to_owned());
        if !inner.services.contains_key(&bystander) {
            wrong.push("the unmanaged Service is gone".to_owned());
        }
        for what in wrong {
            inner.violate("everything converges", now, what);
        }
        drop(inner);
        self.check_imports(sources);
    }
}

fn ports(spec: &Value) -> Vec<(String, u64)> {
    let ports = spec["ports"].as_array().into_iter().flatten();
    let port = |it: &Value| {
        let name = it["name"].as_str().unwrap_or_default().to_owned();
        (name, it["port"].as_u64().unwrap_or_default())
    };
    ports.map(port).collect()
}
