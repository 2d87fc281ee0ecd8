//! Collection of the members of a global Service from the known state of all sources.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proto_types::{ObjectKey, Resource, label};

use super::member::{Member, Members};
use super::mode::{Mode, mode_or_plain};
use super::order::Order;
use super::record::{self, Remembered};
use crate::mirror::{GLOBAL_CLUSTERS, MirrorService, Observed, Role};
use crate::name::SourceName;
use crate::plan::removed::{Orphan, awaited};
use crate::plan::{Case, held_because};
use crate::policy::{Rank, RemovedSources};
use crate::problem::{Cause, Problem};
use crate::service::{Kind, ServiceSpec};
use crate::source::ServiceContent;
use crate::world::Claim;

/// Returns the members of the global Service under a key, or `None` if there is no such Service
/// and no member asks for one.
pub(crate) fn members<'a>(case: &Case<'a>) -> Option<Members<'a>> {
    let observed = case.world.local().service(case.key);
    let observed = observed.filter(|it| it.owner.role == Role::Member);
    let mut claims: Vec<_> = case.member_claims().collect();
    let there = observed.and_then(|it| it.owner.service.as_ref());
    let order = Order::of(case.world.policy(), observed);
    claims.sort_by_key(|claim| {
        let is_new = there.is_some_and(|it| *it != claim.service);
        let (created, source) = age_of(case, claim);
        (is_new, order.place(source, created), &claim.service)
    });
    let service = claims.first().map(|it| &it.service).or(there)?.clone();
    let mut collected = Collected {
        case,
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
    for rank in case.world.policy().member_ranks() {
        collected.ask(rank);
    }
    collected.add_removed();
    let mut members = collected.members;
    members.all.sort_by(|a, b| {
        let a = order.place(&a.name, a.created.as_deref());
        a.cmp(&order.place(&b.name, b.created.as_deref()))
    });
    Some(members)
}

fn age_of<'a>(case: &Case<'a>, claim: &Claim) -> (Option<&'a str>, &'a SourceName) {
    let created = content_of(case, claim).and_then(|it| it.ok()?.created.as_deref());
    (created, case.source(claim))
}

fn content_of<'a>(case: &Case<'a>, claim: &Claim) -> Option<Result<&'a ServiceContent, &'a str>> {
    let services = case.world.source(claim.rank).services.known()?;
    let content = services.get(&claim.service)?;
    Some(content.as_ref().map_err(|error| &**error))
}

fn annotation(content: &ServiceContent, name: &str) -> Option<Box<str>> {
    content.annotations.get(name).map(|it| it.as_str().into())
}

struct Collected<'c, 'a> {
    case: &'c Case<'a>,
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
            let cause = Cause::NameConflict {
                local: self.case.key.object().clone(),
                winner: self.case.source(first).clone(),
                service: first.service.clone(),
            };
            self.tell(self.case.source(claim), &claim.service.clone(), cause);
        }
    }

    fn ask(&mut self, rank: Rank) {
        let name = &self.case.world.policy().source(rank).name;
        let source = self.case.world.source(rank);
        let Some(claim) = self.names.get(&rank).copied() else {
            if !source.services.is_synced() {
                self.case.note("MemberUnknown", || {
                    let state = source.services.as_str();
                    format!("source {name} is {state}: what is here of it stays")
                });
                if source.services_in_part && self.observed.is_some_and(|it| it.names(name)) {
                    let service = self.members.service.clone();
                    self.tell(name, &service, Cause::ListUnconfirmed);
                }
                self.remember(Cow::Borrowed(name));
            } else if let Some(why) = source.service_hold.holds(&self.members.service) {
                let local = (Resource::Services, self.case.key.object().clone());
                let service = self.members.service.clone();
                self.tell(name, &service, held_because(self.case, local, why));
                self.remember(Cow::Borrowed(name));
            }
            return;
        };
        match content_of(self.case, claim) {
            // A claim goes with its Service.
            None => {}
            Some(Err(error)) => {
                let object = (Resource::Services, claim.service.clone());
                let error = error.into();
                self.tell(
                    name,
                    &claim.service,
                    Cause::InvalidSourceObject { object, error },
                );
                self.remember(Cow::Borrowed(name));
            }
            Some(Ok(ServiceContent { spec, .. })) if matches!(spec.kind, Kind::External(_)) => {
                self.tell(name, &claim.service, Cause::InvalidServiceType);
            }
            Some(Ok(content)) => {
                self.case.note("Joins", || {
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

    fn mode(&mut self, claim: &Claim, content: &ServiceContent) -> Mode {
        if !self.case.world.policy().is_by_mode() {
            return Mode::Plain;
        }
        let source = self.case.source(claim);
        mode_or_plain(content, |cause| self.tell(source, &claim.service, cause))
    }

    fn is_local_first(&self, content: &ServiceContent) -> bool {
        let global = self.case.world.policy().global();
        let selector = global.and_then(|it| it.local_first.as_ref());
        selector.is_some_and(|it| it.matches(&content.labels))
    }

    /// Returns the allowed part of a member's Service.
    fn admitted(&mut self, claim: &Claim, spec: &'a ServiceSpec) -> Cow<'a, ServiceSpec> {
        let policy = self.case.world.policy().source(claim.rank);
        match policy.import.cut(spec) {
            (_, None) => Cow::Borrowed(spec),
            (cut, Some(refusal)) => {
                self.tell(&policy.name, &claim.service, refusal.into());
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
        let Remembered {
            created,
            spec,
            local_first,
            failover,
            failover_min,
            mode,
        } = remembered.unwrap_or_default();
        self.case.note("LastKnownStateUsed", || {
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

    /// Members here that are not configured any more.
    fn add_removed(&mut self) {
        let policy = self.case.world.policy();
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
                    self.tell(&name, &service, Cause::SourceRemoved);
                    self.remember(Cow::Owned(name));
                }
                RemovedSources::Delete => {
                    let service = self.members.service.clone();
                    let orphan = Orphan {
                        role: Role::Member,
                        cluster: None,
                        service: Some(&service),
                    };
                    if let Some(cause) = awaited(self.case, orphan) {
                        self.tell(&name, &service, cause);
                        self.remember(Cow::Owned(name));
                    }
                }
            }
        }
    }

    fn tell(&mut self, source: &SourceName, object: &ObjectKey, cause: Cause) {
        let problem = Problem {
            source: source.clone(),
            object: object.clone(),
            cause,
        };
        self.case.note("MemberProblem", || problem.to_string());
        self.members.problems.push(problem);
    }
}
