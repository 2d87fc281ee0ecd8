//! Collection of the members of a global Service from the known state of all sources.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proto_types::{ObjectKey, Resource, label};

use super::member::{Member, Members};
use super::mode::{SyndicateMode, mode_or_plain};
use super::order::Order;
use super::record::{self, MemberRecord};
use crate::index::Claim;
use crate::mirror::{GLOBAL_CLUSTERS, MirrorService, Observed, Role};
use crate::name::SourceName;
use crate::plan::removed::{Orphan, awaited};
use crate::plan::{PlanContext, held_because};
use crate::policy::{Rank, RemovedSources};
use crate::problem::{Problem, ProblemCause};
use crate::service::{ServiceKind, ServiceSpec};
use crate::source::ServiceContent;

/// Returns the members of the global Service under a key, or `None` if there is no such Service and
/// no member has one.
pub(crate) fn members<'a>(context: &PlanContext<'a>) -> Option<Members<'a>> {
    let observed = context.index.local().service(context.key);
    let observed = observed.filter(|it| it.owner.role == Role::Member);
    let mut claims: Vec<_> = context.member_claims().collect();
    let there = observed.and_then(|it| it.owner.service.as_ref());
    let order = Order::of(context.index.policy(), observed);
    claims.sort_by_key(|claim| {
        let is_new = there.is_some_and(|it| *it != claim.service);
        let (created, source) = age_of(context, claim);
        (is_new, order.place(source, created), &claim.service)
    });
    let service = claims.first().map(|it| &it.service).or(there)?.clone();
    let mut collected = Collected {
        context,
        observed: observed.filter(|it| it.owner.service.as_ref() == Some(&service)),
        names: BTreeMap::new(),
        members: Members {
            service,
            all: Vec::new(),
            unknown: Vec::new(),
            problems: Vec::new(),
        },
    };
    collected.sort_claims(claims);
    for rank in context.index.policy().member_ranks() {
        collected.collect_member(rank);
    }
    collected.add_removed();
    let mut members = collected.members;
    members.all.sort_by(|a, b| {
        let a = order.place(&a.name, a.created.as_deref());
        a.cmp(&order.place(&b.name, b.created.as_deref()))
    });
    Some(members)
}

fn age_of<'a>(context: &PlanContext<'a>, claim: &Claim) -> (Option<&'a str>, &'a SourceName) {
    let created = content_of(context, claim).and_then(|it| it.ok()?.created.as_deref());
    (created, context.source(claim))
}

fn content_of<'a>(
    context: &PlanContext<'a>,
    claim: &Claim,
) -> Option<Result<&'a ServiceContent, &'a str>> {
    let services = context.index.source(claim.rank).services.known()?;
    let content = services.get(&claim.service)?;
    Some(content.as_ref().map_err(|error| &**error))
}

fn annotation(content: &ServiceContent, name: &str) -> Option<Box<str>> {
    content.annotations.get(name).map(Into::into)
}

struct Collected<'c, 'a> {
    context: &'c PlanContext<'a>,
    observed: Option<&'a Observed<MirrorService>>,
    names: BTreeMap<Rank, &'a Claim>,
    members: Members<'a>,
}

impl<'a> Collected<'_, 'a> {
    /// Sorts claims of different Services to one global name. Members of the first Service join;
    /// the others are reported.
    fn sort_claims(&mut self, claims: Vec<&'a Claim>) {
        let Some(first) = claims.first().copied() else {
            return;
        };
        for claim in claims {
            if claim.service == first.service {
                self.names.insert(claim.rank, claim);
                continue;
            }
            let cause = ProblemCause::NameConflict {
                local: self.context.key.object().clone(),
                winner: self.context.source(first).clone(),
                service: first.service.clone(),
            };
            self.report(self.context.source(claim), &claim.service.clone(), cause);
        }
    }

    /// Collects the member of a source that claims the name, with the problems that it has.
    fn collect_member(&mut self, rank: Rank) {
        let name = &self.context.index.policy().source(rank).name;
        let Some(claim) = self.names.get(&rank).copied() else {
            return self.keep_unclaimed(rank);
        };
        match content_of(self.context, claim) {
            // A claim goes with its Service.
            None => {}
            Some(Err(error)) => {
                let object = (Resource::Services, claim.service.clone());
                let error = error.into();
                let cause = ProblemCause::InvalidSourceObject { object, error };
                self.report(name, &claim.service, cause);
                self.remember(Cow::Borrowed(name));
            }
            Some(Ok(ServiceContent { spec, .. }))
                if matches!(spec.kind, ServiceKind::External(_)) =>
            {
                self.report(name, &claim.service, ProblemCause::InvalidServiceType);
            }
            Some(Ok(content)) => {
                self.context.note("Joins", || {
                    let created = content.created.as_deref().unwrap_or("unknown");
                    format!(
                        "{} of source {name}, created {created}, joins",
                        claim.service
                    )
                });
                let spec = self.admitted(claim, &content.spec);
                let mode = self.mode(claim, content);
                self.members.all.push(Member {
                    name: Cow::Borrowed(name),
                    created: content.created.clone(),
                    spec,
                    local_first: self.is_local_first(content),
                    failover: annotation(content, label::FAILOVER),
                    failover_min: annotation(content, label::FAILOVER_MIN),
                    mode,
                    serves: true,
                    rank: Some(rank),
                    content: Some(content),
                });
            }
        }
    }

    /// Keeps the recorded member of a source that claims nothing, while the absence of its
    /// Service is not proved, or its deletion is held.
    fn keep_unclaimed(&mut self, rank: Rank) {
        let name = &self.context.index.policy().source(rank).name;
        let source = self.context.index.source(rank);
        if !source.services.is_synced() {
            self.context.note("MemberUnknown", || {
                let state = source.services.as_str();
                format!("source {name} is {state}: what is here of it stays")
            });
            if source.services_in_part && self.observed.is_some_and(|it| it.names(name)) {
                let service = self.members.service.clone();
                self.report(name, &service, ProblemCause::ListUnconfirmed);
            }
            self.remember(Cow::Borrowed(name));
        } else if let Some(why) = source.service_hold.holds(&self.members.service) {
            let local = (Resource::Services, self.context.key.object().clone());
            let service = self.members.service.clone();
            self.report(name, &service, held_because(self.context, local, why));
            self.remember(Cow::Borrowed(name));
        }
    }

    fn mode(&mut self, claim: &Claim, content: &ServiceContent) -> SyndicateMode {
        if !self.context.index.policy().is_by_mode() {
            return SyndicateMode::Plain;
        }
        let source = self.context.source(claim);
        mode_or_plain(content, |cause| self.report(source, &claim.service, cause))
    }

    fn is_local_first(&self, content: &ServiceContent) -> bool {
        let global = self.context.index.policy().global();
        let selector = global.and_then(|it| it.local_first.as_ref());
        selector.is_some_and(|it| it.matches(&content.labels))
    }

    /// Returns the allowed part of a member's Service.
    fn admitted(&mut self, claim: &Claim, spec: &'a ServiceSpec) -> Cow<'a, ServiceSpec> {
        let policy = self.context.index.policy().source(claim.rank);
        match policy.import.filter_ports(spec) {
            (_, None) => Cow::Borrowed(spec),
            (cut, Some(refusal)) => {
                self.report(&policy.name, &claim.service, refusal.into());
                Cow::Owned(cut)
            }
        }
    }

    /// Adds a disconnected member by its last known state, or by the existing Service if that state
    /// was not recorded.
    fn remember(&mut self, name: Cow<'a, SourceName>) {
        let shows = self.observed.filter(|it| it.names(&name));
        let Some(shows) = shows.and_then(|it| it.shows.as_ref()) else {
            self.members.unknown.push(name.into_owned());
            return;
        };
        let record = shows.marks.annotations.get(label::MEMBERS);
        let remembered = record.and_then(|it| record::read(it, name.as_str()));
        let MemberRecord {
            created,
            spec,
            local_first,
            failover,
            failover_min,
            mode,
        } = remembered.unwrap_or_default();
        self.context.note("LastKnownStateUsed", || {
            format!("source {name} counts with what it said last")
        });
        self.members.all.push(Member {
            name,
            created,
            spec: spec.map_or(Cow::Borrowed(&shows.spec), Cow::Owned),
            local_first,
            failover,
            failover_min,
            mode,
            serves: true,
            rank: None,
            content: None,
        });
    }

    /// Members in the local cluster that are not configured any more.
    fn add_removed(&mut self) {
        let policy = self.context.index.policy();
        let shows = self.observed.and_then(|it| it.shows.as_ref());
        let clusters = shows.and_then(|it| it.marks.annotations.get(GLOBAL_CLUSTERS));
        let names = clusters.into_iter().flat_map(|it| it.split(','));
        for name in names.filter_map(|it| it.parse::<SourceName>().ok()) {
            if policy.rank(&name, Role::Member).is_some() {
                continue;
            }
            match policy.removed_sources {
                RemovedSources::Keep => {
                    let service = self.members.service.clone();
                    self.report(&name, &service, ProblemCause::SourceRemoved);
                    self.remember(Cow::Owned(name));
                }
                RemovedSources::Delete => {
                    let service = self.members.service.clone();
                    let orphan = Orphan {
                        role: Role::Member,
                        cluster: None,
                        service: Some(&service),
                    };
                    if let Some(cause) = awaited(self.context, orphan) {
                        self.report(&name, &service, cause);
                        self.remember(Cow::Owned(name));
                    }
                }
            }
        }
    }

    fn report(&mut self, source: &SourceName, object: &ObjectKey, cause: ProblemCause) {
        let problem = Problem {
            source: source.clone(),
            object: object.clone(),
            cause,
        };
        self.context.note("MemberProblem", || problem.to_string());
        self.members.problems.push(problem);
    }
}
