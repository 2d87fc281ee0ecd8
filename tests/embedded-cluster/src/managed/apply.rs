//! Server-side apply: what a configuration makes of an object, and of who owns it.

use proto_types::Status;
use proto_types::status::{Details, StatusCause};
use serde_json::Value;

use super::entries::{Entries, Manager, Operation};
use super::set::Set;
use super::shape::{self, Shape};
use super::value::{compare, fields_of, merge, with_fields_around, without};
use super::{Writer, bare, changed, empty, last_applied, store, unowned};

/// What is applied, and how firmly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Application<'a> {
    pub(crate) config: &'a Value,
    pub(crate) force: bool,
}

/// Merges a configuration into an object, or makes one of it.
pub(crate) fn apply(
    writer: Writer<'_>,
    old: Option<&Value>,
    application: Application<'_>,
) -> Result<Value, Status> {
    let empty = empty(writer.kind);
    let live = old.unwrap_or(&empty);
    let entries = Entries::parse(&live["metadata"]["managedFields"]).unwrap_or_default();
    let entries = match entries.is_empty() && old.is_some() {
        true => {
            let before = Writer {
                name: "before-first-apply",
                ..writer
            };
            changed(before, entries, &empty, live)
        }
        false => entries,
    };
    let attempt = |force| {
        attempt(
            writer,
            &entries,
            &bare(live),
            Application {
                force,
                ..application
            },
        )
    };
    let (mut new, entries) = match attempt(application.force) {
        Err(conflicts) if writer.name == "kubectl" => {
            // What kubectl applied itself before is its own.
            let own = last_applied::own_fields(writer.kind, live);
            let left: Vec<_> = conflicts.iter().filter_map(|it| it.outside(&own)).collect();
            match left.is_empty() {
                true => attempt(true).map_err(|it| conflict(&it))?,
                false => return Err(conflict(&left)),
            }
        }
        attempted => attempted.map_err(|it| conflict(&it))?,
    };
    if writer.name == "kubectl" {
        last_applied::renew(&mut new, application.config);
    }
    store(&entries, &mut new);
    Ok(new)
}

/// What somebody else owns with another value.
#[derive(Debug, Clone)]
struct Conflict {
    manager: Manager,
    fields: Set,
}

impl Conflict {
    fn outside(&self, own: &Set) -> Option<Self> {
        let fields = self.fields.difference(own);
        (!fields.is_empty()).then(|| Self {
            fields,
            manager: self.manager.clone(),
        })
    }
}

fn attempt(
    writer: Writer<'_>,
    entries: &Entries,
    live: &Value,
    Application { config, force }: Application<'_>,
) -> Result<(Value, Entries), Vec<Conflict>> {
    let shape = shape::of(writer.kind);
    let reset = writer.reset();
    let mut entries = entries.clone();
    let merged = merge(shape, Some(live), Some(config)).unwrap_or_default();
    let fields = fields_of(shape, config).outside(&reset);
    let manager = writer.manager(Operation::Apply);
    let last = entries.set(manager.clone(), fields.clone(), None);
    let new = match last {
        Some(last) => prune(shape, &merged, &entries, &last),
        None => merged,
    };
    let change = compare(shape, Some(live), Some(&new)).outside(&reset);
    let taken = change.modified.union(&change.added);
    let version = writer.kind.names().api_version;
    let conflicts: Vec<Conflict> = entries
        .owners()
        .filter(|(it, _)| **it != manager && it.api_version == version)
        .filter_map(|(owner, fields)| {
            let fields = fields.intersection(&taken);
            let manager = owner.clone();
            (!fields.is_empty()).then_some(Conflict { manager, fields })
        })
        .collect();
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    let spared = Some(&manager);
    entries.take(&taken.union(&change.removed), writer.kind, spared);
    let is_new = *live != new;
    let own = fields.difference(&unowned());
    entries.set(manager, own, is_new.then_some(writer.now));
    Ok((new, entries))
}

/// Without what was applied last time, and now by nobody.
fn prune(shape: Shape, merged: &Value, entries: &Entries, last: &Set) -> Value {
    let around = |set: &Set| with_fields_around(shape, set);
    let all = around(&fields_of(shape, merged));
    let without_last = without(shape, merged, &around(last));
    let left = around(&fields_of(shape, &without_last));
    let owned = entries
        .owners()
        .fold(Set::default(), |all, (_, it)| all.union(it));
    let gone = all.difference(&left.union(&around(&owned)));
    let pruned = without(shape, merged, &gone);
    // Of what nobody owns, only what was ours goes.
    let left = around(&fields_of(shape, &pruned));
    let gone = all.difference(&left).intersection(&around(last));
    without(shape, merged, &gone)
}

fn conflict(conflicts: &[Conflict]) -> Status {
    let causes: Vec<StatusCause> = conflicts
        .iter()
        .flat_map(|it| {
            it.fields
                .paths()
                .into_iter()
                .map(|path| (&it.manager, path))
        })
        .map(|(manager, field)| StatusCause {
            reason: "FieldManagerConflict".to_owned(),
            message: format!("conflict with {manager}"),
            field,
        })
        .collect();
    let message = match causes.as_slice() {
        [one] => format!("1 conflict: {}: {}", one.message, one.field),
        all => {
            let managers = conflicts.iter().map(|it| {
                let paths: Vec<String> = it.fields.paths();
                format!("conflicts with {}:\n- {}", it.manager, paths.join("\n- "))
            });
            let managers: Vec<String> = managers.collect();
            format!("{} conflicts: {}", all.len(), managers.join("\n"))
        }
    };
    let message = format!("Apply failed with {message}");
    Status::failure(409, "Conflict", message).about(Details {
        causes,
        ..Details::default()
    })
}
