use super::{ObjectKey, RawObject};
use crate::Resource;
use bytes::Bytes;

#[test]
fn keys_order_as_etcd_orders_them() {
    assert!(ObjectKey::new("a-b", "x") < ObjectKey::new("a", "x"));
    assert_eq!(
        ObjectKey::parse("a/x").map(|key| key.name().to_owned()),
        Some("x".to_owned())
    );
    assert_eq!(ObjectKey::parse("a/b/c"), None);
}

#[test]
fn a_list_item_gets_the_head_of_a_single_object() {
    let item = Bytes::from_static(
        br#"{"metadata":{"name":"web","namespace":"demo","uid":"u","resourceVersion":"7","labels":{"a":"b"}},"spec":{"x":"\u003c"}}"#,
    );
    let object = RawObject::parse(Resource::Services, &item).unwrap();
    assert_eq!(object.key, ObjectKey::new("demo", "web"));
    assert_eq!(object.labels.get("a"), Some("b"));
    let whole = std::str::from_utf8(&object.json).unwrap();
    assert!(
        whole.starts_with(r#"{"kind":"Service","apiVersion":"v1","metadata":"#),
        "{whole}"
    );
    assert!(whole.ends_with(r#""spec":{"x":"\u003c"}}"#), "{whole}");
    assert_eq!(
        object.item_tail(Resource::Services.names()),
        item.slice(1..)
    );
}

#[test]
fn names_that_no_api_server_stores_are_refused() {
    let parse = |namespace: &str, name: &str, uid: &str| {
        let text = serde_json::json!({"metadata": {
            "name": name, "namespace": namespace, "uid": uid, "resourceVersion": "7",
        }});
        RawObject::parse(Resource::Services, &Bytes::from(text.to_string()))
    };
    assert!(parse(&"n".repeat(63), &"x".repeat(253), "u").is_ok());
    let long = "\u{e9}".repeat(40_000);
    for (namespace, name, uid) in [
        (long.as_str(), "web", "u"),
        ("demo", long.as_str(), "u"),
        ("demo", "web", long.as_str()),
        ("demo", "..", "u"),
        (".", "web", "u"),
        ("demo", "a/b", "u"),
        ("a/b", "web", "u"),
        ("demo", "%2e%2e", "u"),
        ("demo", "a\nb", "u"),
        ("demo", "a\u{1b}[2J", "u"),
    ] {
        let why = parse(namespace, name, uid).unwrap_err().to_string();
        assert!(
            why.len() < 200 && why.contains("invalid metadata."),
            "{why}"
        );
    }
}

#[test]
fn nesting_has_a_limit() {
    let parse = |depth: usize| {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let text = format!(
            r#"{{"metadata":{{"name":"a","resourceVersion":"1"}},"x":{nested},"y":"\"[[["}}"#
        );
        RawObject::parse(Resource::Services, &Bytes::from(text))
    };
    assert!(parse(99).is_ok());
    for depth in [100, 1_000_000] {
        let why = parse(depth).unwrap_err().to_string();
        assert_eq!(why, "services object with more than 100 levels");
    }
}

#[test]
fn a_key_of_any_length_has_its_parts() {
    let long = "\u{e9}".repeat(40_000);
    let key = ObjectKey::new(&long, &long);
    assert_eq!(
        (key.namespace(), key.name()),
        (long.as_str(), long.as_str())
    );
}

#[test]
fn garbage_is_an_error_that_says_what_is_missing() {
    let check = |text: &'static str| {
        RawObject::parse(Resource::Services, &Bytes::from_static(text.as_bytes()))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        check(r#"{"metadata":{"name":"web"}}"#),
        "services object without metadata.resourceVersion"
    );
    assert!(check("[]").starts_with("not a Kubernetes object"));
}
