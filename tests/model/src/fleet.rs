//! The fleet, its faults, and how it goes on.

use proto_types::evidence::{Evidence, Expected, Read, Ruling, evaluate};

use crate::Judge;
use crate::node::{Node, OTHER, SOURCE, evidence};
use crate::truth::{History, N_OBJECTS, Objects, other};

/// Number of each kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Objects that are created or deleted.
    pub changes: u8,
    /// Emitters that lose the API server.
    pub partitions: u8,
    /// Programs that restart.
    pub restarts: u8,
    /// Restores of the backup.
    pub rewinds: u8,
    /// Times that another cluster answers at the address of the API server.
    pub swaps: u8,
}

/// Position of a server in the fleet: two emitters behind one address, and the relay.
pub type Server = u8;

const EMITTERS: [Server; 2] = [0, 1];
const RELAY: Server = 2;

/// Source cluster, emitters, relay, reflector.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fleet {
    left: Budget,
    truth: History,
    backup: Option<History>,
    is_swapped: bool,
    /// Two emitters and a relay.
    servers: [Node; 3],
    /// Emitters that reach the API server.
    is_linked: [bool; 2],
    reflector: Node,
    mirrors: Objects,
    /// Mirrors whose object the source lacked at some time since they were written.
    may_go: Objects,
    has_deleted_wrongly: bool,
}

/// One step of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// An object of the source is created or deleted.
    Change(u8),
    /// The source is backed up.
    BackUp,
    /// The backup of the source is restored.
    Rewind,
    /// Another cluster answers at the address of the API server, or the source again.
    Swap,
    /// An emitter loses the API server, and does not notice it yet.
    Part(Server),
    /// An emitter notices that it lost the API server.
    Notice(Server),
    /// An emitter reaches the API server again.
    Join(Server),
    /// A server restarts, and forgets everything.
    Restart(Server),
    /// The reflector restarts: its mirrors remain, and so does the cluster that they are of.
    RestartReflector,
    /// An emitter lists, and watches from there.
    Emit(Server),
    /// An emitter takes the events of its watch.
    Hear(Server),
    /// The relay lists an emitter, and watches from there.
    Relay(Server),
    /// The relay watches an emitter from what it knows.
    RelayResumes(Server),
    /// The relay takes the events of its watch.
    RelayHears,
    /// The reflector lists a server, and watches from there.
    Reflect(Server),
    /// The reflector watches a server from what it knows.
    Resume(Server),
    /// The reflector takes the events of its watch.
    ReflectorHears,
}

impl Fleet {
    /// A fleet in which everything was read once.
    pub(crate) fn new(budget: Budget) -> Self {
        let node = || Node::new(Expected::First);
        let mut fleet = Self {
            left: budget,
            truth: History::new(),
            backup: None,
            is_swapped: false,
            servers: [node(), node(), node()],
            is_linked: [true; 2],
            reflector: node(),
            mirrors: 0,
            may_go: 0,
            has_deleted_wrongly: false,
        };
        EMITTERS.iter().for_each(|it| fleet.emit(*it, evaluate));
        fleet.relay(0, evaluate);
        fleet.reflect(RELAY, evaluate);
        fleet
    }

    pub(crate) const fn has_deleted_wrongly(&self) -> bool {
        self.has_deleted_wrongly
    }

    /// Steps that may be next.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let left = &self.left;
        if 0 < left.changes {
            steps.extend((0..N_OBJECTS).map(Step::Change));
        }
        if 0 < left.rewinds {
            steps.push(match self.backup {
                None => Step::BackUp,
                Some(_) => Step::Rewind,
            });
        }
        if 0 < left.swaps || self.is_swapped {
            steps.push(Step::Swap);
        }
        for emitter in EMITTERS {
            if self.is_linked[usize::from(emitter)] {
                if 0 < left.partitions {
                    steps.push(Step::Part(emitter));
                }
                steps.extend([Step::Emit(emitter), Step::Hear(emitter)]);
            } else {
                steps.extend([Step::Join(emitter), Step::Notice(emitter)]);
            }
            steps.extend([Step::Relay(emitter), Step::RelayResumes(emitter)]);
        }
        if 0 < left.restarts {
            steps.extend([0, 1, RELAY].map(Step::Restart));
            steps.push(Step::RestartReflector);
        }
        for server in [0, 1, RELAY] {
            steps.extend([Step::Reflect(server), Step::Resume(server)]);
        }
        steps.extend([Step::RelayHears, Step::ReflectorHears]);
        steps
    }

    /// Takes a step.
    pub(crate) fn take(&mut self, step: Step, judge: Judge) {
        match step {
            Step::Change(object) => {
                self.left.changes -= 1;
                self.truth.toggle(object);
                self.look();
            }
            Step::BackUp => self.backup = Some(self.truth.clone()),
            Step::Rewind => self.rewind(),
            Step::Swap => self.swap(),
            Step::Part(emitter) => {
                self.left.partitions -= 1;
                self.is_linked[usize::from(emitter)] = false;
            }
            Step::Notice(emitter) => self.servers[usize::from(emitter)].watches = None,
            Step::Join(emitter) => {
                self.is_linked[usize::from(emitter)] = true;
                self.servers[usize::from(emitter)].watches = None;
            }
            Step::Restart(server) => {
                self.left.restarts -= 1;
                self.restart(server);
            }
            Step::RestartReflector => {
                self.left.restarts -= 1;
                self.restart_reflector();
            }
            Step::Emit(emitter) => self.emit(emitter, judge),
            Step::Hear(emitter) => self.hear(emitter),
            Step::Relay(emitter) => self.relay(emitter, judge),
            Step::RelayResumes(emitter) => {
                let mut relay = self.servers[2].clone();
                let offered = relay.position().and_then(|at| self.watch_of(emitter, at));
                if let Some(offered) = offered {
                    relay.watch(emitter, &offered, judge);
                    self.servers[2] = relay;
                }
            }
            Step::RelayHears => self.relay_hears(),
            Step::Reflect(server) => self.reflect(server, judge),
            Step::Resume(server) => {
                let position = self.reflector.position();
                let offered = position.and_then(|at| self.watch_of(server, at));
                if let Some(offered) = offered {
                    self.reflector.watch(server, &offered, judge);
                }
            }
            Step::ReflectorHears => self.reflector_hears(),
        }
    }

    /// Whether the fleet comes right after the last fault, in a few rounds.
    pub(crate) fn heals(mut self, judge: Judge) -> bool {
        self.is_swapped = false;
        self.is_linked = [true; 2];
        for node in &mut self.servers {
            node.watches = None;
            // A program serves the cluster that it met first, until somebody restarts it.
            if node.known.cluster.as_deref() == Some(OTHER) {
                *node = Node::new(Expected::First);
            }
        }
        if self.reflector.known.cluster.as_deref() == Some(OTHER) {
            self.reflector = Node::new(Expected::Any);
        }
        // As often as a rewound history needs, at each stage.
        for _ in 0..4 {
            EMITTERS.iter().for_each(|it| self.emit(*it, judge));
        }
        for _ in 0..4 {
            self.relay(0, judge);
        }
        for _ in 0..4 {
            self.reflect(RELAY, judge);
        }
        self.mirrors == self.truth.objects
    }

    /// Notes which mirrors the source lacks now.
    fn look(&mut self) {
        self.may_go |= !self.truth.objects;
    }

    fn rewind(&mut self) {
        let Some(backup) = self.backup.take() else {
            return;
        };
        self.left.rewinds -= 1;
        self.truth = backup;
        // Connections to an API server that stops break.
        for emitter in EMITTERS {
            self.servers[usize::from(emitter)].watches = None;
        }
        self.look();
    }

    fn swap(&mut self) {
        if !self.is_swapped {
            self.left.swaps -= 1;
        }
        self.is_swapped = !self.is_swapped;
        for emitter in EMITTERS {
            self.servers[usize::from(emitter)].watches = None;
        }
    }

    fn restart(&mut self, server: Server) {
        self.servers[usize::from(server)] = Node::new(Expected::First);
        self.reflector.watches.take_if(|it| *it == server);
        self.servers[2].watches.take_if(|it| *it == server);
    }

    fn restart_reflector(&mut self) {
        let cluster = self.reflector.known.cluster.clone();
        let expected = match cluster.filter(|_| self.mirrors != 0) {
            Some(cluster) => Expected::OneOf([cluster].into()),
            None => Expected::First,
        };
        self.reflector = Node::new(expected);
    }

    /// What answers at the address of the API server.
    fn api(&self) -> (&'static str, History) {
        match self.is_swapped {
            false => (SOURCE, self.truth.clone()),
            true => (OTHER, other()),
        }
    }

    fn emit(&mut self, emitter: Server, judge: Judge) {
        let (cluster, data) = self.api();
        let offered = evidence(cluster, true, Read::Confirmed, data.at);
        let node = &mut self.servers[usize::from(emitter)];
        let ruling = node.list(&offered, &data, judge);
        if ruling.absences_count() {
            node.watches = Some(emitter);
        }
        self.end_watches_of(emitter, ruling);
    }

    /// A history that went back ends all watches of it: 410.
    fn end_watches_of(&mut self, server: Server, ruling: Ruling) {
        if ruling == Ruling::Rewound {
            self.reflector.watches.take_if(|it| *it == server);
            self.servers[2]
                .watches
                .take_if(|it| *it == server && server != RELAY);
        }
    }

    fn hear(&mut self, emitter: Server) {
        let (_, data) = self.api();
        let node = &mut self.servers[usize::from(emitter)];
        if node.is_connected() {
            node.advance(data.at);
            node.data = Some(data);
        }
    }

    /// Whether a server can confirm its data with the API server now; `None` where it does not
    /// respond, because it lags behind what it compared with.
    fn confirms(&self, server: Server) -> Option<Read> {
        if server == RELAY {
            // A comparison goes by the address of both emitters.
            let emitter = self.servers[2].watches.unwrap_or(0);
            let read = self.confirms(emitter)?;
            let (ours, theirs) = (&self.servers[2], &self.servers[usize::from(emitter)]);
            let is_same = ours.known.cluster == theirs.known.cluster;
            return match (read, is_same && theirs.is_connected()) {
                (Read::Confirmed, true) => (ours.data == theirs.data).then_some(read),
                _ => Some(Read::Cached),
            };
        }
        let node = &self.servers[usize::from(server)];
        let (cluster, api) = self.api();
        let is_same = node.known.cluster.as_deref() == Some(cluster);
        let is_older = node.data.as_ref().is_some_and(|it| api.at < it.at);
        if !self.is_linked[usize::from(server)] || !is_same || is_older {
            return Some(Read::Cached);
        }
        (node.data.as_ref() == Some(&api)).then_some(Read::Confirmed)
    }

    fn is_connected(&self, server: Server) -> bool {
        let node = &self.servers[usize::from(server)];
        match (server, node.watches) {
            (RELAY, Some(emitter)) => self.servers[usize::from(emitter)].is_connected(),
            (_, watches) => watches.is_some(),
        }
    }

    /// List that a server returns, if it responds.
    fn list_of(&self, server: Server) -> Option<(Evidence, History)> {
        let node = &self.servers[usize::from(server)];
        let data = node.data.clone()?;
        let read = self.confirms(server)?;
        let cluster = node.known.cluster.as_deref().unwrap_or(SOURCE);
        let offered = evidence(cluster, self.is_connected(server), read, data.at);
        Some((offered, data))
    }

    /// Evidence of a watch that a server opens, if it has reached that resource version.
    fn watch_of(&self, server: Server, at: u8) -> Option<Evidence> {
        let node = &self.servers[usize::from(server)];
        let data = node.data.as_ref().filter(|it| at <= it.at)?;
        let cluster = node.known.cluster.as_deref().unwrap_or(SOURCE);
        let is_connected = self.is_connected(server);
        Some(evidence(cluster, is_connected, Read::Resumed, data.at))
    }

    fn relay(&mut self, emitter: Server, judge: Judge) {
        let Some((offered, data)) = self.list_of(emitter) else {
            return;
        };
        let relay = &mut self.servers[2];
        let ruling = relay.list(&offered, &data, judge);
        if ruling.absences_count() {
            relay.watches = Some(emitter);
        }
        self.end_watches_of(RELAY, ruling);
    }

    fn relay_hears(&mut self) {
        let Some(emitter) = self.servers[2].watches else {
            return;
        };
        let data = self.servers[usize::from(emitter)].data.clone();
        let relay = &mut self.servers[2];
        match (data, relay.position()) {
            (Some(data), Some(at)) if at <= data.at => {
                relay.advance(data.at);
                relay.data = Some(data);
            }
            // The history began again: 410.
            _ => relay.watches = None,
        }
    }

    fn reflect(&mut self, server: Server, judge: Judge) {
        let Some((offered, data)) = self.list_of(server) else {
            return;
        };
        match self.reflector.list(&offered, &data, judge) {
            Ruling::Replace | Ruling::Rewound => {
                self.reflector.watches = Some(server);
                self.delete(self.mirrors & !data.objects);
                self.write(data.objects);
            }
            Ruling::AddOnly(_) => self.write(data.objects),
            Ruling::Ignore(_) => {}
        }
    }

    fn reflector_hears(&mut self) {
        let Some(server) = self.reflector.watches else {
            return;
        };
        let data = self.servers[usize::from(server)].data.clone();
        match (data, self.reflector.position()) {
            (Some(data), Some(at)) if at <= data.at => {
                for change in data.since(at) {
                    match change.exists {
                        true => self.write(1 << change.object),
                        false => self.delete(self.mirrors & (1 << change.object)),
                    }
                }
                self.reflector.advance(data.at);
            }
            _ => self.reflector.watches = None,
        }
    }

    fn write(&mut self, objects: Objects) {
        self.mirrors |= objects;
        self.may_go &= !objects;
        self.look();
    }

    fn delete(&mut self, objects: Objects) {
        self.mirrors &= !objects;
        self.has_deleted_wrongly |= objects & !self.may_go != 0;
    }
}
