//! The writes that make a plan true, ready to be sent.

use bytes::Bytes;
use proto_types::label::{self, HELIOGRAPH};
use proto_types::{ObjectKey, RawObject, Resource};
use serde_json::{Map, Value, json};

use crate::adopt::Adoption;
use crate::diff::{Action, Desired, diff};
use crate::local::LocalState;
use crate::mirror::{
    Mirror, MirrorEndpoints, MirrorService, MirrorSlice, Observed, Version, child,
};
use crate::name::{MirrorKey, SourceName};
use crate::plan::Plan;

/// One write.
#[derive(Debug, Clone)]
pub struct Step {
    /// Resource of the object.
    pub resource: Resource,
    /// Key of the object.
    pub key: ObjectKey,
    /// Version of the existing object, if it is known.
    pub version: Option<Version>,
    /// Write to send.
    pub write: Write,
    /// The namespace, to be created first where it does not exist.
    pub namespace: Option<Bytes>,
    /// Source that the marks of the object name.
    pub source: Box<str>,
    /// Time of the change at the source that this write propagates, if it is known.
    pub changed: Option<Box<str>>,
    wanted: Wanted,
}

/// Write to send. Each names the version that it changes, so that the API server rejects it after a
/// concurrent change, and so that it never changes an unmanaged object.
#[derive(Debug, Clone)]
pub enum Write {
    /// POST this.
    Create(Bytes),
    /// PUT this. It holds uid and resource version of what it changes.
    Update(Bytes),
    /// DELETE that, then POST this.
    Replace(Version, Bytes),
    /// DELETE that.
    Delete(Version),
    /// DELETE that, as it is by now: it goes with its Service.
    Clear(Version),
}

#[derive(Debug, Clone)]
enum Wanted {
    Service(MirrorService),
    Slice(MirrorSlice),
    Endpoints(MirrorEndpoints),
    Nothing,
}

/// The writes that make a plan true, in their order: the Service before its
/// slices, and new slices before old ones go, so that endpoints that move from one
/// slice to another are never in none.
#[must_use]
pub fn steps(plan: &Plan, key: &MirrorKey, local: &LocalState) -> Vec<Step> {
    let mut steps = Vec::new();
    let observed = local.service(key);
    let mut service = step(&plan.service, key.object(), observed, Wanted::Service);
    if let (Some(step), Some(source)) = (&mut service, &plan.namespace_for) {
        step.namespace = Some(namespace(key, source));
    }
    let removals_last = |absent: bool| {
        let slices = plan.slices.iter();
        slices.filter(move |(_, verdict)| absent == matches!(verdict, Desired::Absent))
    };
    let slice = |(slice, verdict): (&ObjectKey, &Desired<MirrorSlice>)| {
        step(verdict, slice, local.slice(slice), Wanted::Slice)
    };
    let wanted = removals_last(false).filter_map(slice);
    let beside = local.endpoints(key);
    let beside = step(&plan.endpoints, key.object(), beside, Wanted::Endpoints);
    match local.adoption(key) {
        None => steps.extend(service.into_iter().chain(wanted).chain(beside)),
        // The ownership label comes last, so that what is interrupted is adopted again.
        Some(Adoption { endpoints }) => {
            steps.extend(wanted);
            let endpoints = endpoints.clone().filter(|_| local.endpoints(key).is_none());
            let source = source_of(plan);
            steps.extend(endpoints.map(|version| removal(key.object(), version, source)));
            steps.extend(beside);
            steps.extend(service);
        }
    }
    steps.extend(removals_last(true).filter_map(slice));
    steps
}

/// The namespace of a mirror, with the ownership metadata.
fn namespace(key: &MirrorKey, source: &SourceName) -> Bytes {
    let labels = json!({label::MANAGED_BY: HELIOGRAPH, label::SOURCE: source.as_str()});
    let metadata = json!({"name": key.object().namespace(), "labels": labels});
    let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": metadata});
    namespace.to_string().into()
}

/// The end of the Endpoints that a predecessor wrote.
fn removal(key: &ObjectKey, version: Version, source: &str) -> Step {
    Step {
        resource: Resource::Endpoints,
        key: key.clone(),
        version: Some(version.clone()),
        write: Write::Clear(version),
        namespace: None,
        source: source.into(),
        changed: None,
        wanted: Wanted::Nothing,
    }
}

/// Returns the source that the marks of the planned Service name.
fn source_of(plan: &Plan) -> &str {
    match &plan.service {
        Desired::Present(service) => mark_of(service),
        Desired::Absent | Desired::Unknown => "",
    }
}

fn mark_of<T: Mirror>(mirror: &T) -> &str {
    let mark = mirror.marks().labels.get(label::SOURCE);
    mark.unwrap_or_default()
}

fn step<T: Mirror>(
    verdict: &Desired<T>,
    key: &ObjectKey,
    observed: Option<&Observed<T>>,
    wanted: fn(T) -> Wanted,
) -> Option<Step> {
    let version = || observed.map(Observed::version);
    let shows = observed.and_then(|it| it.shows.as_ref());
    let (source, changed) = match verdict {
        Desired::Present(mirror) => {
            let before = shows.and_then(Mirror::last_change);
            let changed = mirror.last_change().filter(|it| Some(*it) != before);
            (mark_of(mirror), changed.map(Into::into))
        }
        Desired::Absent | Desired::Unknown => (shows.map(mark_of).unwrap_or_default(), None),
    };
    let (write, wanted) = match diff(verdict, observed)? {
        Action::Create(mirror) => (Write::Create(created(key, &mirror)), wanted(mirror)),
        Action::Update(mirror) => {
            let body = updated(&observed?.json, &mirror)?;
            (Write::Update(body), wanted(mirror))
        }
        Action::Replace(mirror) => {
            let body = created(key, &mirror);
            (Write::Replace(version()?, body), wanted(mirror))
        }
        Action::Delete => (Write::Delete(version()?), Wanted::Nothing),
    };
    Some(Step {
        resource: T::RESOURCE,
        key: key.clone(),
        version: version(),
        write,
        namespace: None,
        source: source.into(),
        changed,
        wanted,
    })
}

fn created<T: Mirror>(key: &ObjectKey, mirror: &T) -> Bytes {
    let mut object = Map::new();
    object.insert("kind".to_owned(), json!(T::RESOURCE.kind()));
    object.insert("apiVersion".to_owned(), json!(T::RESOURCE.api_version()));
    let metadata = json!({"name": key.name(), "namespace": key.namespace()});
    object.insert("metadata".to_owned(), metadata);
    mirror.write(&mut object);
    Value::Object(object).to_string().into()
}

/// The observed object with the managed fields made right, and all else as it is.
fn updated<T: Mirror>(observed: &[u8], mirror: &T) -> Option<Bytes> {
    let mut object: Map<String, Value> = serde_json::from_slice(observed).ok()?;
    // The API server keeps its own record of field managers.
    child(&mut object, "metadata").remove("managedFields");
    mirror.write(&mut object);
    Some(Value::Object(object).to_string().into())
}

impl Step {
    /// Returns whether the write brought about what it was for. An admission webhook may have
    /// stored something else, and then writing again is in vain.
    #[must_use]
    pub fn satisfied_by(&self, answer: &RawObject) -> bool {
        match &self.wanted {
            Wanted::Service(wanted) => {
                MirrorService::observe(&answer.json).is_ok_and(|(shows, _)| wanted.agrees(&shows))
            }
            Wanted::Slice(wanted) => {
                MirrorSlice::observe(&answer.json).is_ok_and(|(shows, _)| wanted.agrees(&shows))
            }
            Wanted::Endpoints(wanted) => {
                MirrorEndpoints::observe(&answer.json).is_ok_and(|(shows, _)| wanted.agrees(&shows))
            }
            Wanted::Nothing => true,
        }
    }

    /// Returns whether a slice is to be written, or Endpoints, which need their Service to be
    /// managed.
    #[must_use]
    pub const fn needs_service(&self) -> bool {
        matches!(
            self.resource,
            Resource::EndpointSlices | Resource::Endpoints
        ) && !matches!(self.write, Write::Delete(_) | Write::Clear(_))
    }

    /// Returns whether there is no managed Service while this has not been done.
    #[must_use]
    pub const fn makes_service(&self) -> bool {
        matches!(self.resource, Resource::Services)
            && matches!(self.write, Write::Create(_) | Write::Replace(..))
    }
}

impl Write {
    /// For metrics and logs.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update(_) => "update",
            Self::Replace(..) => "replace",
            Self::Delete(_) | Self::Clear(_) => "delete",
        }
    }
}
