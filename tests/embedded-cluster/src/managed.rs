//! Who manages which fields of an object, and server-side apply.
//!
//! Every write makes its manager the owner of what it changed, and takes from others what
//! they no longer have. Who applies owns what is applied, meets a conflict where somebody
//! else owns another value, and gives up what is no longer applied, which goes if nobody
//! else owns it.

mod apply;
mod check;
mod entries;
mod last_applied;
mod set;
mod shape;
mod value;

use serde_json::{Value, json};

pub(crate) use self::apply::{Application, apply};
pub(crate) use self::check::check;
use self::entries::{Entries, Manager, Operation};
use self::set::Set;
use self::value::compare;
use crate::Kind;
use crate::metadata::{set as put, unset};
use crate::write::Part;

/// Of more managers than that, the oldest become one.
const MAX_UPDATERS: usize = 10;

/// Who writes, and which part.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) kind: Kind,
    pub(crate) part: Part,
    pub(crate) name: &'a str,
    /// The present moment.
    pub(crate) now: &'a str,
}

impl Writer<'_> {
    fn manager(&self, operation: Operation) -> Manager {
        let name = match self.name {
            "" => "unknown",
            name => name,
        };
        Manager {
            name: name.to_owned(),
            operation,
            api_version: self.kind.names().api_version.to_owned(),
            subresource: match self.part {
                Part::Main => String::new(),
                Part::Status => "status".to_owned(),
            },
        }
    }

    /// What this write leaves as it is.
    fn reset(&self) -> Set {
        match self.part {
            Part::Main if self.kind.has_status() => Set::of_path(&["status"]),
            Part::Main => Set::default(),
            Part::Status => Set::of_path(&["spec"]),
        }
    }
}

/// Notes in an object who owns what, after it was made of what it was.
pub(crate) fn updated(writer: Writer<'_>, old: Option<&Value>, new: &mut Value) {
    let live = old.map_or(&Value::Null, |it| &it["metadata"]["managedFields"]);
    let sent = unset(new, "managedFields");
    let entries = match (writer.part, sent) {
        (Part::Main, Some(sent)) if is_reset(&sent) => Entries::default(),
        (Part::Main, Some(sent)) => match Entries::parse(&sent) {
            Some(entries) if !entries.is_empty() => entries,
            // A client that knows nothing of them does not remove them.
            Some(_) | None => Entries::parse(live).unwrap_or_default(),
        },
        _ => Entries::parse(live).unwrap_or_default(),
    };
    if old.is_some() && entries.is_empty() {
        return;
    }
    let empty = empty(writer.kind);
    let entries = changed(writer, entries, old.unwrap_or(&empty), new);
    store(&entries, new);
}

fn is_reset(sent: &Value) -> bool {
    let entries = sent.as_array().map_or(&[][..], Vec::as_slice);
    match entries {
        [] => true,
        [one] => one
            .as_object()
            .is_some_and(crate::metadata::Object::is_empty),
        _ => false,
    }
}

/// Who owns what, once one has changed an object.
fn changed(writer: Writer<'_>, mut entries: Entries, old: &Value, new: &Value) -> Entries {
    let (old, new) = (bare(old), bare(new));
    let reset = writer.reset();
    let change = compare(shape::of(writer.kind), Some(&old), Some(&new));
    let change = change.outside(&reset);
    let taken = change.modified.union(&change.added);
    entries.take(&taken.union(&change.removed), writer.kind, None);
    let taken = taken.difference(&unowned());
    if !taken.is_empty() {
        entries.give(writer.manager(Operation::Update), &taken, writer.now);
    }
    entries.bound(MAX_UPDATERS);
    entries
}

fn store(entries: &Entries, object: &mut Value) {
    match entries.is_empty() {
        true => drop(unset(object, "managedFields")),
        false => put(object, "managedFields", entries.to_json()),
    }
}

/// An object without what is said of its fields.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    unset(&mut object, "managedFields");
    object
}

/// What nobody owns.
fn unowned() -> Set {
    const OF_METADATA: [&str; 9] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let top = ["apiVersion", "kind", "metadata"].map(|it| Set::of_path(&[it]));
    let inner = OF_METADATA.map(|it| Set::of_path(&["metadata", it]));
    let all = top.iter().chain(&inner);
    all.fold(Set::default(), |all, it| all.union(it))
}

/// An object of which nothing is said.
fn empty(kind: Kind) -> Value {
    let text = format!(r#"{{"metadata":{{}}{}"#, kind.form().empty_tail);
    let mut empty: Value = serde_json::from_str(&text).expect("an object without anything");
    if kind == Kind::Events {
        empty["deprecatedFirstTimestamp"] = Value::Null;
        empty["deprecatedLastTimestamp"] = Value::Null;
    }
    empty["apiVersion"] = json!(kind.names().api_version);
    empty["kind"] = json!(kind.names().kind);
    empty
}

/// Whether the same is owned by the same, whenever that was.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    let entries = |object: &Value| {
        let entries = Entries::parse(&object["metadata"]["managedFields"]);
        entries.map(Entries::without_times)
    };
    entries(a) == entries(b)
}
