//! The source cluster: its history, its backup, and the cluster that may answer for it.

/// Objects, one bit each.
pub(crate) type Objects = u8;

/// Number of objects.
pub(crate) const N_OBJECTS: u8 = 2;

/// Change of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    /// Resource version.
    pub(crate) at: u8,
    /// Object.
    pub(crate) object: u8,
    /// Whether it exists afterwards.
    pub(crate) exists: bool,
}

/// History of a server, and the state that it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct History {
    /// Changes, oldest first.
    pub(crate) changes: Vec<Change>,
    /// Objects that exist now.
    pub(crate) objects: Objects,
    /// Resource version.
    pub(crate) at: u8,
}

impl History {
    /// A cluster with one object.
    pub(crate) const fn new() -> Self {
        Self {
            changes: Vec::new(),
            objects: 1,
            at: 1,
        }
    }

    /// Creates or deletes an object.
    pub(crate) fn toggle(&mut self, object: u8) {
        let exists = self.objects & (1 << object) == 0;
        self.at += 1;
        self.objects ^= 1 << object;
        self.changes.push(Change {
            at: self.at,
            object,
            exists,
        });
    }

    /// Changes after a resource version.
    pub(crate) fn since(&self, at: u8) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |it| at < it.at)
    }
}

/// Another cluster, which has nothing of what the source has.
pub(crate) const fn other() -> History {
    History {
        changes: Vec::new(),
        objects: 0,
        at: 9,
    }
}
