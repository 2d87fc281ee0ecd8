//! Create, update, delete: what is stored, and what is refused.
//!
//! Invariant: a write is decided and stored under one lock, so that of two that met
//! the same version one wins and the other is told.

mod apply;
mod delete;
mod intent;

use std::sync::Arc;

use emitter_cache::Entry;
use jiff::Timestamp;
use proto_types::{ObjectKey, Status};
use serde_json::{Value, json};

use crate::Kind;
use crate::decode::{Decoded, decode};
use crate::managed;
use crate::metadata::{has_finalizers, key, same, same_content, set, text, unset};
use crate::refusal::{MODIFIED, Wrong, already_exists, conflict, invalid};
use crate::state::{State, Storage, value};
use crate::{defaults, service, validate};

use self::apply::Writing;
use self::delete::Dependents;
pub(crate) use self::delete::{DeleteOptions, gone};
pub(crate) use self::intent::{Intent, Ownership, Validation};

/// What came of a write.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) entry: Arc<Entry>,
    pub(crate) is_new: bool,
    pub(crate) warnings: Vec<String>,
}

/// Which part of an object a write is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but its status.
    Main,
    /// Its status.
    Status,
}

impl Storage {
    /// Stores a new object.
    pub(crate) fn create(
        &self,
        kind: Kind,
        namespace: &str,
        sent: Value,
        intent: &Intent,
    ) -> Result<Outcome, Status> {
        let (mut new, warnings) = admitted(kind, sent, intent)?;
        place(kind, &mut new, namespace)?;
        if !text(&new, "resourceVersion").is_empty() {
            return Err(Status::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        generate_name(&mut new);
        let mut state = self.lock();
        self.has_namespace(kind, namespace)?;
        let key = key(&new);
        let name = key.name().to_owned();
        set(&mut new, "uid", uuid::Uuid::new_v4().to_string());
        set(&mut new, "creationTimestamp", now());
        unset(&mut new, "deletionTimestamp");
        defaults::fill(kind, &mut new);
        let writer = Writing {
            kind,
            part: Part::Main,
            old: None,
        };
        writer.own(&mut new, &intent.ownership);
        if kind == Kind::Namespaces {
            new["spec"]["finalizers"] = json!(["kubernetes"]);
        }
        if kind == Kind::EndpointSlices || kind.is_custom() {
            set(&mut new, "generation", 1);
        }
        if kind.is_custom() {
            // A status is written apart.
            remove(&mut new, "status");
        }
        refuse(kind, &name, validate::check(kind, &new))?;
        if self.cache(kind).get(&key).is_some() {
            return Err(already_exists(kind, &name));
        }
        let entry = self.settle(&mut state, kind, &Value::Null, new, intent)?;
        Ok(Outcome {
            entry,
            is_new: true,
            warnings,
        })
    }

    /// Replaces an object; creates it where there is none and the kind allows that.
    pub(crate) fn update(
        &self,
        kind: Kind,
        key: &ObjectKey,
        part: Part,
        sent: Value,
        intent: &Intent,
    ) -> Result<Outcome, Status> {
        let (new, warnings) = admitted(kind, sent, intent)?;
        if text(&new, "name") != key.name() {
            return Err(other_name(text(&new, "name"), key.name()));
        }
        let mut state = self.lock();
        let Some(old) = self.get(kind, key) else {
            drop(state);
            let creates = part == Part::Main && creates_on_update(kind);
            if !creates || !text(&new, "resourceVersion").is_empty() {
                return Err(Status::not_found(kind.names(), key.name()));
            }
            return self.create(kind, key.namespace(), new, intent);
        };
        let entry = self.replace(&mut state, kind, &old, part, new, intent)?;
        Ok(Outcome {
            entry,
            is_new: false,
            warnings,
        })
    }

    /// Makes of an object what `change` makes of it.
    pub(crate) fn change(
        &self,
        kind: Kind,
        key: &ObjectKey,
        part: Part,
        intent: &Intent,
        change: impl FnOnce(&Value) -> Result<Value, Status>,
    ) -> Result<Outcome, Status> {
        let mut state = self.lock();
        let old = self.get(kind, key);
        let old = old.ok_or_else(|| Status::not_found(kind.names(), key.name()))?;
        let (new, warnings) = admitted(kind, change(&old)?, intent)?;
        if text(&new, "name") != key.name() {
            return Err(other_name(text(&new, "name"), key.name()));
        }
        let entry = self.replace(&mut state, kind, &old, part, new, intent)?;
        Ok(Outcome {
            entry,
            is_new: false,
            warnings,
        })
    }

    /// Puts a new version in place of an old one.
    fn replace(
        &self,
        state: &mut State,
        kind: Kind,
        old: &Value,
        part: Part,
        mut new: Value,
        intent: &Intent,
    ) -> Result<Arc<Entry>, Status> {
        let name = text(old, "name").to_owned();
        place(kind, &mut new, text(old, "namespace"))?;
        check_version(kind, old, &new)?;
        let writer = Writing {
            kind,
            part,
            old: Some(old),
        };
        writer.own(&mut new, &intent.ownership);
        let mut new = match part {
            Part::Main => {
                if kind.has_status() {
                    carry(old, &mut new, "status");
                }
                new
            }
            Part::Status => {
                let mut whole = new;
                carry(old, &mut whole, "spec");
                whole
            }
        };
        for field in KEPT {
            match &old["metadata"][field] {
                Value::Null => drop(unset(&mut new, field)),
                kept => set(&mut new, field, kept.clone()),
            }
        }
        if text(&new, "uid").is_empty() {
            set(&mut new, "uid", text(old, "uid"));
        }
        if kind == Kind::Namespaces {
            new["spec"] = old["spec"].clone();
        }
        if kind == Kind::Services {
            service::carry_over(&old["spec"], &mut new["spec"]);
            service::trim(&mut new["spec"]);
        }
        defaults::fill(kind, &mut new);
        let mut wrongs = validate::check_update(kind, old, &new);
        wrongs.extend(validate::check(kind, &new));
        if part == Part::Status {
            wrongs.extend(validate::check_status(kind, &new));
        }
        refuse(kind, &name, wrongs)?;
        self.settle(state, kind, old, new, intent)
    }

    /// Gives what must be given, and stores what is new.
    fn settle(
        &self,
        state: &mut State,
        kind: Kind,
        old: &Value,
        mut new: Value,
        intent: &Intent,
    ) -> Result<Arc<Entry>, Status> {
        let mut addresses = state.addresses.clone();
        if kind == Kind::Services {
            let mut spec = new["spec"].take();
            let given = addresses.give(&old["spec"], &mut spec);
            addresses.release(&old["spec"], &spec);
            new["spec"] = spec;
            let name = text(&new, "name").to_owned();
            given.map_err(|wrongs| invalid(kind, &name, wrongs))?;
        }
        let version = text(old, "resourceVersion").to_owned();
        set(&mut new, "resourceVersion", version);
        let is_same = same(old, &new) && managed::same(old, &new);
        let is_changed = match kind {
            Kind::EndpointSlices => !same_content(old, &new),
            kind => kind.is_custom() && old["spec"] != new["spec"],
        };
        if !old.is_null() && is_changed {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
            set(&mut new, "generation", generation + 1);
        }
        let key = key(&new);
        if intent.dry_run {
            return Ok(Self::pretend(kind, new));
        }
        if is_same {
            let stored = self.cache(kind).get(&key);
            return Ok(stored.expect("the old version is there under the lock"));
        }
        state.addresses = addresses;
        let is_going = !text(&new, "deletionTimestamp").is_empty();
        let entry = self.put(state, kind, new);
        if is_going && !has_finalizers(&value(&entry)) {
            self.take_away(state, kind, &key, Dependents::Go);
        }
        Ok(entry)
    }

    fn has_namespace(&self, kind: Kind, namespace: &str) -> Result<(), Status> {
        let key = ObjectKey::new("", namespace);
        let is_there = !kind.is_namespaced() || self.cache(Kind::Namespaces).get(&key).is_some();
        match is_there {
            true => Ok(()),
            false => Err(Status::not_found(Kind::Namespaces.names(), namespace)),
        }
    }
}

/// Metadata that a client cannot change.
const KEPT: [&str; 5] = [
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "generateName",
];

fn now() -> String {
    // Kubernetes keeps seconds.
    let now = Timestamp::now();
    let seconds = Timestamp::from_second(now.as_second());
    seconds.unwrap_or(now).to_string()
}

/// Reads what was sent, as strictly as was asked for.
fn admitted(kind: Kind, sent: Value, intent: &Intent) -> Result<(Value, Vec<String>), Status> {
    let Decoded { object, unknown } = decode(kind, sent)?;
    let named: Vec<String> = unknown
        .iter()
        .map(|field| format!("unknown field {field:?}"))
        .collect();
    match intent.validation {
        Validation::Strict if !named.is_empty() => {
            let names = kind.names();
            let version = names.api_version.rsplit('/').next().unwrap_or_default();
            Err(Status::bad_request(format!(
                "{} in version {version:?} cannot be handled as a {}: strict decoding error: {}",
                names.kind,
                names.kind,
                named.join(", ")
            )))
        }
        Validation::Warn => Ok((object, named)),
        Validation::Ignore | Validation::Strict => Ok((object, Vec::new())),
    }
}

/// Puts an object into the namespace of its path.
fn place(kind: Kind, object: &mut Value, namespace: &str) -> Result<(), Status> {
    if !kind.is_namespaced() {
        unset(object, "namespace");
        return Ok(());
    }
    let said = text(object, "namespace");
    if !said.is_empty() && said != namespace {
        return Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    set(object, "namespace", namespace);
    Ok(())
}

/// Completes a name of which only the beginning is said.
fn generate_name(object: &mut Value) {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let prefix = text(object, "generateName").to_owned();
    if text(object, "name").is_empty() && !prefix.is_empty() {
        let letter = || char::from(LETTERS[fastrand::usize(..LETTERS.len())]);
        let suffix: String = std::iter::repeat_with(letter).take(5).collect();
        set(object, "name", format!("{prefix}{suffix}"));
    }
}

/// Takes a part of an object as it was.
fn carry(old: &Value, new: &mut Value, part: &str) {
    match &old[part] {
        Value::Null => remove(new, part),
        kept => new[part] = kept.clone(),
    }
}

fn remove(object: &mut Value, part: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.remove(part);
    }
}

fn refuse(kind: Kind, name: &str, wrongs: Vec<Wrong>) -> Result<(), Status> {
    match wrongs.is_empty() {
        true => Ok(()),
        false => Err(invalid(kind, name, wrongs)),
    }
}

const fn creates_on_update(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Namespaces
            | Kind::EndpointSlices
            | Kind::ConfigMaps
            | Kind::Secrets
            | Kind::ServiceExports
            | Kind::ServiceImports
    )
}

fn other_name(said: &str, path: &str) -> Status {
    Status::bad_request(format!(
        "the name of the object ({said}) does not match the name on the URL ({path})"
    ))
}

/// A write names the version that it is about, or takes what there is.
fn check_version(kind: Kind, old: &Value, new: &Value) -> Result<(), Status> {
    let name = text(old, "name");
    let version = text(new, "resourceVersion");
    if version.is_empty() && (kind == Kind::Leases || kind.is_custom()) {
        let wrong = Wrong::invalid(
            "metadata.resourceVersion",
            &0,
            "must be specified for an update",
        );
        return Err(invalid(kind, name, vec![wrong]));
    }
    if !version.is_empty() && version != text(old, "resourceVersion") {
        return Err(conflict(kind, name, MODIFIED));
    }
    let (uid, had) = (text(new, "uid"), text(old, "uid"));
    if version.is_empty() && !uid.is_empty() && uid != had {
        let why =
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {had}");
        return Err(conflict(kind, name, &why));
    }
    Ok(())
}
