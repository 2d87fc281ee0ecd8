//! The reasons of problems, as metrics and machines read them.

use super::ProblemCause;

impl ProblemCause {
    /// For metrics and machines.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NameTooLong { .. } => "NameTooLong",
            Self::NameConflict { .. } => "NameConflict",
            Self::Conflict { conflict, .. } => conflict.reason(),
            Self::PolicyNotAllowed { .. } => "PolicyNotAllowed",
            Self::UnknownFailoverCluster { .. } => "UnknownFailoverCluster",
            Self::InvalidFailoverThreshold { .. } => "InvalidFailoverThreshold",
            Self::InvalidSyndicateMode { .. } => "InvalidSyndicateMode",
            Self::ReplicationDisabled { .. } => "ReplicationDisabled",
            Self::DuplicateService { .. } => "DuplicateService",
            Self::TemporaryService => "TemporaryService",
            Self::HandoverBlocked { .. } => "HandoverBlocked",
            Self::InvalidServiceType => "InvalidServiceType",
            Self::InvalidSourceObject { .. } => "InvalidSourceObject",
            Self::NotImported(refusal) => refusal.reason(),
            Self::InvalidAddress { .. } => "InvalidAddress",
            Self::EndpointsTruncated => "EndpointsTruncated",
            Self::ListUnconfirmed => "ListUnconfirmed",
            Self::DeletionHeld { .. } => "DeletionHeld",
            Self::StaleEndpointsNotReady { .. } => "StaleEndpointsNotReady",
            Self::StaleEndpointsRemoved { .. } => "StaleEndpointsRemoved",
            Self::SourceRemoved => "SourceRemoved",
            Self::SourceMayBeRenamed { .. } => "SourceMayBeRenamed",
            Self::AlreadyExists { .. } => "AlreadyExists",
            Self::NamespaceNotFound { .. } => "NamespaceNotFound",
            Self::NamespaceCreationFailed { .. } => "NamespaceCreationFailed",
            Self::IpFamilyNotSupported { .. } => "IPFamilyNotSupported",
            Self::WriteRejected { .. } => "WriteRejected",
            Self::FieldNotSupported { .. } => "FieldNotSupported",
            Self::DeletionBlocked { .. } => "DeletionBlocked",
            Self::InvalidEndpoint { .. } => "InvalidEndpoint",
            Self::InvalidPort { .. } => "InvalidPort",
            Self::EndpointsNotExported => "EndpointsNotExported",
            Self::DuplicateCluster { .. } => "DuplicateCluster",
            Self::MutatedOnWrite { .. } => "MutatedOnWrite",
            Self::ExternalModification { .. } => "ExternalModification",
        }
    }
}
