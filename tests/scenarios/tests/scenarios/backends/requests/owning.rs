//! Who owns what, as updates name them.

use super::applying::apply;
use super::{Ask, JSON, MAPS, MERGE, OPERATIONS, ask};

pub(super) fn all() -> Vec<Ask> {
    let path = format!("{MAPS}/owned");
    let merge = |item: &str, manager: &str, body: &str| {
        ask(
            item,
            "PATCH",
            &format!("{path}?fieldManager={manager}"),
            MERGE,
            body,
        )
    };
    let applied =
        r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"owned"},"data":{"a":"9"}}"#;
    let mut all = vec![
        ask(
            "create as a manager",
            "POST",
            &format!("{MAPS}?fieldManager=creator"),
            JSON,
            r#"{"metadata":{"name":"owned","labels":{"a":"b"}},"data":{"a":"1"}}"#,
        ),
        merge("take a field over", "second", r#"{"data":{"a":"2"}}"#),
        merge("change nothing", "third", r#"{"data":{"a":"2"}}"#),
        merge("remove a field", "fourth", r#"{"data":{"a":null}}"#),
    ];
    for i in 0..12 {
        all.push(merge(
            &format!("be manager {i}"),
            &format!("m{i}"),
            &format!(r#"{{"data":{{"m{i}":"{i}"}}}}"#),
        ));
    }
    all.extend([
        ask("operations on owners", "PATCH", &format!("{path}?fieldManager=o"), OPERATIONS, r#"[{"op":"replace","path":"/metadata/managedFields","value":[{"manager":"only","operation":"Apply","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{"f:data":{"f:m1":{}}}}]}]"#),
        merge("set owners that are none", "x", r#"{"metadata":{"managedFields":[{"manager":"only","operation":"Nothing"}]}}"#),
        merge("forget owners", "x", r#"{"metadata":{"managedFields":[{}]}}"#),
        merge("be the first after that", "x", r#"{"data":{"a":"3"}}"#),
        apply("after that", &path, "y", applied),
        apply("after that with force", &format!("{path}?force=true"), "y", applied),
    ]);
    all
}
