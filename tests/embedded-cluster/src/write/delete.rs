//! Delete: what goes, and what goes with it.

use std::sync::Arc;

use emitter_cache::{Entry, Scope};
use proto_types::status::Details;
use proto_types::{LabelSelector, ObjectKey, Status};
use serde::Deserialize;
use serde_json::{Value, json};

use super::now;
use crate::Kind;
use crate::metadata::{has_finalizers, named, set, text};
use crate::state::{State, Storage, value};

/// What a deletion asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct DeleteOptions {
    pub(crate) preconditions: Preconditions,
    pub(crate) dry_run: Vec<String>,
    pub(crate) propagation_policy: Option<String>,
}

/// What must be so for a deletion.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

impl Storage {
    /// Deletes an object, or marks it where something keeps it.
    pub(crate) fn delete(
        &self,
        kind: Kind,
        key: &ObjectKey,
        options: &DeleteOptions,
    ) -> Result<Arc<Entry>, Status> {
        let mut state = self.lock();
        let entry = self.cache(kind).get(key);
        let entry = entry.ok_or_else(|| Status::not_found(kind.names(), key.name()))?;
        let mut object = value(&entry);
        check_preconditions(kind, &object, &options.preconditions)?;
        if kind == Kind::Namespaces && PERMANENT.contains(&key.name()) {
            return Err(forbidden_namespace(key.name()));
        }
        if !options.dry_run.is_empty() {
            return Ok(entry);
        }
        if has_finalizers(&object) {
            if text(&object, "deletionTimestamp").is_empty() {
                set(&mut object, "deletionTimestamp", now());
                set(&mut object, "deletionGracePeriodSeconds", 0);
                return Ok(self.put(&mut state, kind, object));
            }
            return Ok(entry);
        }
        let dependents = match options.propagation_policy.as_deref() {
            Some("Orphan") => Dependents::Stay,
            _ => Dependents::Go,
        };
        self.take_away(&mut state, kind, key, dependents);
        Ok(entry)
    }

    /// Removes an object, and what goes with it.
    pub(super) fn take_away(
        &self,
        state: &mut State,
        kind: Kind,
        key: &ObjectKey,
        dependents: Dependents,
    ) {
        let Some(object) = self.get(kind, key) else {
            return;
        };
        if kind == Kind::Services {
            state.addresses.release(&object["spec"], &Value::Null);
        }
        self.remove(state, kind, key);
        if kind == Kind::Namespaces {
            self.empty(state, key.name());
        }
        let orphans = state.orphans(text(&object, "uid"));
        if dependents == Dependents::Stay {
            return;
        }
        for (kind, key) in orphans {
            let orphan = self.get(kind, &key);
            if orphan.is_some_and(|it| !state.has_owner(&it) && !has_finalizers(&it)) {
                self.take_away(state, kind, &key, Dependents::Go);
            }
        }
    }

    /// Removes what is in a namespace.
    fn empty(&self, state: &mut State, namespace: &str) {
        let all = LabelSelector::default();
        let kinds = Kind::ALL.into_iter();
        // A twin goes with its original.
        for kind in kinds.filter(|it| it.is_namespaced() && *it != Kind::Events) {
            let scope = Scope::Namespace(namespace.to_owned());
            for entry in self.list(kind, scope, &all) {
                self.take_away(state, kind, entry.key(), Dependents::Stay);
            }
        }
    }
}

/// What becomes of what an object owned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dependents {
    Go,
    Stay,
}

/// What every cluster needs.
const PERMANENT: [&str; 3] = ["default", "kube-system", "kube-public"];

fn check_preconditions(kind: Kind, object: &Value, asked: &Preconditions) -> Result<(), Status> {
    let name = text(object, "name");
    let qualified = kind.names().kind;
    let check = |what: &str, asked: &Option<String>, is: &str, hint: &str| match asked {
        Some(asked) if asked != is => {
            let message = format!(
                "Operation cannot be fulfilled on {qualified} {name:?}: the {what} in the \
                 precondition ({asked}) does not match the {what} in record ({is}). \
                 The object might have been {hint}"
            );
            Err(Status::failure(409, "Conflict", message).about(Details {
                name: name.to_owned(),
                kind: qualified.to_owned(),
                ..Details::default()
            }))
        }
        Some(_) | None => Ok(()),
    };
    let uid = text(object, "uid");
    check("UID", &asked.uid, uid, "deleted and then recreated")?;
    let version = text(object, "resourceVersion");
    check(
        "ResourceVersion",
        &asked.resource_version,
        version,
        "modified",
    )
}

fn forbidden_namespace(name: &str) -> Status {
    let message = format!("namespaces {name:?} is forbidden: this namespace may not be deleted");
    Status::failure(403, "Forbidden", message).about(Details {
        name: name.to_owned(),
        kind: "namespaces".to_owned(),
        ..Details::default()
    })
}

/// The answer to a deletion that left nothing to show.
pub(crate) fn gone(kind: Kind, name: &str, uid: &str) -> Value {
    let names = kind.names();
    let mut status = named("v1", "Status", "");
    status["metadata"] = json!({});
    status["status"] = json!("Success");
    status["details"] = json!({ "name": name, "kind": names.plural, "uid": uid });
    if !names.group.is_empty() {
        status["details"]["group"] = names.group.into();
    }
    status
}
