//! Sends the steps of a plan to the local API server, and returns the results.
//!
//! No step meets an object that is unmanaged: a POST is refused where there is one, and a PUT or
//! DELETE names uid and resource version of what it is about.

mod error;
mod known;
mod namespace;
mod plain;
mod preview;
pub(crate) mod rejection;
mod request;
mod result;

use bytes::Bytes;
use http::{Method, StatusCode};
use proto_types::{ObjectKey, RawObject, Resource};
use reflector_planner::{
    ExistingObject, MirrorEndpoints, MirrorKey, MirrorService, MirrorSlice, Step, Update, Version,
    Write, WriteFailure,
};
use runtime::contain;
use serde_json::json;
use tracing::{debug, error, info};

use crate::config::Habits;
use crate::leader_election::Leadership;
use crate::metrics::Metrics;
use crate::queue::Requeue;
use error::{WriteError, is_transient};
use known::{applied, forgotten, gone, seen, stored};
pub(crate) use plain::Failure;
pub(crate) use result::WriteResult;

/// Writes to the local API server.
#[derive(Clone)]
pub(crate) struct Writer {
    /// The local cluster.
    pub(crate) client: kube::Client,
    /// Counts.
    pub(crate) metrics: Metrics,
    /// Leadership; only the leader writes.
    pub(crate) leadership: Leadership,
    /// `true` if namespaces that were created for mirrors are deleted when they are empty.
    pub(crate) reaps_namespaces: bool,
}

const NAMESPACES: &str = "/api/v1/namespaces";

impl Writer {
    /// Writes by that client, as long as it is the leader.
    pub(crate) const fn new(
        client: kube::Client,
        metrics: Metrics,
        leadership: Leadership,
        habits: Habits,
    ) -> Self {
        Self {
            client,
            metrics,
            leadership,
            reaps_namespaces: habits.reaps_namespaces,
        }
    }

    /// Performs the steps in their order. A panic is a failure of this key alone.
    pub(crate) async fn perform_contained(self, key: MirrorKey, steps: Vec<Step>) -> WriteResult {
        let metrics = self.metrics.clone();
        let outcome = contain(self.perform(key.clone(), steps)).await;
        outcome.unwrap_or_else(|why| {
            metrics.panicked("write");
            error!(%key, panic = why, "write panicked");
            WriteResult {
                key,
                updates: Vec::new(),
                again: Some(Requeue::WithBackoff),
                unavailable: None,
                postponed: None,
            }
        })
    }

    /// Performs the steps in their order.
    pub(crate) async fn perform(self, key: MirrorKey, steps: Vec<Step>) -> WriteResult {
        #[cfg(test)]
        crate::planted::at("write", &key);
        let mut written = WriteResult::of(key, Vec::new());
        let mut is_emptied = false;
        let mut has_service = true;
        for step in steps {
            // Slices under a Service that is unmanaged would be taken for its own.
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
                        written.again = written.again.max(Some(Requeue::WithBackoff));
                        // What finalizers keep is not ours to write to.
                        has_service &= !matches!(step.write, Write::Replace(..));
                    }
                    is_emptied |= step.resource == Resource::Services
                        && matches!(step.write, Write::Delete(_));
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
        if is_emptied && self.reaps_namespaces {
            self.reap(written.key.object().namespace()).await;
        }
        written
    }

    async fn step(&self, step: &Step) -> Result<Vec<Update>, WriteError> {
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
                if let Some(kept) = self.delete(step, version).await? {
                    return Ok(kept);
                }
                let answer = self.create(step, body).await?;
                let mut updates = vec![gone(step, version)];
                updates.extend(stored(step, &answer));
                Ok(updates)
            }
            Write::Delete(version) | Write::Clear(version) => {
                let kept = self.delete(step, version).await?;
                Ok(kept.unwrap_or_else(|| vec![gone(step, version)]))
            }
        }
    }

    async fn create(&self, step: &Step, body: &Bytes) -> Result<RawObject, WriteError> {
        let path = step.resource.collection(Some(step.key.namespace()));
        let answer = match (
            self.send(Method::POST, &path, body.clone()).await,
            &step.namespace,
        ) {
            (Err(WriteError::Status(StatusCode::NOT_FOUND, _)), Some(namespace)) => {
                self.create_namespace(namespace).await?;
                self.send(Method::POST, &path, body.clone()).await
            }
            (answer, _) => answer,
        };
        parse(step.resource, &answer?)
    }

    /// Creates a namespace that does not exist. Another writer may be faster.
    async fn create_namespace(&self, namespace: &Bytes) -> Result<(), WriteError> {
        let sent = self.send(Method::POST, NAMESPACES, namespace.clone());
        match sent.await {
            Ok(answer) => {
                let namespace = parse(Resource::Services, &answer)?.key.name().to_owned();
                info!(namespace, "created a namespace for mirrors");
                Ok(())
            }
            Err(WriteError::Status(StatusCode::CONFLICT, _)) => Ok(()),
            Err(WriteError::Status(code, status)) if !is_transient(code, &status) => {
                Err(WriteError::Namespace(status.message))
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Deletes an object; returns what is known of it, if its finalizers keep it.
    async fn delete(
        &self,
        step: &Step,
        version: &Version,
    ) -> Result<Option<Vec<Update>>, WriteError> {
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
            Err(WriteError::Status(StatusCode::NOT_FOUND, _)) => Ok(None),
            Err(refusal) => Err(refusal),
            Ok(answer) => Ok(rejection::finalizers(&answer).map(|finalizers| {
                let object = RawObject::parse(step.resource, &answer).ok();
                let shown = object.and_then(|it| applied(step, &it));
                let key = step.key.clone();
                let write_failure = WriteFailure::Terminating(finalizers);
                let blocked = Update::Blocked(step.resource, key, write_failure);
                shown.into_iter().chain([blocked]).collect()
            })),
        }
    }

    /// Finds out what a refusal means, if need be by a look at what is there.
    async fn explain(&self, step: &Step, refusal: WriteError, written: &mut WriteResult) {
        let (code, status) = match refusal {
            WriteError::Status(code, status) => (code, status),
            WriteError::Unavailable(why) => {
                written.unavailable = Some(why);
                written.again = Some(Requeue::WithBackoff);
                return;
            }
            WriteError::StandingBy => {
                written.again = Some(Requeue::WithBackoff);
                return;
            }
            busy @ WriteError::Busy(_) => return written.deferred(busy),
            WriteError::Namespace(why) => {
                return written.blocked(step, WriteFailure::NamespaceRefused(why.into()));
            }
        };
        let is_missing = code == StatusCode::NOT_FOUND;
        if is_missing && matches!(step.write, Write::Create(_) | Write::Replace(..)) {
            written.blocked(step, WriteFailure::NamespaceMissing);
        } else if is_missing || code == StatusCode::CONFLICT {
            match self.lookup(step).await {
                Ok(ObjectLookup::Ours(update) | ObjectLookup::Gone(update)) => {
                    written.updates.extend(update);
                    written.again = written.again.max(Some(Requeue::Now));
                }
                Ok(ObjectLookup::Foreign(update, object)) => {
                    written.updates.extend(update);
                    self.handle_existing(step, object, written).await;
                }
                Err(refusal) => written.deferred(refusal),
            }
        } else if is_transient(code, &status) {
            written.deferred(WriteError::Status(code, status));
        } else {
            let fields = rejection::updates(step, &status);
            if fields.is_empty() {
                written.blocked(step, WriteFailure::Refused(status.message.into()));
            } else {
                // The next attempt is made without them.
                written.updates.extend(fields);
                written.again = written.again.max(Some(Requeue::WithBackoff));
            }
        }
    }

    /// Handles an unmanaged object under the name of a step. If it is a Service, the index decides
    /// whether it is adopted, for which its Endpoints are read too.
    async fn handle_existing(&self, step: &Step, service: RawObject, written: &mut WriteResult) {
        if step.resource != Resource::Services {
            return written.blocked(step, WriteFailure::Occupied);
        }
        let path = path(Resource::Endpoints, &step.key);
        let endpoints = match self.send(Method::GET, &path, Bytes::new()).await {
            Ok(answer) => parse(Resource::Endpoints, &answer).map(Some),
            Err(WriteError::Status(StatusCode::NOT_FOUND, _)) => Ok(None),
            Err(refusal) => Err(refusal),
        };
        match endpoints {
            Ok(endpoints) => {
                let met = Box::new(ExistingObject { service, endpoints });
                written.updates.push(Update::Met(met));
                written.again = written.again.max(Some(Requeue::WithBackoff));
            }
            // Without permission to read the Endpoints they cannot be deleted; the Service stays
            // unmanaged.
            Err(WriteError::Status(code, status)) if !is_transient(code, &status) => {
                written.blocked(step, WriteFailure::Occupied);
            }
            Err(refusal) => written.deferred(refusal),
        }
    }

    /// Reads the object under the name of a step.
    async fn lookup(&self, step: &Step) -> Result<ObjectLookup, WriteError> {
        let path = path(step.resource, &step.key);
        let answer = match self.send(Method::GET, &path, Bytes::new()).await {
            Ok(answer) => parse(step.resource, &answer)?,
            Err(WriteError::Status(StatusCode::NOT_FOUND, _)) => {
                return Ok(ObjectLookup::Gone(forgotten(step)));
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

/// Existing object. The update records it in the index.
enum ObjectLookup {
    Ours(Option<Update>),
    Foreign(Option<Update>, RawObject),
    Gone(Option<Update>),
}

fn parse(resource: Resource, answer: &Bytes) -> Result<RawObject, WriteError> {
    RawObject::parse(resource, answer).map_err(|error| WriteError::Unavailable(error.to_string()))
}

fn path(resource: Resource, key: &ObjectKey) -> String {
    let collection = resource.collection(Some(key.namespace()));
    format!("{collection}/{}", key.name())
}

#[cfg(test)]
mod tests;
