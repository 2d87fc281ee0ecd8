//! The reasons of problems, as metrics and machines read them.

use super::Cause;

impl Cause {
    /// For metrics and machines.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NameTooLong { .. } => "NameTooLong",
            Self::Collision { .. } => "NameConflict",
            Self::Conflict { conflict, .. } => conflict.reason(),
            Self::PolicyNotAllowed { .. } => "PolicyNotAllowed",
            Self::UnknownTier { .. } => "UnknownFailoverCluster",
            Self::InvalidThreshold { .. } => "InvalidFailoverThreshold",
            Self::UnknownMode { .. } => "InvalidSyndicateMode",
            Self::Singular { .. } => "ReplicationDisabled",
            Self::Apart { .. } => "DuplicateService",
            Self::Makeshift => "TemporaryService",
            Self::Unyielding { .. } => "HandoverBlocked",
            Self::ExternalMember => "InvalidServiceType",
            Self::Undecodable { .. } => "InvalidSourceObject",
            Self::NotImported(refusal) => refusal.reason(),
            Self::AddressRefused { .. } => "InvalidAddress",
            Self::Truncated => "EndpointsTruncated",
            Self::ListUnconfirmed => "ListUnconfirmed",
            Self::Held { .. } => "DeletionHeld",
            Self::EndpointsNotReady { .. } => "StaleEndpointsNotReady",
            Self::EndpointsDropped { .. } => "StaleEndpointsRemoved",
            Self::SourceRemoved => "SourceRemoved",
            Self::SourceMayBeRenamed { .. } => "SourceMayBeRenamed",
            Self::Occupied { .. } => "AlreadyExists",
            Self::NamespaceMissing { .. } => "NamespaceNotFound",
            Self::NamespaceRefused { .. } => "NamespaceCreationFailed",
            Self::FamilyMissing { .. } => "IPFamilyNotSupported",
            Self::Refused { .. } => "WriteRejected",
            Self::FieldNotSupported { .. } => "FieldNotSupported",
            Self::Terminating { .. } => "DeletionBlocked",
            Self::EndpointsLeftOut { .. } => "InvalidEndpoint",
            Self::PortsLeftOut { .. } => "InvalidPort",
            Self::EndpointsNotExported => "EndpointsNotExported",
            Self::SameCluster { .. } => "DuplicateCluster",
            Self::Overruled { .. } => "MutatedOnWrite",
            Self::Contested { .. } => "ExternalModification",
        }
    }
}
