//! Sends a plan's steps to the local API server and tells what came of them.
//!
//! No step meets an object that is not ours: a POST is refused where there is one, and
//! a PUT or DELETE names uid and resource version of what it is about.

mod foresee;
mod refusal;
mod request;

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use proto_types::{ObjectKey, RawObject, Resource};
use reflector_planner::{
    LocalChange, LocalKey, Met, Mirror, MirrorEndpoints, MirrorService, MirrorSlice, Obstacle,
    Seen, Step, Update, Version, Write,
};
use serde_json::json;
use tracing::{debug, info};

use crate::lease::Leadership;
use crate::metrics::Metrics;
use crate::queue::Again;
use refusal::{Refusal, is_transient};

/// Writes to the local API server.
#[derive(Clone)]
pub(crate) struct Writer {
    /// The local cluster.
    pub(crate) client: kube::Client,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// Whether it may write.
    pub(crate) leadership: Leadership,
}

/// What came of the steps for a key.
#[derive(Debug)]
pub(crate) struct Written {
    /// The key.
    pub(crate) key: LocalKey,
    /// What is known by it.
    pub(crate) updates: Vec<Update>,
    /// When to try again what failed.
    pub(crate) again: Option<Again>,
    /// Why the local API server could not be asked at all.
    pub(crate) unavailable: Option<String>,
}

const NAMESPACES: &str = "/api/v1/namespaces";

impl Writer {
    /// Performs the steps in their order.
    pub(crate) async fn perform(self, key: LocalKey, steps: Vec<Step>) -> Written {
        let mut written = Written {
            key,
            updates: Vec::new(),
            again: None,
            unavailable: None,
        };
        let mut has_service = true;
        for step in steps {
            // Slices under a Service that is not ours would be taken for its own.
            if step.needs_service() && !has_service {
                continue;
            }
            let result = self.step(&step).await;
            let label = match &result {
                Ok(_) => "ok",
                Err(refusal) => refusal.reason(),
            };
            self.metrics.wrote(&step, label);
            let (verb, resource, key) = (step.write.verb(), step.resource, &step.key);
            debug!(%key, %resource, verb, result = label, "wrote");
            match result {
                Ok(updates) => {
                    let in_vain = |it: &Update| matches!(it, Update::Blocked(..));
                    if updates.iter().any(in_vain) {
                        written.again = written.again.max(Some(Again::Later));
                    }
                    written.updates.extend(updates);
                }
                Err(refusal) => {
                    has_service &= !step.makes_service();
                    debug!(%key, ?refusal, "refused");
                    self.explain(&step, refusal, &mut written).await;
                }
            }
            if written.unavailable.is_some() {
                break;
            }
        }
        written
    }

    async fn step(&self, step: &Step) -> Result<Vec<Update>, Refusal> {
        match &step.write {
            Write::Create(body) => {
                let answer = self.create(step, body).await?;
                Ok(stored(step, &answer))
            }
            Write::Update(body) => {
                let path = path(step.resource, &step.key);
                let answer = self.send(Method::PUT, &path, body.clone()).await?;
                Ok(stored(step, &parse(step.resource, &answer)?))
            }
            Write::Replace(version, body) => {
                self.delete(step, version).await?;
                let answer = self.create(step, body).await?;
                let mut updates = vec![gone(step, version)];
                updates.extend(stored(step, &answer));
                Ok(updates)
            }
            Write::Delete(version) | Write::Clear(version) => {
                self.delete(step, version).await?;
                Ok(vec![gone(step, version)])
            }
        }
    }

    async fn create(&self, step: &Step, body: &Bytes) -> Result<RawObject, Refusal> {
        let path = step.resource.collection(Some(step.key.namespace()));
        let answer = match (
            self.send(Method::POST, &path, body.clone()).await,
            &step.namespace,
        ) {
            (Err(Refusal::Status(StatusCode::NOT_FOUND, _)), Some(namespace)) => {
                self.create_namespace(namespace).await?;
                self.send(Method::POST, &path, body.clone()).await
            }
            (answer, _) => answer,
        };
        parse(step.resource, &answer?)
    }

    /// Creates a namespace that does not exist. Somebody may be faster.
    async fn create_namespace(&self, namespace: &Bytes) -> Result<(), Refusal> {
        let sent = self.send(Method::POST, NAMESPACES, namespace.clone());
        match sent.await {
            Ok(answer) => {
                let namespace = parse(Resource::Services, &answer)?.key.name().to_owned();
                info!(namespace, "created a namespace for mirrors");
                Ok(())
            }
            Err(Refusal::Status(StatusCode::CONFLICT, _)) => Ok(()),
            Err(Refusal::Status(code, status)) if !is_transient(code) => {
                Err(Refusal::Namespace(status.message))
            }
            Err(refusal) => Err(refusal),
        }
    }

    async fn delete(&self, step: &Step, version: &Version) -> Result<(), Refusal> {
        let mut options = json!({
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": version.uid},
        });
        if !matches!(step.write, Write::Clear(_)) {
            options["preconditions"]["resourceVersion"] = json!(version.revision.to_string());
        }
        let path = path(step.resource, &step.key);
        let sent = self.send(Method::DELETE, &path, options.to_string().into());
        match sent.await {
            Err(Refusal::Status(StatusCode::NOT_FOUND, _)) => Ok(()),
            other => other.map(drop),
        }
    }

    /// Finds out what a refusal means, if need be by a look at what is there.
    async fn explain(&self, step: &Step, refusal: Refusal, written: &mut Written) {
        let (code, status) = match refusal {
            Refusal::Status(code, status) => (code, status),
            Refusal::Unavailable(why) => {
                written.unavailable = Some(why);
                written.again = Some(Again::Later);
                return;
            }
            Refusal::StandingBy => {
                written.again = Some(Again::Later);
                return;
            }
            Refusal::Namespace(why) => {
                return written.blocked(step, Obstacle::NamespaceRefused(why.into()));
            }
        };
        let is_missing = code == StatusCode::NOT_FOUND;
        if is_missing && matches!(step.write, Write::Create(_) | Write::Replace(..)) {
            written.blocked(step, Obstacle::NamespaceMissing);
        } else if is_missing || code == StatusCode::CONFLICT {
            match self.look(step).await {
                Ok(Look::Ours(update) | Look::Gone(update)) => {
                    written.updates.extend(update);
                    written.again = written.again.max(Some(Again::Soon));
                }
                Ok(Look::Foreign(update, object)) => {
                    written.updates.extend(update);
                    self.meet(step, object, written).await;
                }
                Err(refusal) => written.deferred(refusal),
            }
        } else if is_transient(code) {
            written.deferred(Refusal::Status(code, status));
        } else {
            written.blocked(step, Obstacle::Refused(status.message.into()));
        }
    }

    /// Somebody else's object is there. If it is a Service, the world decides whether
    /// it may become ours, and its Endpoints belong to the question.
    async fn meet(&self, step: &Step, service: RawObject, written: &mut Written) {
        if step.resource != Resource::Services {
            return written.blocked(step, Obstacle::Occupied);
        }
        let path = path(Resource::Endpoints, &step.key);
        let endpoints = match self.send(Method::GET, &path, Bytes::new()).await {
            Ok(answer) => parse(Resource::Endpoints, &answer).map(Some),
            Err(Refusal::Status(StatusCode::NOT_FOUND, _)) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        match endpoints {
            Ok(endpoints) => {
                let met = Box::new(Met { service, endpoints });
                written.updates.push(Update::Met(met));
                written.again = written.again.max(Some(Again::Later));
            }
            // Who may not read them cannot have them go; the Service stays theirs.
            Err(Refusal::Status(code, _)) if !is_transient(code) => {
                written.blocked(step, Obstacle::Occupied);
            }
            Err(refusal) => written.deferred(refusal),
        }
    }

    /// What is there under the name of a step's object.
    async fn look(&self, step: &Step) -> Result<Look, Refusal> {
        let path = path(step.resource, &step.key);
        let answer = match self.send(Method::GET, &path, Bytes::new()).await {
            Ok(answer) => parse(step.resource, &answer)?,
            Err(Refusal::Status(StatusCode::NOT_FOUND, _)) => {
                return Ok(Look::Gone(forgotten(step)));
            }
            Err(refusal) => return Err(refusal),
        };
        Ok(match step.resource {
            Resource::Services => seen::<MirrorService>(step, &answer, Update::LocalServices),
            Resource::EndpointSlices => seen::<MirrorSlice>(step, &answer, Update::LocalSlices),
            Resource::Endpoints => seen::<MirrorEndpoints>(step, &answer, Update::LocalEndpoints),
        })
    }
}

/// What is there. The update tells the world.
enum Look {
    Ours(Option<Update>),
    Foreign(Option<Update>, RawObject),
    Gone(Option<Update>),
}

impl Written {
    fn blocked(&mut self, step: &Step, obstacle: Obstacle) {
        let key = step.key.clone();
        self.updates
            .push(Update::Blocked(step.resource, key, obstacle));
        self.again = self.again.max(Some(Again::Later));
    }

    fn deferred(&mut self, refusal: Refusal) {
        let (why, again) = match refusal {
            Refusal::StandingBy => {
                self.again = self.again.max(Some(Again::Later));
                return;
            }
            Refusal::Unavailable(why) | Refusal::Namespace(why) => (why, Again::Later),
            Refusal::Status(_, status) => {
                let details = status.details.unwrap_or_default();
                let seconds = details.retry_after_seconds.map(u64::from);
                let after = seconds.map(Duration::from_secs).map(Again::After);
                (status.message, after.unwrap_or(Again::Later))
            }
        };
        self.unavailable = Some(why);
        self.again = self.again.max(Some(again));
    }
}

fn stored(step: &Step, answer: &RawObject) -> Vec<Update> {
    let key = answer.key.clone();
    let update = match step.resource {
        Resource::Services => Update::LocalServices(now(key, answer)),
        Resource::EndpointSlices => Update::LocalSlices(now(key, answer)),
        Resource::Endpoints => Update::LocalEndpoints(now(key, answer)),
    };
    let mut updates = vec![update];
    if !step.satisfied_by(answer) {
        let overruled = Obstacle::Overruled;
        updates.push(Update::Blocked(step.resource, step.key.clone(), overruled));
    }
    updates
}

/// What an object is by an answer. One that lost our mark is not ours any more.
fn now<T: Mirror>(key: ObjectKey, answer: &RawObject) -> LocalChange<T> {
    match Seen::read(answer) {
        Seen::Foreign => LocalChange::Deleted(key, answer.revision),
        ours @ Seen::Ours(_) => LocalChange::Applied(key, ours),
    }
}

fn gone(step: &Step, version: &Version) -> Update {
    let (key, uid) = (step.key.clone(), version.uid.clone());
    match step.resource {
        Resource::Services => Update::LocalServices(LocalChange::Gone(key, uid)),
        Resource::EndpointSlices => Update::LocalSlices(LocalChange::Gone(key, uid)),
        Resource::Endpoints => Update::LocalEndpoints(LocalChange::Gone(key, uid)),
    }
}

/// What the step was about does not exist.
fn forgotten(step: &Step) -> Option<Update> {
    step.version.as_ref().map(|version| gone(step, version))
}

fn seen<T: Mirror>(step: &Step, answer: &RawObject, update: fn(LocalChange<T>) -> Update) -> Look {
    match Seen::read(answer) {
        ours @ Seen::Ours(_) => {
            let change = LocalChange::Applied(answer.key.clone(), ours);
            Look::Ours(Some(update(change)))
        }
        Seen::Foreign => Look::Foreign(forgotten(step), answer.clone()),
    }
}

fn parse(resource: Resource, answer: &Bytes) -> Result<RawObject, Refusal> {
    RawObject::parse(resource, answer).map_err(|error| Refusal::Unavailable(error.to_string()))
}

fn path(resource: Resource, key: &ObjectKey) -> String {
    let collection = resource.collection(Some(key.namespace()));
    format!("{collection}/{}", key.name())
}

#[cfg(test)]
mod tests;
