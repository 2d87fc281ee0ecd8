//! Values and sets: what a value has, how two differ, merging, and taking fields away.
//!
//! As Kubernetes' structured merge does it, whose invariants these are: the present is
//! never changed outside of what is applied, and what is taken away takes its inside
//! along.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::set::{Set, Step};
use super::shape::{Inside, Shape};

/// All fields that a value has.
pub(crate) fn fields_of(shape: Shape, value: &Value) -> Set {
    let mut set = Set::default();
    match shape.inside([Some(value), None]) {
        Inside::Nothing => set.join(),
        Inside::Object => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let mut inner = fields_of(shape.field(name), value);
                let is_empty = value.as_object().map_or(value.is_null(), Map::is_empty);
                if is_empty || !shape.has_named_fields() {
                    inner.join();
                }
                set.put(Step::field(name), inner);
            }
        }
        Inside::List => {
            let items = elements(shape, Some(value));
            for (step, item) in &items {
                let is_once = items.iter().filter(|(it, _)| it == step).count() == 1;
                let mut inner = match is_once {
                    true => fields_of(shape.element(), item),
                    false => Set::default(),
                };
                inner.join();
                set.put(step.clone(), inner);
            }
        }
    }
    set
}

fn elements(shape: Shape, list: Option<&Value>) -> Vec<(Step, &Value)> {
    let items = list.and_then(Value::as_array).into_iter().flatten();
    let named = items.enumerate().map(|(i, it)| (shape.step(i, it), it));
    named.collect()
}

/// The steps into a value, with what is there.
fn parts(shape: Shape, inside: Inside, value: Option<&Value>) -> Vec<(Step, &Value)> {
    match inside {
        Inside::Nothing => Vec::new(),
        Inside::List => elements(shape, value),
        Inside::Object => {
            let fields = value.and_then(Value::as_object).into_iter().flatten();
            fields
                .map(|(name, value)| (Step::field(name), value))
                .collect()
        }
    }
}

fn inner_shape(shape: Shape, step: &Step) -> Shape {
    match step {
        Step::Field(name) => shape.field(name),
        Step::Key(_) | Step::Value(_) | Step::Index(_) => shape.element(),
    }
}

fn find<'a>(parts: &[(Step, &'a Value)], step: &Step) -> Option<&'a Value> {
    let found = parts.iter().find(|(it, _)| it == step);
    found.map(|(_, value)| *value)
}

/// How two values differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Change {
    pub(crate) added: Set,
    pub(crate) modified: Set,
    pub(crate) removed: Set,
}

impl Change {
    /// What of it is elsewhere than in a set, and inside of it.
    pub(crate) fn outside(&self, set: &Set) -> Self {
        Self {
            added: self.added.outside(set),
            modified: self.modified.outside(set),
            removed: self.removed.outside(set),
        }
    }
}

/// Compares what was with what is.
pub(crate) fn compare(shape: Shape, old: Option<&Value>, new: Option<&Value>) -> Change {
    let mut change = Change::default();
    let inside = shape.inside([old, new]);
    let (olds, news) = (parts(shape, inside, old), parts(shape, inside, new));
    if olds.is_empty() && news.is_empty() {
        match (old, new) {
            (None, Some(_)) => change.added.join(),
            (Some(_), None) => change.removed.join(),
            (old, new) if old != new => change.modified.join(),
            _ => {}
        }
        return change;
    }
    let steps: BTreeSet<&Step> = olds.iter().chain(&news).map(|(step, _)| step).collect();
    for step in steps {
        let (old, new) = (find(&olds, step), find(&news, step));
        let inner = compare(inner_shape(shape, step), old, new);
        change.added.put(step.clone(), inner.added);
        change.modified.put(step.clone(), inner.modified);
        change.removed.put(step.clone(), inner.removed);
    }
    if old.is_none() {
        change.added.join();
    }
    if new.is_none() {
        change.removed.join();
    }
    change
}

/// What applying a configuration makes of what there is.
pub(crate) fn merge(shape: Shape, live: Option<&Value>, config: Option<&Value>) -> Option<Value> {
    let inside = shape.inside([live, config]);
    let (lives, configs) = (parts(shape, inside, live), parts(shape, inside, config));
    if lives.is_empty() && configs.is_empty() {
        return config.or(live).cloned();
    }
    let one = |step: &Step| {
        let shape = inner_shape(shape, step);
        merge(shape, find(&lives, step), find(&configs, step))
    };
    if inside == Inside::List {
        let items: Vec<Value> = merged_order(&lives, &configs)
            .into_iter()
            .filter_map(one)
            .collect();
        return Some(Value::Array(items));
    }
    let steps: BTreeSet<&Step> = lives.iter().chain(&configs).map(|(step, _)| step).collect();
    let fields = steps.into_iter().filter_map(|step| match step {
        Step::Field(name) => Some((name.clone(), one(step)?)),
        Step::Key(_) | Step::Value(_) | Step::Index(_) => None,
    });
    Some(Value::Object(fields.collect()))
}

/// What is applied comes in its own order; what else there is stays where it was between
/// the elements that both have.
fn merged_order<'a>(lives: &'a [(Step, &Value)], configs: &'a [(Step, &Value)]) -> Vec<&'a Step> {
    let has = |parts: &[(Step, &Value)], step: &Step| parts.iter().any(|(it, _)| it == step);
    let mut shared = configs
        .iter()
        .map(|(it, _)| it)
        .filter(|it| has(lives, it))
        .peekable();
    let mut order: Vec<&Step> = Vec::new();
    let (mut live, mut config) = (
        lives.iter().map(|it| &it.0).peekable(),
        configs.iter().map(|it| &it.0).peekable(),
    );
    while let Some(next) = live.peek().or_else(|| config.peek()).copied() {
        let wanted = config.peek().copied();
        let is_live = live.peek().is_some();
        if is_live && !has(configs, next) {
            order.push(next);
            live.next();
            continue;
        }
        let is_out_of_turn = shared.peek().is_some_and(|it| *it != next);
        if is_live && wanted != Some(next) && (is_out_of_turn || order.contains(&next)) {
            live.next();
            continue;
        }
        if let Some(step) = config.next() {
            shared.next_if_eq(&step);
            live.next_if_eq(&step);
            if !order.contains(&step) {
                order.push(step);
            }
        } else {
            live.next();
        }
    }
    order
}

/// A value without these fields. What is emptied by that is null.
pub(crate) fn without(shape: Shape, value: &Value, gone: &Set) -> Value {
    let inside = shape.inside([Some(value), None]);
    let parts = parts(shape, inside, Some(value));
    if parts.is_empty() || gone.is_empty() {
        return value.clone();
    }
    let left = parts.into_iter().filter_map(|(step, value)| {
        let inner = gone.behind(&step);
        if inner.is_some_and(Set::is_member) {
            return None;
        }
        let shape = inner_shape(shape, &step);
        let value = inner.map_or_else(|| value.clone(), |inner| without(shape, value, inner));
        Some((step, value))
    });
    let left: Vec<(Step, Value)> = left.collect();
    match inside {
        _ if left.is_empty() => Value::Null,
        Inside::List => left.into_iter().map(|(_, value)| value).collect(),
        Inside::Object | Inside::Nothing => {
            let fields = left.into_iter().filter_map(|(step, value)| match step {
                Step::Field(name) => Some((name, value)),
                Step::Key(_) | Step::Value(_) | Step::Index(_) => None,
            });
            Value::Object(fields.collect())
        }
    }
}

/// The same set, with every field in it of whose inside something is, if the kind gives
/// it its name.
pub(crate) fn with_fields_around(shape: Shape, set: &Set) -> Set {
    let mut around = Set::default();
    if set.is_member() {
        around.join();
    }
    for (step, inner) in set.steps() {
        let mut inner_around = with_fields_around(inner_shape(shape, step), inner);
        if matches!(step, Step::Field(_)) && shape.has_named_fields() {
            inner_around.join();
        }
        around.put(step.clone(), inner_around);
    }
    around
}

#[cfg(test)]
mod tests {
    use super::{Value, compare, fields_of, merge, without};
    use crate::Kind;
    use crate::managed::shape;
    use proptest::prelude::*;
    use serde_json::json;

    fn any_service() -> impl Strategy<Value = Value> {
        let port = (1..4u16, proptest::option::of("[ab]"), "(TCP|UDP)");
        let ports = proptest::collection::btree_map((1..4u16, "(TCP|UDP)"), port, 0..3);
        let texts = || proptest::collection::btree_map("[abc]", "[xy]?", 0..3);
        let finalizers = proptest::collection::btree_set("[abc]/x", 0..3);
        (ports, texts(), texts(), finalizers).prop_map(|(ports, labels, selector, finalizers)| {
            let ports = ports.into_iter().map(|((port, protocol), (target, name, _))| {
                json!({"port": port, "protocol": protocol, "targetPort": target, "name": name})
            });
            let mut service = json!({"metadata": {"name": "web"}, "spec": {"type": "ClusterIP"}});
            let ports: Vec<Value> = ports.collect();
            for (part, field, value) in [
                ("metadata", "labels", json!(labels)),
                ("metadata", "finalizers", json!(finalizers)),
                ("spec", "selector", json!(selector)),
                ("spec", "ports", json!(ports)),
            ] {
                if value.as_array().is_some_and(|it| !it.is_empty())
                    || value.as_object().is_some_and(|it| !it.is_empty())
                {
                    service[part][field] = value;
                }
            }
            service
        })
    }

    proptest! {
        #[test]
        fn applying_twice_is_applying_once(live in any_service(), config in any_service()) {
            let shape = shape::of(Kind::Services);
            let merged = merge(shape, Some(&live), Some(&config)).unwrap();
            prop_assert_eq!(merge(shape, Some(&merged), Some(&config)), Some(merged.clone()));
            // All that was applied is there, and nothing else has changed.
            let owned = fields_of(shape, &config);
            prop_assert!(owned.difference(&fields_of(shape, &merged)).is_empty());
            let change = compare(shape, Some(&live), Some(&merged));
            prop_assert!(change.removed.is_empty(), "{change:?}");
            prop_assert!(change.modified.difference(&owned).is_empty(), "{change:?}");
        }

        #[test]
        fn equal_versions_are_no_change(value in any_service(), other in any_service()) {
            let shape = shape::of(Kind::Services);
            prop_assert_eq!(compare(shape, Some(&value), Some(&value)), super::Change::default());
            let (there, back) = (compare(shape, Some(&value), Some(&other)), compare(shape, Some(&other), Some(&value)));
            prop_assert_eq!(there.added, back.removed);
            prop_assert_eq!(there.modified, back.modified);
        }

        #[test]
        fn removed_items_are_gone(value in any_service(), other in any_service()) {
            let shape = shape::of(Kind::Services);
            let gone = fields_of(shape, &other);
            let left = without(shape, &value, &gone);
            prop_assert!(fields_of(shape, &left).outside(&gone) == fields_of(shape, &value).outside(&gone)
                || left.is_null() || compare(shape, Some(&value), Some(&left)).added.is_empty());
            prop_assert_eq!(without(shape, &value, &super::Set::default()), value);
        }
    }

    #[test]
    fn elements_keep_their_places() {
        let ports = |numbers: &[u16]| {
            let ports: Vec<Value> = numbers.iter().map(|it| json!({"port": it})).collect();
            json!({"spec": {"ports": ports}})
        };
        let check = |live: &[u16], config: &[u16], wanted: &[u16]| {
            let merged = merge(
                shape::of(Kind::Services),
                Some(&ports(live)),
                Some(&ports(config)),
            );
            assert_eq!(merged, Some(ports(wanted)), "{live:?} {config:?}");
        };
        check(&[1, 2], &[3], &[1, 2, 3]);
        check(&[1, 2, 3], &[3, 2], &[1, 3, 2]);
        check(&[1, 2, 3], &[2, 4], &[1, 2, 3, 4]);
        check(&[1, 2], &[4, 2, 1], &[4, 2, 1]);
        check(&[], &[2, 1], &[2, 1]);
    }
}
