//! Entry of all changes into the [`Index`].
//!
//! Two rules compare a change with plans: an external modification is a change of an object that
//! was as planned, and a plan starts a failback. This module therefore lies above both, the index
//! and the planner; the index itself never plans.

mod adoption;
mod contest;
mod failback;

use std::collections::BTreeSet;

use ipnet::IpNet;
use proto_types::{ObjectKey, Resource};

use crate::adopt::ExistingObject;
use crate::endpoints::SourceEndpoints;
use crate::hold::MonotonicTime;
use crate::index::{AffectedKeys, Index};
use crate::local::{LocalChange, WriteFailure};
use crate::mirror::{MirrorEndpoints, MirrorService, MirrorSlice, Role};
use crate::name::SourceName;
use crate::rejected::OptionalField;
use crate::source::{Change, SourceService, SourceSlice, UpstreamContact};

/// Change of the index.
#[derive(Debug, Clone)]
pub enum Update {
    /// Change of Services of a source.
    Services(SourceName, Change<SourceService>),
    /// Change of EndpointSlices of a source.
    Slices(SourceName, Change<SourceSlice>),
    /// Change of Endpoints of a source that has no EndpointSlices.
    Endpoints(SourceName, Change<SourceEndpoints>),
    /// Change of Services of a source that are members of global Services.
    MemberServices(SourceName, Change<SourceService>),
    /// Change of EndpointSlices of members.
    MemberSlices(SourceName, Change<SourceSlice>),
    /// Change of Endpoints of members that have no EndpointSlices.
    MemberEndpoints(SourceName, Change<SourceEndpoints>),
    /// Contact of a source with the API server behind it.
    Upstream(SourceName, UpstreamContact),
    /// Cluster identity of a source.
    Identified(SourceName, Box<str>),
    /// All namespaces of a member whose Services stay in their cluster. It comes before the first
    /// Service of the member.
    OptedOut(SourceName, BTreeSet<Box<str>>),
    /// Change of managed Services.
    LocalServices(LocalChange<MirrorService>),
    /// Change of managed EndpointSlices.
    LocalSlices(LocalChange<MirrorSlice>),
    /// Change of managed Endpoints.
    LocalEndpoints(LocalChange<MirrorEndpoints>),
    /// A write was in vain.
    Blocked(Resource, ObjectKey, WriteFailure),
    /// The local API server rejects a value of an optional field, with these words.
    FieldRejected(OptionalField, Box<str>, Box<str>),
    /// An unmanaged Service exists under the name of a mirror.
    Met(Box<ExistingObject>),
    /// Mirrors that a predecessor left of a source.
    LeftBehind(SourceName, Vec<ExistingObject>),
    /// The CIDRs of the local cluster that its API server reports: all of them.
    LocalRanges(Vec<IpNet>),
    /// Time passed.
    Tick(MonotonicTime),
}

impl Index {
    /// Applies an update; returns the keys to plan again.
    pub fn update(&mut self, update: Update) -> AffectedKeys {
        let affected = self.take(update);
        self.drop_write_failures(&affected);
        self.update_failbacks(&affected);
        affected
    }

    fn take(&mut self, update: Update) -> AffectedKeys {
        match update {
            Update::Services(name, change) => {
                self.apply_services(self.policy().rank(&name, Role::Mirror), change)
            }
            Update::Slices(name, change) => {
                self.apply_slices(self.policy().rank(&name, Role::Mirror), change)
            }
            Update::MemberServices(name, change) => {
                self.apply_services(self.policy().rank(&name, Role::Member), change)
            }
            Update::MemberSlices(name, change) => {
                self.apply_slices(self.policy().rank(&name, Role::Member), change)
            }
            Update::Endpoints(name, change) => {
                self.apply_endpoints(self.policy().rank(&name, Role::Mirror), change)
            }
            Update::MemberEndpoints(name, change) => {
                self.apply_endpoints(self.policy().rank(&name, Role::Member), change)
            }
            Update::Upstream(name, contact) => self.apply_upstream(&name, contact),
            Update::Identified(name, cluster) => {
                let mut affected = self.identify(self.policy().rank(&name, Role::Mirror), &cluster);
                affected.extend(self.identify(self.policy().rank(&name, Role::Member), &cluster));
                affected
            }
            Update::OptedOut(name, namespaces) => {
                self.opt_out(self.policy().rank(&name, Role::Member), namespaces)
            }
            Update::LocalServices(change) => {
                let subject = self.local().subject_of_service(&change, self.policy());
                self.update_ours(subject, |local, policy| {
                    local.update_services(change, policy)
                })
            }
            Update::LocalSlices(change) => {
                let subject = self.local().subject_of_slice(&change, self.policy());
                self.update_ours(subject, |local, policy| local.update_slices(change, policy))
            }
            Update::LocalEndpoints(change) => self.update_local_endpoints(change),
            Update::Blocked(resource, key, write_failure) => {
                self.block(resource, key, write_failure)
            }
            Update::FieldRejected(field, value, message) => {
                self.reject_field(field, value, message);
                AffectedKeys::new()
            }
            Update::Met(met) => self.adopt(&met),
            Update::LeftBehind(name, met) => {
                self.adopt_left_behind(self.policy().rank(&name, Role::Mirror), met)
            }
            Update::LocalRanges(ranges) => self.set_local_cidrs(ranges),
            Update::Tick(now) => self.tick(now),
        }
    }

    /// Applies a change of managed Endpoints. Before they are listed, it changes no plan.
    fn update_local_endpoints(&mut self, change: LocalChange<MirrorEndpoints>) -> AffectedKeys {
        if !self.local().knows_endpoints() {
            let (local, policy) = self.local_mut();
            local.update_endpoints(change, policy);
            return self.keys();
        }
        let subject = self.local().subject_of_endpoints(&change, self.policy());
        self.update_ours(subject, |local, policy| {
            local.update_endpoints(change, policy)
        })
    }
}
