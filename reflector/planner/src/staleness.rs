//! Treatment of endpoints while their source is stale.
//!
//! A Service is never among it: its cluster IP stays.

use std::time::Duration;

use proto_types::ObjectKey;

use crate::hold::MonotonicTime;
use crate::import::Pattern;
use crate::slice::EndpointSliceSpec;

/// Treatment of the endpoints of a disconnected source. The default keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Staleness {
    /// After so long, its endpoints are published as not ready.
    pub not_ready_after: Option<Duration>,
    /// After so long, its endpoints are removed.
    pub drop_after: Option<Duration>,
}

/// Treatment of the endpoints of some Services of a disconnected source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StalenessOf {
    /// Patterns of `namespace/name` at the source.
    pub services: Vec<Pattern>,
    /// Treatment of their endpoints.
    pub staleness: Staleness,
}

/// Staleness of the endpoints of a source: of each exception, and of all other Services.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ages {
    /// In the order of the exceptions.
    pub(crate) exceptions: Vec<Age>,
    /// Staleness of Services without an exception.
    pub rest: Age,
}

/// Staleness rules of one source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    /// Rules of some Services; the first that matches applies.
    pub(crate) exceptions: &'a [StalenessOf],
    /// Rule of all other Services.
    pub(crate) rest: Staleness,
}

/// Rule that applies, with its delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Age {
    /// None: endpoints are those of the source.
    #[default]
    Fresh,
    /// They are published as not ready.
    NotReady(Duration),
    /// They are removed.
    Dropped(Duration),
}

/// Contact with one resource of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contact {
    /// It is followed. Silence is watched for where it is followed.
    Followed,
    /// It is disconnected since that last contact.
    Lost(MonotonicTime),
}

impl Staleness {
    /// The rule that holds now.
    pub(crate) fn age(&self, contacts: [Contact; 3], now: MonotonicTime) -> Age {
        let silence = contacts.into_iter().filter_map(|contact| match contact {
            Contact::Followed => None,
            Contact::Lost(heard) => Some(now.0.saturating_sub(heard.0)),
        });
        let Some(silence) = silence.max() else {
            return Age::Fresh;
        };
        let over = |limit: &Duration| *limit <= silence;
        let dropped = self.drop_after.filter(over).map(Age::Dropped);
        let not_ready = self.not_ready_after.filter(over).map(Age::NotReady);
        dropped.or(not_ready).unwrap_or_default()
    }
}

impl Ages {
    /// The rules of a source that hold now.
    pub(crate) fn now(rules: Rules<'_>, contacts: [Contact; 3], now: MonotonicTime) -> Self {
        let exceptions = rules.exceptions.iter();
        Self {
            exceptions: exceptions
                .map(|it| it.staleness.age(contacts, now))
                .collect(),
            rest: rules.rest.age(contacts, now),
        }
    }

    /// The rule that holds for a Service.
    pub(crate) fn of(&self, rules: Rules<'_>, service: &ObjectKey) -> Age {
        let is_meant = |it: &StalenessOf| {
            let mut services = it.services.iter();
            services.any(|pattern| pattern.matches(service.as_str()))
        };
        let mut exceptions = rules.exceptions.iter().zip(&self.exceptions);
        let exception = exceptions.find(|(it, _)| is_meant(it));
        exception.map_or(self.rest, |(_, age)| *age)
    }
}

impl Age {
    /// Returns the endpoints of a source EndpointSlice as they are published at this age.
    pub(crate) fn of(self, spec: &EndpointSliceSpec) -> EndpointSliceSpec {
        let mut spec = spec.clone();
        match self {
            Self::Fresh => {}
            Self::NotReady(_) => {
                for endpoint in &mut spec.endpoints {
                    endpoint.ready = Some(false);
                    endpoint.serving = Some(false);
                }
            }
            Self::Dropped(_) => spec.endpoints = Box::default(),
        }
        spec
    }
}
