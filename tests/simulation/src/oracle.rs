//! Judge of a run: knows the true history of every source, and sees every write.
//!
//! Invariants of what it judges are those of docs/simulation.md.

mod checks;
mod imports;
mod notes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use embedded_cluster::{Change, Kind};
use parking_lot::Mutex;
use serde_json::Value;

use crate::settings::{IMPORTED, Settings, first_name};
use crate::trace::Trace;
use crate::truth::{History, Key, Truth, key, label, ready, service_of};

/// Time after the last fault by which everything has converged: two half-open watches in
/// a row are noticed after 90 s each, and retries wait up to 30 s.
pub const SETTLE: Duration = Duration::from_secs(300);

/// Age that evidence may have where nothing fails: a held deletion waits for its
/// confirmation.
const FRESH: Duration = Duration::from_secs(180);

/// Namespace of mirrors.
pub(crate) const MIRRORS: &str = "mirrors";

/// Unmanaged Service in that namespace.
pub(crate) const BYSTANDER: &str = "bystander";

/// Broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Name of the invariant.
    pub invariant: &'static str,
    /// Time of the violation.
    pub at: Duration,
    /// Description.
    pub what: String,
}

/// Numbers of what was judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// Deletions of mirrors.
    pub deletions: u64,
    /// Clusters that an import lost.
    pub imports: u64,
    /// Endpoints that were removed, or became not ready.
    pub endpoints: u64,
    /// Writes of managed objects.
    pub writes: u64,
}

/// Moment at which something was made here.
#[derive(Debug, Clone, Copy)]
struct Made {
    at: Duration,
    /// The oldest moment that the evidence for it may be about.
    horizon: Duration,
}

/// State of the faults that concern a source.
#[derive(Debug, Default)]
struct Calm {
    n_faults: u32,
    /// Begin of the present or last disturbance.
    disturbed: Duration,
    /// End of the last fault.
    healed: Option<Duration>,
}

#[derive(Default)]
struct Inner {
    sources: BTreeMap<String, Truth>,
    calm: BTreeMap<String, Calm>,
    services: BTreeMap<Key, Value>,
    slices: BTreeMap<Key, Value>,
    imports: BTreeMap<Key, Value>,
    /// When a mirror, or an address of one, came to be.
    made: BTreeMap<(Key, String), Made>,
    violations: Vec<Violation>,
    judged: Judged,
    last_write: Duration,
    /// The last changes of the replica that writes.
    writers: Vec<(Duration, Arc<str>)>,
    lease_lost: Option<Duration>,
    /// Sources whose API server is down, since then.
    down: BTreeMap<String, Duration>,
    settings: Settings,
}

/// Judge of a run.
pub struct Oracle {
    inner: Mutex<Inner>,
    trace: Arc<Trace>,
    /// Whether the simulation itself writes at the moment.
    is_operator: AtomicBool,
}

impl Oracle {
    /// Creates a judge that knows no source.
    pub(crate) fn new(trace: Arc<Trace>, settings: Settings) -> Self {
        let inner = Inner {
            settings,
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            trace,
            is_operator: AtomicBool::new(false),
        }
    }

    /// Runs what an operator does, whose writes are not judged.
    pub(crate) fn as_operator<T>(&self, act: impl FnOnce() -> T) -> T {
        self.is_operator.store(true, Ordering::Relaxed);
        let done = act();
        self.is_operator.store(false, Ordering::Relaxed);
        done
    }

    /// Takes in a change of a source cluster.
    pub(crate) fn source(&self, source: &str, change: Change<'_>) {
        let now = self.trace.elapsed();
        let mut inner = self.inner.lock();
        let imports_ports = inner.settings.imports_ports;
        let truth = inner.sources.entry(source.to_owned()).or_default();
        if imports_ports {
            truth.import(&IMPORTED);
        }
        truth.change(change, now);
    }

    /// Takes in a change of the local cluster.
    pub(crate) fn local(&self, change: Change<'_>) {
        let is_judged = matches!(
            change.kind,
            Kind::Services | Kind::EndpointSlices | Kind::ServiceImports
        );
        let Some(object) = change.after.or(change.before).filter(|_| is_judged) else {
            return;
        };
        let now = self.trace.elapsed();
        let is_operator = self.is_operator.load(Ordering::Relaxed);
        let deed = match (change.before, change.after) {
            (None, _) => "created",
            (_, None) => "deleted",
            _ => "changed",
        };
        let name = key(object);
        let described = format!("{} {}/{} {deed}", change.kind.names().kind, name.0, name.1);
        self.trace.note(|| match is_operator {
            true => format!("operator: {described}"),
            false => described.clone(),
        });
        let mut inner = self.inner.lock();
        if !is_operator {
            inner.judged.writes += 1;
            inner.last_write = now;
            let before = change.before.unwrap_or(object);
            if !is_managed(before) {
                inner.violate("unmanaged objects stay", now, described);
            }
            let scene = inner.settings.scene;
            if let Some(what) = change.after.and_then(|it| scene.forbids(it)) {
                inner.violate("nothing serves that must not", now, what);
            }
        }
        match change.kind {
            Kind::Services => inner.service(change, now, is_operator),
            Kind::ServiceImports => inner.import(change, now, is_operator),
            _ => inner.slice(change, now, is_operator),
        }
    }

    /// Notes a violation that something else found.
    pub(crate) fn violate(&self, invariant: &'static str, what: String) {
        let now = self.trace.elapsed();
        self.inner.lock().violate(invariant, now, what);
    }

    /// Time of the last write of a managed object.
    pub(crate) fn last_write(&self) -> Duration {
        self.inner.lock().last_write
    }

    /// Returns what was found, and how much was judged.
    pub(crate) fn verdict(&self) -> (Vec<Violation>, Judged) {
        let inner = self.inner.lock();
        (inner.violations.clone(), inner.judged)
    }
}

impl Inner {
    fn violate(&mut self, invariant: &'static str, at: Duration, what: String) {
        // The first ones tell all that can be learned.
        if self.violations.len() < 20 {
            self.violations.push(Violation {
                invariant,
                at,
                what,
            });
        }
    }

    fn service(&mut self, change: Change<'_>, now: Duration, is_operator: bool) {
        if let Some(after) = change.after {
            let mirror = key(after);
            if change.before.is_none()
                && let Some((source, _)) = original(after)
            {
                self.make(source, &mirror, "", now);
            }
            self.services.insert(mirror, after.clone());
            return;
        }
        let Some(before) = change.before else { return };
        self.services.remove(&key(before));
        if is_operator || !is_managed(before) {
            return;
        }
        self.judged.deletions += 1;
        let Some((source, service)) = original(before) else {
            return;
        };
        let Some(truth) = self.sources.get(source) else {
            return;
        };
        let wanted = mirror_name(source, &service, truth.alias(&service));
        let history = truth.service_history(&service);
        if wanted != key(before).1 {
            // It chose another name.
            return;
        }
        if let Some(why) = self.judge(source, &key(before), "", &history, now) {
            let what = format!("mirror {} deleted; {why}", key(before).1);
            self.violate("no mirror is deleted wrongly", now, what);
        }
    }

    fn make(&mut self, source: &str, mirror: &Key, address: &str, now: Duration) {
        let horizon = self.horizon(source, now);
        let made = Made { at: now, horizon };
        self.made.insert((mirror.clone(), address.to_owned()), made);
    }

    /// Says why nothing can have been evidence of the absence of what was made here: the
    /// source has had it ever since it was first seen.
    fn judge(
        &self,
        source: &str,
        mirror: &Key,
        address: &str,
        history: &History,
        now: Duration,
    ) -> Option<String> {
        let made = self.made.get(&(mirror.clone(), address.to_owned()))?;
        let seen = history.first_there(made.horizon, made.at)?;
        let horizon = self.horizon(source, now).max(seen);
        let is_wrong = !history.lacked(horizon, now);
        is_wrong.then(|| format!("{source} has had it all the time since {horizon:?}"))
    }

    fn slice(&mut self, change: Change<'_>, now: Duration, is_operator: bool) {
        let Some(object) = change.after.or(change.before) else {
            return;
        };
        if let Some((import, source)) = imports::copied(object) {
            let source = source.to_owned();
            let before = self.imported(&import, &source);
            self.store_slice(object, change.after);
            let after = self.imported(&import, &source);
            if !is_operator {
                let place = imports::contribution(&import, &source);
                self.judge_endpoints((&source, &import), &place, (&before, &after), now);
            }
            return;
        }
        let mirror = (key(object).0, service_of(object).to_owned());
        let before = self.ready(&mirror);
        self.store_slice(object, change.after);
        if is_operator || !is_managed(object) {
            return;
        }
        let after = self.ready(&mirror);
        let Some((source, service)) = self.services.get(&mirror).and_then(original) else {
            return;
        };
        let source = source.to_owned();
        self.judge_endpoints((&source, &service), &mirror, (&before, &after), now);
    }

    fn store_slice(&mut self, object: &Value, after: Option<&Value>) {
        match after {
            Some(after) => drop(self.slices.insert(key(after), after.clone())),
            None => drop(self.slices.remove(&key(object))),
        }
    }

    /// Judges the change of ready endpoints of a source's Service at one place.
    fn judge_endpoints(
        &mut self,
        (source, service): (&str, &Key),
        mirror: &Key,
        (before, after): (&BTreeSet<String>, &BTreeSet<String>),
        now: Duration,
    ) {
        let is_stale = self.settings.not_ready_after.is_some() && !self.down.is_empty();
        let Some(truth) = self.sources.get(source) else {
            return;
        };
        let mut wrong = Vec::new();
        let mut n_judged = 0;
        let removed = before.difference(after).filter(|_| !is_stale);
        for address in removed {
            n_judged += 1;
            let history = truth.endpoint_history(service, address);
            let owner = truth.service_history(service);
            let why = self.judge(source, mirror, address, &history, now);
            let why = why.filter(|_| self.judge(source, mirror, "", &owner, now).is_some());
            wrong.extend(why.map(|it| format!("{} lost {address}; {it}", mirror.1)));
        }
        for address in after.difference(before) {
            self.make(source, mirror, address, now);
        }
        self.judged.endpoints += n_judged;
        for what in wrong {
            self.violate("no endpoint is removed wrongly", now, what);
        }
    }

    fn ready(&self, mirror: &Key) -> BTreeSet<String> {
        let slices = self.slices.values();
        let of = slices.filter(|it| key(it).0 == mirror.0 && service_of(it) == mirror.1);
        of.flat_map(ready).collect()
    }

    /// The oldest moment that evidence of a source may be about.
    fn horizon(&self, source: &str, now: Duration) -> Duration {
        let calm = self.calm.get(source);
        let disturbed = calm
            .filter(|it| 0 < it.n_faults || it.healed.is_some_and(|healed| now <= healed + SETTLE));
        disturbed
            .map_or(now, |it| it.disturbed)
            .saturating_sub(FRESH)
    }

    /// The moment since which nothing has disturbed a source.
    fn heard(&self, source: &str, now: Duration) -> Option<Duration> {
        let Some(calm) = self.calm.get(source) else {
            return Some(Duration::ZERO);
        };
        match calm.n_faults {
            0 => Some(calm.healed.unwrap_or_default().min(now)),
            _ => None,
        }
    }
}

/// Name of the mirror of a source's Service, which may have chosen it.
pub(crate) fn mirror_name(source: &str, service: &Key, alias: Option<&str>) -> String {
    alias.map_or_else(
        || format!("{source}-{}-73736d-{}", service.0, service.1),
        str::to_owned,
    )
}

/// Source and Service that a mirror stands for; nothing for other objects.
fn original(mirror: &Value) -> Option<(&str, Key)> {
    let source = label(mirror, "heliograph.dev/source")?;
    let annotations = &mirror["metadata"]["annotations"];
    let service = annotations["heliograph.dev/source-service"].as_str()?;
    let (namespace, name) = service.split_once('/')?;
    let key = (namespace.to_owned(), name.to_owned());
    let is_mirror = mirror["metadata"]["namespace"] == MIRRORS
        && label(mirror, "heliograph.dev/global").is_none();
    is_mirror.then(|| (first_name(source), key))
}

fn is_managed(object: &Value) -> bool {
    label(object, "heliograph.dev/source").is_some() || is_of_import(object)
}

/// Returns whether an object was written for a ServiceImport, or is one.
fn is_of_import(object: &Value) -> bool {
    const CLUSTER_SET: &str = "heliograph.dev/clusterset";
    let annotations = &object["metadata"]["annotations"];
    label(object, CLUSTER_SET).is_some()
        || annotations.get(CLUSTER_SET).is_some()
        || imports::copied(object).is_some()
}
