use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// Places of the manifest: kustomize applies one, Helm the other.
const FILES: [&str; 2] = [
    "manifests/source-crd/crd.yaml",
    "charts/heliograph/crds/sources.yaml",
];

const HEAD: &str = "# Generated from the types that read the configuration file, by\n\
                    # UPDATE=1 cargo test -p reflector --lib crd\n";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// YAML in block style, with texts as JSON writes them.
fn yaml(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    let is_nested = |it: &Value| match it {
        Value::Object(it) => !it.is_empty(),
        Value::Array(it) => !it.is_empty(),
        _ => false,
    };
    let mut item = |mark: &str, it: &Value, depth: usize| {
        if is_nested(it) {
            writeln!(text, "{indent}{mark}").unwrap();
            yaml(it, depth, text);
        } else {
            writeln!(text, "{indent}{mark} {it}").unwrap();
        }
    };
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, it)| item(&format!("{key}:"), it, depth + 1)),
        Value::Array(list) => list.iter().for_each(|it| item("-", it, depth + 1)),
        other => writeln!(text, "{indent}{other}").unwrap(),
    }
}

#[test]
fn the_manifests_of_the_crd_are_current() {
    let mut now = HEAD.to_owned();
    yaml(&source_crd(), 0, &mut now);
    assert_eq!(
        serde_saphyr::from_str::<Value>(&now).unwrap(),
        source_crd(),
        "what is written is what is read"
    );
    for file in FILES.map(path) {
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, &now).unwrap();
        }
        let published = fs::read_to_string(&file).unwrap();
        assert!(
            published == now,
            "{} is not current: {HEAD}",
            file.display()
        );
    }
}

/// Checks what an API server checks of a schema before it takes it.
fn check_structural(schema: &Value, place: &str) {
    const KNOWN: [&str; 19] = [
        "type",
        "description",
        "properties",
        "items",
        "additionalProperties",
        "required",
        "enum",
        "pattern",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "minLength",
        "maxLength",
        "format",
        "anyOf",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
    ];
    const ANY: [&str; 2] = [
        "x-kubernetes-int-or-string",
        "x-kubernetes-preserve-unknown-fields",
    ];
    let schema = schema.as_object().unwrap();
    for key in schema.keys() {
        let is_known = KNOWN.contains(&key.as_str()) || ANY.contains(&key.as_str());
        assert!(is_known, "{place}: {key}");
    }
    let is_any = ANY.iter().any(|it| schema.contains_key(*it));
    assert_ne!(schema.contains_key("type"), is_any, "{place}: type");
    let is_both = schema.contains_key("properties") && schema.contains_key("additionalProperties");
    assert!(!is_both, "{place}: closed and a map");
    for (key, property) in schema
        .get("properties")
        .into_iter()
        .flat_map(|it| it.as_object().unwrap())
    {
        check_structural(property, &format!("{place}.{key}"));
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key) {
            check_structural(inner, &format!("{place}.{key}"));
        }
    }
}

#[test]
fn the_schema_is_structural() {
    let crd = source_crd();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    check_structural(schema, "");
    assert_eq!(crd["metadata"]["name"], "sources.heliograph.dev");
}

#[test]
fn a_source_object_has_the_keys_of_a_source_of_the_file() {
    let of_file = crate::config::schema();
    let of_file = of_file["$defs"]["Source"]["properties"]
        .as_object()
        .unwrap();
    let crd = source_crd();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let of_object = schema["properties"]["spec"]["properties"]
        .as_object()
        .unwrap();
    let missing: BTreeSet<_> = of_file
        .keys()
        .filter(|it| !of_object.contains_key(*it))
        .collect();
    let expected = NOT_IN_OBJECTS.map(|(key, _)| key.to_owned());
    assert_eq!(missing, expected.iter().collect());
    assert!(of_object.keys().all(|it| of_file.contains_key(it)));
}
