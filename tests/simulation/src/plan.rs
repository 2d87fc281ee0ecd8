//! Fleet and schedule of a run, both drawn from its seed.

mod draw;
mod expected;
mod fault;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

pub(crate) use self::draw::NOTHING;
pub use self::expected::Expected;
use crate::network::{Direction, Mangle, Node};
use crate::sabotage::Defect;
use crate::settings::{Scene, Settings};

/// Names of sources, in order.
const NAMES: [&str; 4] = ["east", "west", "north", "south"];

/// Way from a source's API server to the reflectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The reflectors follow the API server.
    Direct,
    /// They follow emitters.
    Emitters(usize),
    /// They follow one relay, which follows emitters.
    Relay(usize),
}

/// A source of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// Its name.
    pub name: String,
    /// The way to it.
    pub way: Way,
    /// Number of Services to begin with.
    pub n_services: usize,
}

/// A fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fleet {
    /// The sources.
    pub sources: Vec<SourceSpec>,
    /// Number of reflector replicas.
    pub n_reflectors: usize,
    /// Settings of the reflectors.
    pub settings: Settings,
}

/// Link from a client to a server.
pub type Link = (Node, Node);

/// Fault of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A link loses requests, answers or both.
    Partition(Link, Direction),
    /// A link takes that many milliseconds more.
    Slow(Link, u64, u64),
    /// A link loses a share of requests, in percent.
    Loss(Link, u8),
    /// All connections of a link end.
    Reset(Link),
    /// All connections of a link fall silent for good.
    HalfOpen(Link),
    /// A share of answers on a link, in percent, is another one.
    Mangled(Link, Mangle, u8),
    /// A node ends without warning, and starts again later.
    Crash(Node),
    /// A program ends in order, and starts again later.
    Restart(Node),
    /// A cluster forgets its history.
    Compact(String),
    /// A cluster is restored from a backup that was taken when the fault began.
    Restore(String),
    /// Another cluster answers at the address of a source's API server.
    Impostor(String),
    /// An emitter runs with another selector.
    Selector(Node, &'static str),
    /// The time of day changes by that many milliseconds.
    ClockJump(i64),
    /// The Lease of the reflectors is deleted.
    LeaseLoss,
    /// A source is not configured for a while.
    Unconfigured(String),
    /// A source is configured under another name for a while.
    Renamed(String),
    /// An unmanaged Service has the name of the first mirror of a source for a while.
    Usurped(String),
    /// Another writer changes the first mirror of a source, once.
    Edited(String),
}

/// Work of people and controllers in a source cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A Service is created.
    Create,
    /// A Service is deleted, the one of that index.
    Delete(usize),
    /// A Service asks for another name of its mirror.
    Alias(usize),
    /// A Service loses its export label, or gets it back.
    Toggle(usize),
    /// A Service has that many endpoints.
    Scale(usize, usize),
    /// All endpoints of a Service are replaced.
    Roll(usize),
    /// Another port.
    Port(usize),
    /// That many of these at once.
    Burst(usize),
    /// Every Service but that many is deleted.
    DeleteAllBut(usize),
    /// All EndpointSlices are deleted.
    Unslice,
    /// All EndpointSlices are replaced by others, with other endpoints.
    Reslice,
    /// That many writes of other objects.
    Other(usize),
}

/// Entry of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A fault that lasts for some milliseconds.
    Fault(Fault, u64),
    /// Work in a source.
    Work(String, Work),
}

/// Schedule of one storm: actions with their time in milliseconds.
pub type Storm = Vec<(u64, Action)>;

/// Fleet and schedule of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The seed that all of it was drawn from.
    pub seed: u64,
    /// The fleet.
    pub fleet: Fleet,
    /// Storms, each of which is followed by a calm that is checked.
    pub storms: Vec<Storm>,
    /// Duration of a storm, in milliseconds.
    pub storm_millis: u64,
    /// What must be so at these milliseconds of each storm.
    pub expected: Vec<(u64, Expected)>,
    /// Planted defect.
    pub defect: Option<Defect>,
}

impl Fleet {
    /// Draws a fleet.
    fn draw(random: &mut fastrand::Rng) -> Self {
        let n = random.usize(1..=3);
        let sources = NAMES[..n].iter().map(|name| SourceSpec {
            name: (*name).to_owned(),
            way: match random.u8(..10) {
                0 | 1 => Way::Direct,
                2..=6 => Way::Emitters(random.usize(1..=2)),
                _ => Way::Relay(random.usize(1..=2)),
            },
            n_services: match random.u8(..4) {
                0 => random.usize(1..4),
                1 => random.usize(20..40),
                _ => random.usize(4..14),
            },
        });
        Self {
            sources: sources.collect(),
            n_reflectors: random.usize(1..=2),
            settings: Settings::default(),
        }
    }

    /// Names of the sources.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        self.sources.iter().map(|it| it.name.clone()).collect()
    }

    /// Nodes that serve a source to reflectors.
    #[must_use]
    pub fn front(source: &SourceSpec) -> Vec<Node> {
        match source.way {
            Way::Direct => vec![api(&source.name)],
            Way::Emitters(_) => Self::emitters(source),
            Way::Relay(_) => vec![node("relay", &source.name)],
        }
    }

    /// Emitters of a source that follow its API server.
    #[must_use]
    pub fn emitters(source: &SourceSpec) -> Vec<Node> {
        let n = match source.way {
            Way::Direct => 0,
            Way::Emitters(n) | Way::Relay(n) => n,
        };
        let name = |i| node("emitter", &format!("{}-{i}", source.name));
        (0..n).map(name).collect()
    }

    /// The reflectors.
    #[must_use]
    pub fn reflectors(&self) -> Vec<Node> {
        let names = 0..self.n_reflectors;
        names.map(|i| node("reflector", &i.to_string())).collect()
    }

    /// All links of the fleet.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for source in &self.sources {
            let emitters = Self::emitters(source);
            links.extend(
                emitters
                    .iter()
                    .map(|it| (Arc::clone(it), api(&source.name))),
            );
            if matches!(source.way, Way::Relay(_)) {
                let relay = node("relay", &source.name);
                links.extend(
                    emitters
                        .iter()
                        .map(|it| (Arc::clone(&relay), Arc::clone(it))),
                );
            }
            for front in Self::front(source) {
                let reflectors = self.reflectors();
                links.extend(reflectors.into_iter().map(|it| (it, Arc::clone(&front))));
            }
        }
        links.extend(self.reflectors().into_iter().map(|it| (it, api(LOCAL))));
        links
    }

    /// Programs of the fleet.
    #[must_use]
    pub fn programs(&self) -> Vec<Node> {
        let mut programs = self.reflectors();
        for source in &self.sources {
            programs.extend(Self::emitters(source));
            if matches!(source.way, Way::Relay(_)) {
                programs.push(node("relay", &source.name));
            }
        }
        programs
    }
}

/// Name of the local cluster.
pub(crate) const LOCAL: &str = "local";

/// Node of a cluster's API server.
#[must_use]
pub fn api(cluster: &str) -> Node {
    node("api", cluster)
}

fn node(what: &str, name: &str) -> Node {
    format!("{what}-{name}").into()
}

impl Plan {
    /// Draws a plan of about so many minutes.
    #[must_use]
    pub fn draw(seed: u64, minutes: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut fleet = Fleet::draw(&mut random);
        if seed.is_multiple_of(3) {
            fleet.settings.scene = Scene::Imports;
        }
        let n_storms = (minutes / 30).max(1);
        let storm_millis = random.u64(8..=20) * 60_000;
        let storms = (0..n_storms)
            .map(|_| draw::storm(&fleet, storm_millis, &mut random))
            .collect();
        Self {
            seed,
            fleet,
            storms,
            storm_millis,
            expected: Vec::new(),
            defect: None,
        }
    }

    /// Number of actions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.storms.iter().map(Vec::len).sum()
    }

    /// Returns whether it has no action.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the plan with those actions alone, by their numbers.
    #[must_use]
    pub fn only(&self, kept: &BTreeSet<usize>) -> Self {
        let mut number = 0;
        let mut storms = Vec::new();
        for storm in &self.storms {
            let mut left = Storm::new();
            for action in storm {
                if kept.contains(&number) {
                    left.push(action.clone());
                }
                number += 1;
            }
            storms.push(left);
        }
        Self {
            storms,
            ..self.clone()
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(fault, millis) => {
                write!(f, "{fault:?} for {:.3} s", *millis as f64 / 1000.0)
            }
            Self::Work(source, work) => write!(f, "{source}: {work:?}"),
        }
    }
}
