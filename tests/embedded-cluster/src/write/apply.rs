//! Server-side apply, and who owns what a write changes.

use proto_types::{ObjectKey, Status};
use serde_json::Value;

use super::{Intent, Outcome, Ownership, Part, admitted, now, other_name};
use crate::managed::{self, Application, Writer};
use crate::metadata::{text, unset};
use crate::state::Storage;
use crate::{Kind, defaults};

/// A write, as far as owners are concerned.
pub(super) struct Writing<'a> {
    pub(super) kind: Kind,
    pub(super) part: Part,
    pub(super) old: Option<&'a Value>,
}

impl Writing<'_> {
    /// Notes in an object who owns what of it.
    pub(super) fn own(&self, new: &mut Value, ownership: &Ownership) {
        let name = match ownership {
            Ownership::Said => return,
            Ownership::Untold => {
                unset(new, "managedFields");
                let owners = self.old.map(|it| it["metadata"]["managedFields"].clone());
                if let Some(owners) = owners.filter(|it| !it.is_null()) {
                    new["metadata"]["managedFields"] = owners;
                }
                return;
            }
            Ownership::Manager(name) => name,
        };
        // A default is what was not said, and is owned as if it had been.
        let mut whole = new.clone();
        defaults::fill(self.kind, &mut whole);
        let writer = Writer {
            kind: self.kind,
            part: self.part,
            name,
            now: &now(),
        };
        managed::updated(writer, self.old, &mut whole);
        unset(new, "managedFields");
        if let Some(owners) = unset(&mut whole, "managedFields") {
            new["metadata"]["managedFields"] = owners;
        }
    }
}

impl Storage {
    /// Applies a configuration; makes an object of it where there is none.
    pub(crate) fn apply(
        &self,
        (kind, key, part): (Kind, &ObjectKey, Part),
        name: &str,
        application: Application<'_>,
        intent: &Intent,
    ) -> Result<Outcome, Status> {
        managed::check(kind, application.config)?;
        let mut state = self.lock();
        let old = self.get(kind, key);
        let writer = Writer {
            kind,
            part,
            name,
            now: &now(),
        };
        let new = managed::apply(writer, old.as_ref(), application)?;
        let intent = Intent {
            ownership: Ownership::Said,
            ..intent.clone()
        };
        let (new, warnings) = admitted(kind, new, &intent)?;
        if text(&new, "name") != key.name() {
            return Err(other_name(text(&new, "name"), key.name()));
        }
        let Some(old) = old else {
            drop(state);
            return match part {
                Part::Main => {
                    let mut new = new;
                    unset(&mut new, "resourceVersion");
                    self.create(kind, key.namespace(), new, &intent)
                }
                Part::Status => Err(Status::not_found(kind.names(), key.name())),
            };
        };
        let entry = self.replace(&mut state, kind, &old, part, new, &intent)?;
        Ok(Outcome {
            entry,
            is_new: false,
            warnings,
        })
    }
}
