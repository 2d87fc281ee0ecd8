//! Strategic merge: lists of objects are merged by a key, and directives say the rest.

use serde_json::{Map, Value};

use crate::Kind;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Merges a patch into an object of that kind.
pub(super) fn merge(kind: Kind, target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    match patch.get(PATCH).and_then(Value::as_str) {
        Some("replace") => {
            *target = Value::Object(patch.clone());
            drop(target.as_object_mut().and_then(|it| it.remove(PATCH)));
            return;
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return;
        }
        Some(_) | None => {}
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    if let Some(kept) = patch.get(RETAIN_KEYS).and_then(Value::as_array) {
        fields.retain(|name, _| kept.iter().any(|it| it == name));
    }
    for (name, value) in patch {
        if let Some(list) = name.strip_prefix(DELETE_FROM) {
            remove_from(fields.get_mut(list), value);
        }
        if name.starts_with('$') {
            continue;
        }
        if value.is_null() {
            fields.remove(name);
            continue;
        }
        let target = fields.entry(name.clone()).or_insert(Value::Null);
        match value {
            Value::Array(items) => merge_list(kind, name, target, items),
            Value::Object(_) => merge(kind, target, value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                *target = value.clone();
            }
        }
    }
    for (name, order) in patch {
        let list = name.strip_prefix(ORDER);
        let items = list.and_then(|list| fields.get_mut(list)?.as_array_mut());
        if let (Some(list), Some(items), Some(order)) = (list, items, order.as_array()) {
            let before = items.clone();
            arrange(items, order, &before, merge_key(kind, list));
        }
    }
}

/// How the elements of a list are told apart.
#[derive(Clone, Copy)]
enum Key {
    /// They are not: the list is replaced.
    None,
    /// By themselves.
    Value,
    /// By a field.
    Field(&'static str),
}

/// As the Go types of these kinds say.
fn merge_key(kind: Kind, list: &str) -> Key {
    match (kind, list) {
        (_, "finalizers") if kind != Kind::Namespaces => Key::Value,
        (_, "ownerReferences") => Key::Field("uid"),
        (_, "conditions") => Key::Field("type"),
        (Kind::Services, "ports") => Key::Field("port"),
        _ => Key::None,
    }
}

fn merge_list(kind: Kind, name: &str, target: &mut Value, patch: &[Value]) {
    let is_directive = |it: &&Value| it[PATCH] == "replace";
    let key = merge_key(kind, name);
    if matches!(key, Key::None) || patch.iter().any(|it| is_directive(&it)) {
        let items = patch.iter().filter(|it| !is_directive(it));
        *target = Value::Array(items.cloned().collect());
        return;
    }
    if !target.is_array() {
        *target = Value::Array(Vec::new());
    }
    let Some(items) = target.as_array_mut() else {
        return;
    };
    let before = items.clone();
    for element in patch {
        let at = items.iter().position(|it| same(it, element, key));
        match (at, element[PATCH] == "delete") {
            (Some(at), true) => drop(items.remove(at)),
            (None, true) => {}
            (Some(at), false) => merge(kind, &mut items[at], element),
            (None, false) => items.push(element.clone()),
        }
    }
    arrange(items, patch, &before, key);
}

fn same(a: &Value, b: &Value, key: Key) -> bool {
    match key {
        Key::Field(key) => a[key] == b[key],
        Key::Value | Key::None => a == b,
    }
}

fn remove_from(list: Option<&mut Value>, gone: &Value) {
    let gone = gone.as_array().map_or(&[][..], Vec::as_slice);
    if let Some(items) = list.and_then(Value::as_array_mut) {
        items.retain(|it| !gone.contains(it));
    }
}

/// Elements that the patch names come in its order; the others keep theirs, and stand
/// before those that they stood before.
fn arrange(items: &mut Vec<Value>, order: &[Value], before: &[Value], key: Key) {
    let place = |list: &[Value], item: &Value| list.iter().position(|it| same(it, item, key));
    let all = std::mem::take(items);
    let (mut named, others): (Vec<Value>, Vec<Value>) = all
        .into_iter()
        .partition(|item| place(order, item).is_some());
    named.sort_by_key(|item| place(order, item));
    let mut named = named.into_iter().peekable();
    for other in others {
        let stood = place(before, &other);
        let comes_first = |item: &Value| {
            let theirs = place(before, item);
            theirs.is_none() || stood.is_none() || theirs < stood
        };
        while let Some(item) = named.next_if(comes_first) {
            items.push(item);
        }
        items.push(other);
    }
    items.extend(named);
}

#[cfg(test)]
mod tests {
    use super::{Kind, merge};
    use serde_json::{Value, json};

    fn check(target: Value, patch: &Value, wanted: &Value) {
        let mut merged = target;
        merge(Kind::Services, &mut merged, patch);
        assert_eq!(&merged, wanted);
    }

    #[test]
    fn ports_are_merged_by_their_number_and_put_in_order() {
        check(
            json!({"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}}),
            &json!({"spec": {
                "$setElementOrder/ports": [{"port": 82}, {"port": 81}],
                "ports": [
                    {"port": 82, "name": "c"}, {"port": 81, "name": "x"},
                    {"$patch": "delete", "port": 80},
                ],
            }}),
            &json!({"spec": {"ports": [{"port": 82, "name": "c"}, {"port": 81, "name": "x"}]}}),
        );
    }

    #[test]
    fn directives_do_what_they_say() {
        let service = json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"a": 1, "b": 2}});
        check(
            service.clone(),
            &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}}),
            &json!({"metadata": {"finalizers": ["c", "b"]}, "spec": {"a": 1, "b": 2}}),
        );
        check(
            service.clone(),
            &json!({"spec": {"$patch": "replace", "c": 3}, "metadata": null}),
            &json!({"spec": {"c": 3}}),
        );
        check(
            service,
            &json!({"spec": {"$retainKeys": ["b"], "b": 3}, "metadata": null}),
            &json!({"spec": {"b": 3}}),
        );
    }
}
