//! A JSON Schema as a structural schema of Kubernetes.

use serde_json::{Map, Value, json};

const VALIDATIONS: &str = "x-kubernetes-validations";

/// Keywords that an API server does not accept, or that another part of the manifest replaces.
/// Defaults would be stored in objects, where a later version could not change them.
const DROPPED: [&str; 6] = ["$schema", "title", "default", "allOf", "examples", "$defs"];

/// Returns the structural schema that accepts what that schema accepts, or more.
pub(super) fn of(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else {
        // `true` accepts everything.
        return json!({"x-kubernetes-preserve-unknown-fields": true});
    };
    schema.retain(|key, _| !DROPPED.contains(&key.as_str()));
    for key in ["anyOf", "oneOf"] {
        if let Some(Value::Array(ways)) = schema.remove(key) {
            choose(&mut schema, ways);
        }
    }
    if let Some(Value::Array(types)) = schema.get("type") {
        let mut types = types.iter().filter(|it| *it != "null");
        let first = types.next().cloned().unwrap_or_default();
        schema.insert("type".to_owned(), first);
    }
    if schema.get("format").is_some_and(is_unknown) {
        schema.remove("format");
    }
    if let Some(not) = schema.remove("not") {
        let word = not["const"].as_str().unwrap_or_default();
        let message = format!("{word} is reserved");
        let rule = json!([{"rule": format!("self != '{word}'"), "message": message}]);
        schema.insert(VALIDATIONS.to_owned(), rule);
        // The cost of a rule is estimated from the longest value.
        schema.insert("maxLength".to_owned(), 63.into());
    }
    of_maps(&mut schema);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            *property = of(property.take());
        }
    }
    if let Some(items) = schema.get_mut("items") {
        *items = of(items.take());
    }
    schema.into()
}

/// Formats of numbers are none of OpenAPI's.
fn is_unknown(format: &Value) -> bool {
    format.as_str().is_some_and(|it| it.starts_with("uint"))
}

/// Closed objects are pruned by an API server. Maps keep the rule of their values.
fn of_maps(schema: &mut Map<String, Value>) {
    let rest = schema.remove("additionalProperties");
    let patterns = schema.remove("patternProperties");
    let by_pattern = patterns.as_ref().and_then(Value::as_object);
    let by_pattern = by_pattern.and_then(|it| it.values().next()).cloned();
    let values = by_pattern.or_else(|| rest.filter(Value::is_object));
    if let Some(values) = values {
        schema.insert("additionalProperties".to_owned(), of(values));
    }
}

/// Replaces alternatives by what a structural schema has for them.
fn choose(schema: &mut Map<String, Value>, ways: Vec<Value>) {
    let is_null = |it: &Value| it["type"] == "null";
    let mut ways: Vec<_> = ways.into_iter().filter(|it| !is_null(it)).collect();
    let words: Vec<_> = ways.iter().map(|it| it["const"].clone()).collect();
    let types: Vec<_> = ways.iter().filter_map(|it| it["type"].as_str()).collect();
    if words.iter().all(Value::is_string) {
        schema.insert("type".to_owned(), "string".into());
        schema.insert("enum".to_owned(), words.into());
    } else if types == ["integer", "string"] {
        for way in &ways {
            let rules = way.as_object().into_iter().flatten();
            let rules = rules.filter(|(key, _)| *key != "type");
            schema.extend(rules.map(|(key, rule)| (key.clone(), rule.clone())));
        }
        let ways = json!([{"type": "integer"}, {"type": "string"}]);
        schema.insert("anyOf".to_owned(), ways);
        schema.insert("x-kubernetes-int-or-string".to_owned(), true.into());
    } else if let ([_], Some(Value::Object(only))) = (&ways[..], ways.first().cloned()) {
        ways.clear();
        for (key, rule) in only {
            schema.entry(key).or_insert(rule);
        }
    } else {
        let any = "x-kubernetes-preserve-unknown-fields";
        schema.insert(any.to_owned(), true.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: Value, expected: &Value) {
        assert_eq!(of(schema), *expected);
    }

    #[test]
    fn alternatives_become_what_an_api_server_knows() {
        let words = json!({"oneOf": [{"const": "a", "type": "string"}, {"const": "b"}]});
        check(words, &json!({"type": "string", "enum": ["a", "b"]}));
        let nullable = json!({"anyOf": [{"type": "string", "pattern": "x"}, {"type": "null"}]});
        check(nullable, &json!({"type": "string", "pattern": "x"}));
        let port = json!({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]});
        check(
            port,
            &json!({
                "anyOf": [{"type": "integer"}, {"type": "string"}],
                "minimum": 1, "x-kubernetes-int-or-string": true,
            }),
        );
        let mixed = json!({"anyOf": [{"const": "keep"}, {"type": "object"}]});
        check(
            mixed,
            &json!({"x-kubernetes-preserve-unknown-fields": true}),
        );
    }

    #[test]
    fn maps_keep_their_values_and_closed_objects_are_left_to_pruning() {
        let closed = json!({
            "type": ["object", "null"], "additionalProperties": false, "default": {},
            "properties": {"a": {"type": "integer", "format": "uint32"}},
        });
        check(
            closed,
            &json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
        );
        let map = json!({"type": "object", "additionalProperties": false,
                         "patternProperties": {"x": {"type": "string", "title": "t"}}});
        let open = json!({"type": "object", "additionalProperties": {"type": "string"}});
        check(map, &open);
        check(open.clone(), &open);
    }
}
