//! An emitter, a relay or a reflector: what it knows and whether it is connected.

use proto_types::ResourceVersion;
use proto_types::evidence::{Evidence, Expected, Known, Objection, Read, Ruling, Upstream};

use crate::Judge;
use crate::truth::History;

/// Name of the source cluster.
pub(crate) const SOURCE: &str = "source";
/// Name of the cluster that may answer for it.
pub(crate) const OTHER: &str = "other";

/// A program that follows a server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    /// State of its reader.
    pub(crate) known: Known,
    /// Objects and history that it serves; none before the first list.
    pub(crate) data: Option<History>,
    /// Server whose watch is open.
    pub(crate) watches: Option<u8>,
}

impl Node {
    pub(crate) fn new(expected: Expected) -> Self {
        Self {
            known: Known::expecting(expected),
            data: None,
            watches: None,
        }
    }

    /// Takes a list. Returns the ruling.
    pub(crate) fn list(&mut self, evidence: &Evidence, data: &History, judge: Judge) -> Ruling {
        let ruling = judge(&self.known, evidence);
        self.known = self.known.after(evidence, &ruling);
        self.watches = None;
        match ruling {
            Ruling::Replace | Ruling::Rewound => self.data = Some(data.clone()),
            // A store serves the state of one moment, and adds nothing to it.
            Ruling::AddOnly(_) if self.data.is_none() => self.data = Some(data.clone()),
            Ruling::AddOnly(_) | Ruling::Ignore(_) => {}
        }
        ruling
    }

    /// Opens a watch at a server. Returns whether it was opened.
    pub(crate) fn watch(&mut self, server: u8, evidence: &Evidence, judge: Judge) -> bool {
        match judge(&self.known, evidence) {
            Ruling::Ignore(Objection::OtherView) => {
                self.known.position = None;
                false
            }
            Ruling::Ignore(_) => false,
            Ruling::Replace | Ruling::Rewound | Ruling::AddOnly(_) => {
                self.watches = Some(server);
                true
            }
        }
    }

    /// Resource version up to which everything is known.
    pub(crate) fn position(&self) -> Option<u8> {
        let position = self.known.position?;
        u8::try_from(position.number()).ok()
    }

    pub(crate) fn advance(&mut self, at: u8) {
        self.known.advance(ResourceVersion::new(at.into()));
    }

    /// Whether it reports that it is connected to its upstream.
    pub(crate) const fn is_connected(&self) -> bool {
        self.watches.is_some()
    }
}

/// Evidence of an answer.
pub(crate) fn evidence(cluster: &str, is_connected: bool, read: Read, at: u8) -> Evidence {
    Evidence {
        cluster: Some(cluster.into()),
        upstream: match is_connected {
            true => Upstream::Connected,
            false => Upstream::Disconnected("lost".into()),
        },
        read,
        ..Evidence::confirmed(ResourceVersion::new(at.into()))
    }
}
