//! The JSON Schema of the configuration file, derived from the types that read it.
//!
//! What it refuses, the program refuses. The program refuses more: what only a grammar of its own,
//! or two places together, can check.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::File;

/// The schema of the configuration file, of the draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<File>().to_value()
}

/// Texts of one form each.
macro_rules! texts {
    ($($name:ident: $description:literal, $rules:tt;)*) => {$(
        #[doc = $description]
        pub(super) enum $name {}

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!($rules);
                schema.insert("type".to_owned(), "string".into());
                schema.insert("description".to_owned(), $description.into());
                schema
            }
        }
    )*};
}

texts! {
    Label: "A DNS label: lower case letters, digits and dashes, at most 63", {
        "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
    };
    SourceLabel: "A DNS label; local is reserved for the local cluster", {
        "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
        "not": {"const": "local"}
    };
    Prefix: "A DNS label that begins with a letter; gl is reserved", {
        "pattern": "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$",
        "not": {"const": "gl"}
    };
    Duration: "A time, as 90s, 5m or 1h30m", {"pattern": "[1-9]"};
    Range: "A range of addresses, as 10.1.0.0/16", {"pattern": "^[0-9A-Fa-f.:]+/[0-9]{1,3}$"};
    Pattern: "A name, or the beginning of names and an asterisk, as shop-*", {
        "pattern": "^([-A-Za-z0-9._/]+|[-A-Za-z0-9._/]*\\*)$"
    };
    Host: "A host name, or *. and a domain, as *.example.org", {
        "pattern": "^(\\*\\.)?[-A-Za-z0-9_]+(\\.[-A-Za-z0-9_]+)*\\.?$"
    };
    ServicePattern: "A Service, or the beginning of Services, as demo/web or demo/*", {
        "pattern": "^(\\*|[-A-Za-z0-9._/]*/[-A-Za-z0-9._/]*\\*?)$"
    };
    ConfigMap: "A ConfigMap, as NAMESPACE/NAME or NAMESPACE/NAME/KEY", {
        "pattern": "^[^/]+/[^/]+(/[^/]+)?$"
    };
    Template: "Text and the variables {prefix}, {source}, {namespace} and {name}", {
        "pattern": "^([-a-z0-9]|\\{(prefix|source|namespace|name)\\})*\\{name\\}([-a-z0-9]|\\{(prefix|source|namespace)\\})*$"
    };
}

/// A port, or a range of ports.
pub(super) enum Port {}

impl JsonSchema for Port {
    fn schema_name() -> Cow<'static, str> {
        "Port".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A port, or a range of ports, as 443 or 8000-8999",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65535},
                {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$"},
            ],
        })
    }
}

/// Something under a key: a null is as good as nothing.
fn has(key: &str) -> Value {
    json!({"required": [key], "properties": {key: {"not": {"type": "null"}}}})
}

fn is(key: &str, value: bool) -> Value {
    json!({"required": [key], "properties": {key: {"const": value}}})
}

fn not(schema: &Value) -> Value {
    json!({"not": schema})
}

fn both(one: &Value, other: &Value) -> Value {
    json!({"allOf": [one, other]})
}

fn needs(key: &str, other: &str) -> Value {
    json!({"if": has(key), "then": has(other)})
}

/// Keys of a source that need another key.
pub(super) const NEEDS: [(&str, &str); 12] = [
    ("context", "kubeconfig"),
    ("proxyUrl", "url"),
    ("serverName", "url"),
    ("caFile", "url"),
    ("ca", "url"),
    ("caUrl", "url"),
    ("tokenFile", "url"),
    ("tokenVariable", "url"),
    ("clientCertificateFile", "url"),
    ("clientCertificateFile", "clientKeyFile"),
    ("clientKeyFile", "url"),
    ("clientKeyFile", "clientCertificateFile"),
];

/// Keys of a source of which one excludes the other.
pub(super) const EXCLUSIVE: [(&str, &str); 4] = [
    ("caFile", "ca"),
    ("caFile", "caUrl"),
    ("ca", "caUrl"),
    ("tokenFile", "tokenVariable"),
];

/// Adds the rules for keys of a source that depend on each other.
pub(super) fn of_source(schema: &mut Schema) {
    let mut rules = vec![
        json!({"oneOf": [has("url"), has("kubeconfig")]}),
        not(&both(&has("prefix"), &is("sameName", true))),
    ];
    rules.extend(NEEDS.map(|(key, other)| needs(key, other)));
    rules.extend(EXCLUSIVE.map(|(one, other)| not(&both(&has(one), &has(other)))));
    schema.insert("allOf".to_owned(), rules.into());
}

/// URLs are in one place.
pub(super) fn of_source_api(schema: &mut Schema) {
    let places = json!([has("file"), has("configMap")]);
    schema.insert("oneOf".to_owned(), places);
}

/// A source is there for its mirrors, as a member of global Services, or as a cluster of the
/// clusterset, where there are such.
pub(super) fn of_file(schema: &mut Schema) {
    let ways = |kinds: &[&str]| {
        let mirrors = [has("prefix"), is("sameName", true)];
        let others = kinds.iter().map(|kind| not(&is(kind, false)));
        let ways: Vec<_> = mirrors.into_iter().chain(others).collect();
        json!({"properties": {"sources": {"items": {"anyOf": ways}}}})
    };
    let rule = |kinds: &[&'static str]| {
        let with_global = [kinds, &["global"]].concat();
        json!({"if": has("global"), "then": ways(&with_global), "else": ways(kinds)})
    };
    schema.insert("if".to_owned(), has("clusterSet"));
    schema.insert("then".to_owned(), rule(&["clusterSet"]));
    schema.insert("else".to_owned(), rule(&[]));
}
