//! What becomes of endpoints while their source is silent.
//!
//! A Service is never among it: its address outlives any silence.

use std::time::Duration;

use crate::brake::Moment;
use crate::slice::SliceSpec;

/// What was configured for a silent source; by default its endpoints are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Staleness {
    /// After so long, its endpoints are published as not ready.
    pub not_ready_after: Option<Duration>,
    /// After so long, its endpoints are removed.
    pub drop_after: Option<Duration>,
}

/// Which of the rules holds, and after how long it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Age {
    /// None: endpoints are as the source said.
    #[default]
    Fresh,
    /// They are published as not ready.
    NotReady(Duration),
    /// They are removed.
    Dropped(Duration),
}

/// How it stands with one resource of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contact {
    /// It is followed. Silence is watched for where it is followed.
    Followed,
    /// It is not, and was last heard then.
    Lost(Moment),
}

impl Staleness {
    /// The rule that holds now.
    pub(crate) fn age(&self, contacts: [Contact; 2], now: Moment) -> Age {
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

impl Age {
    /// What is published of what a source said.
    pub(crate) fn of(self, spec: &SliceSpec) -> SliceSpec {
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
