//! Problems: settings that could not be applied, with their remedies.

mod conflict;
mod reason;
mod refused;
mod text;

use std::time::Duration;

use proto_types::label::SYNDICATE_MODE;
use proto_types::name::MAX_LABEL;
use proto_types::{ObjectKey, Resource};

use crate::hold::HoldReason;
use crate::import::ImportViolation;
use crate::name::SourceName;
use crate::policy::PolicyRight;

pub use conflict::{Conflict, HandoverBlocker};

/// A problem of one object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// Source of the object.
    pub source: SourceName,
    /// Object in the source, or in the local cluster if `cause` is about a local object.
    pub object: ObjectKey,
    /// Cause, with its remedy.
    pub cause: ProblemCause,
}

/// Cause of a problem. Its message continues `Service demo/web of source east: `.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum ProblemCause {
    /// The mirror's name would not be a legal name.
    #[error(
        "not mirrored, because its mirror's name {name} would have {} characters and {MAX_LABEL} \
         are allowed; shorten the Service's name, its namespace or the source's prefix",
        name.len()
    )]
    NameTooLong {
        /// The name it would have.
        name: Box<str>,
    },
    /// Another Service is mirrored under that name.
    #[error(
        "not mirrored, because {local} already mirrors {service} of source {winner}, which comes \
         first; rename one of the two, or give the sources different prefixes"
    )]
    NameConflict {
        /// Key that both Services claim.
        local: ObjectKey,
        /// Source that takes precedence.
        winner: SourceName,
        /// Service that is mirrored.
        service: ObjectKey,
    },
    /// It sets a policy that concerns the traffic of other clusters.
    #[error(
        "{annotation} is not applied: source policies that concern the traffic of other clusters \
         require a right; add {right} to import.policies of the source, or set the annotation \
         on a Service of the local cluster"
    )]
    PolicyNotAllowed {
        /// The annotation.
        annotation: &'static str,
        /// The right that it lacks.
        right: PolicyRight,
    },
    /// It differs from the other members of a global Service.
    #[error(
        "in global Service {global} it differs from source {winner}, which comes first: {conflict}"
    )]
    Conflict {
        /// The global Service of the local cluster.
        global: ObjectKey,
        /// Source that takes precedence.
        winner: SourceName,
        /// Difference.
        conflict: Conflict,
    },
    /// An order of clusters names one that is none.
    #[error(
        "heliograph.dev/failover names {name}, which is neither here nor the name of a source; that name \
         is skipped; correct the annotation, or configure the source"
    )]
    UnknownFailoverCluster {
        /// The name.
        name: Box<str>,
    },
    /// A threshold that is none.
    #[error(
        "heliograph.dev/failover-min is {value:?}, which is neither a number nor a share such as 50%; 1 is \
         used; correct the annotation"
    )]
    InvalidFailoverThreshold {
        /// Value of the annotation.
        value: Box<str>,
    },
    /// A mode that is none.
    #[error(
        "{SYNDICATE_MODE} is {value:?}, which means nothing; union, source, receiver or singular does; \
         correct the annotation"
    )]
    InvalidSyndicateMode {
        /// Value of the annotation.
        value: Box<str>,
    },
    /// It stays in its cluster.
    #[error(
        "not mirrored, because {annotated} is annotated {SYNDICATE_MODE}=singular; remove the annotation to \
         have it mirrored"
    )]
    ReplicationDisabled {
        /// Annotated Service.
        annotated: Box<str>,
    },
    /// It was never meant for others.
    #[error(
        "not mirrored, because by its name k8s-endpoints-sync-controller made it on the way to \
         a union; end that, and delete it, or rename it"
    )]
    TemporaryService,
    /// Another cluster's Service has the name.
    #[error(
        "not mirrored, because source {winner} has a Service {local} too, which comes first; \
         annotate both with {SYNDICATE_MODE}=union to have them serve together, or rename one"
    )]
    DuplicateService {
        /// Namespace and name of both Services.
        local: ObjectKey,
        /// Source that takes precedence.
        winner: SourceName,
    },
    /// It would give itself up, and cannot.
    #[error(
        "its own endpoints stay beside those of the source that serves in its place, because \
         {}; if they are to go, give it a selector that no pod has",
        why.describe()
    )]
    HandoverBlocked {
        /// Reason.
        why: HandoverBlocker,
    },
    /// A name cannot be a member.
    #[error(
        "it joins no global Service, because it is of type ExternalName, which has no endpoints; \
         change its type, or remove the label"
    )]
    InvalidServiceType,
    /// The source's object is not what it should be.
    #[error(
        "its mirror stays as it is, because the source's {} {} cannot be read: {error}; correct \
         that object",
        object.0.kind(), object.1
    )]
    InvalidSourceObject {
        /// The object.
        object: (Resource, ObjectKey),
        /// Error.
        error: Box<str>,
    },
    /// The source's import policy does not admit it.
    #[error(transparent)]
    NotImported(#[from] ImportViolation),
    /// Addresses that mean something else in the local cluster than in the source.
    #[error(
        "{n_endpoints} endpoints of slice {slice} are left out, because {address} is loopback, \
         link-local, multicast, unspecified or no address at all, and would mean something else \
         here; remove it in the source"
    )]
    InvalidAddress {
        /// The slice.
        slice: Box<str>,
        /// The first of them.
        address: Box<str>,
        /// Number of endpoints that were left out.
        n_endpoints: usize,
    },
    /// The source's Endpoints leave some out.
    #[error(
        "not all of its endpoints are known, because the source's Endpoints have no room for \
         more than 1000 and say so; read slices where the source has some \
         (endpointsFrom: endpointSlices)"
    )]
    EndpointsTruncated,
    /// A list that lacks it proves nothing.
    #[error(
        "its mirror stays as it is: the last list of the source lacks it, and no API server \
         confirmed that list; it is decided when the source's emitter is connected to its API \
         server again"
    )]
    ListUnconfirmed,
    /// A source would delete too much at once.
    #[error(
        "{} {} is not deleted yet: {}; if that is right, annotate it with \
         heliograph.dev/allow-deletion=true, or wait: it is deleted {} if another \
         list of the source lacks it too",
        local.0.kind(), local.1, why.describe(), why.delay(*hold)
    )]
    DeletionHeld {
        /// Object that is not deleted yet.
        local: (Resource, ObjectKey),
        /// Reason of the hold.
        why: HoldReason,
        /// Time of the hold.
        hold: Duration,
    },
    /// The source is stale, and its endpoints are published as not ready.
    #[error(
        "its endpoints are published as not ready, because the source has not been heard for \
         {after:?} (notReadyAfter); they become ready again when it is heard"
    )]
    StaleEndpointsNotReady {
        /// The limit.
        after: Duration,
    },
    /// The source is stale, and its endpoints are removed.
    #[error(
        "its endpoints are removed, because the source has not been heard for {after:?} \
         (dropAfter); they come back when it is heard"
    )]
    StaleEndpointsRemoved {
        /// The limit.
        after: Duration,
    },
    /// The mirror of a source that is not configured.
    #[error(
        "its mirror stays as it is, because that source is not configured; configure it, delete \
         the mirror, or set removedSources to delete"
    )]
    SourceRemoved,
    /// The mirror of a source that may be configured under another name.
    #[error(
        "its mirror stays for now: that source is not configured, and source {other} may be the \
         same cluster under another name; the mirror is deleted or taken over when {other} is \
         synced and its own mirrors exist; to delete it now, delete the mirror by hand"
    )]
    SourceMayBeRenamed {
        /// The source that is waited for.
        other: SourceName,
    },
    /// An unmanaged object has the name of the mirror.
    #[error(
        "not mirrored, because {} {} exists here and is not Heliograph's; delete or rename it, or \
         give the source a prefix",
        local.0.kind(), local.1
    )]
    AlreadyExists {
        /// The object.
        local: (Resource, ObjectKey),
    },
    /// The namespace for the mirror does not exist.
    #[error(
        "not mirrored, because namespace {namespace} does not exist here; create it, or set \
         createNamespace: true for the source"
    )]
    NamespaceNotFound {
        /// The namespace.
        namespace: Box<str>,
    },
    /// Nor may it be created.
    #[error(
        "not mirrored, because namespace {namespace} does not exist here and the local API server \
         refuses to create it: {message}; create it, or grant create on namespaces to the reflector"
    )]
    NamespaceCreationFailed {
        /// The namespace.
        namespace: Box<str>,
        /// Message of the API server.
        message: Box<str>,
    },
    /// This cluster has no addresses of its only family.
    #[error(
        "not mirrored, because it has {family} addresses alone and this cluster has none for \
         Services; let it have both in the source (ipFamilyPolicy: PreferDualStack), make it \
         headless, or give this cluster {family}"
    )]
    IpFamilyNotSupported {
        /// The family.
        family: &'static str,
    },
    /// The local API server does not take the mirror.
    #[error(
        "{} {} is not as it should be, because the local API server refuses it: {message}; {}",
        local.0.kind(), local.1, refused::remedy(message)
    )]
    WriteRejected {
        /// The object.
        local: (Resource, ObjectKey),
        /// Message of the API server.
        message: Box<str>,
    },
    /// A field of the source means nothing to the local API server.
    #[error(
        "{} {} has {field} {used} where the source has {value:?}, because the local API server \
         rejects that: {message}; upgrade the local cluster, or change the field in the source",
        local.0.kind(), local.1
    )]
    FieldNotSupported {
        /// The object.
        local: (Resource, ObjectKey),
        /// The field.
        field: &'static str,
        /// Value of the source.
        value: Box<str>,
        /// Value that is written.
        used: &'static str,
        /// Message of the API server.
        message: Box<str>,
    },
    /// Finalizers keep an object that is to go.
    #[error(
        "{} {} is deleted and does not go, because of its finalizers {finalizers}; let their \
         owners finish, or remove them from its metadata",
        local.0.kind(), local.1
    )]
    DeletionBlocked {
        /// The object.
        local: (Resource, ObjectKey),
        /// The finalizers.
        finalizers: Box<str>,
    },
    /// Endpoints that an API server does not take.
    #[error(
        "{n_endpoints} endpoints of slice {slice} are left out, because {example:?} {why}; \
         correct it in the source"
    )]
    InvalidEndpoint {
        /// The slice.
        slice: Box<str>,
        /// The first of them.
        example: Box<str>,
        /// Number of endpoints that were left out.
        n_endpoints: usize,
        /// Defect.
        why: &'static str,
    },
    /// Ports that an API server does not take.
    #[error(
        "{n_ports} ports of slice {slice} are left out, because {example:?} {why}; correct it in \
         the source"
    )]
    InvalidPort {
        /// The slice.
        slice: Box<str>,
        /// The name of the first of them.
        example: Box<str>,
        /// Number of ports that were left out.
        n_ports: usize,
        /// Defect.
        why: &'static str,
    },
    /// The source exports no EndpointSlice of the Service.
    #[error(
        "its mirror has no endpoints, because the source exports no EndpointSlice of it; if it \
         has no selector, add the export label to its EndpointSlices or Endpoints too"
    )]
    EndpointsNotExported,
    /// One cluster is there twice.
    #[error(
        "its endpoints are not published, because that source is the same cluster as {other} \
         (its kube-system namespace has uid {cluster}), which publishes them; remove one of the \
         two"
    )]
    DuplicateCluster {
        /// The other.
        other: Box<str>,
        /// The cluster.
        cluster: Box<str>,
    },
    /// The stored object differs from the written one, usually because of an admission webhook.
    #[error(
        "{} {} is not as it should be, because the local API server stores something else than \
         what is written; look for an admission webhook that changes it, or an API server too old \
         for one of its fields",
        local.0.kind(), local.1
    )]
    MutatedOnWrite {
        /// The object.
        local: (Resource, ObjectKey),
    },
    /// Two write one object.
    #[error(
        "something else keeps changing {} {}, which is changed back each time, after a delay that \
         grows to a minute; its managedFields say who it is: stop that, or have it leave out what is labeled heliograph.dev/source",
        local.0.kind(), local.1
    )]
    ExternalModification {
        /// The object.
        local: (Resource, ObjectKey),
    },
}
