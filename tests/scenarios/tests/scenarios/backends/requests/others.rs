//! What is asked of everything but Services, and how things go.

use super::{Ask, EVENTS, LEASES, MAPS, MERGE, SLICES, WEB, delete, get, patch, post, put};

pub(super) fn slices() -> Vec<Ask> {
    let slice = |name: &str, rest: &str| format!(r#"{{"metadata":{{"name":"{name}"}},{rest}}}"#);
    let one =
        r#""addressType":"IPv4","endpoints":[{"addresses":["10.1.0.1"]}],"ports":[{"port":80}]"#;
    let two =
        r#""addressType":"IPv4","endpoints":[{"addresses":["10.1.0.2"]}],"ports":[{"port":80}]"#;
    let six = r#""addressType":"IPv6","endpoints":null"#;
    vec![
        post("create slice", SLICES, &slice("s", one)),
        put("update slice", &format!("{SLICES}/s"), &slice("s", two)),
        put(
            "update slice with nothing new",
            &format!("{SLICES}/s"),
            &slice("s", two),
        ),
        put(
            "update slice of another type",
            &format!("{SLICES}/s"),
            &slice("s", six),
        ),
        post(
            "create an empty slice",
            SLICES,
            &slice("e", r#""addressType":"IPv4","endpoints":null"#),
        ),
        post(
            "refuse a slice of loopback",
            SLICES,
            &slice("x", &one.replace("10.1.0.1", "127.0.0.1")),
        ),
        post(
            "refuse a slice of no type",
            SLICES,
            &slice("x", r#""addressType":"X","endpoints":null"#),
        ),
        put(
            "update a slice that is not there",
            &format!("{SLICES}/nope"),
            &slice("nope", one),
        ),
    ]
}

pub(super) fn other_kinds() -> Vec<Ask> {
    vec![
        post(
            "create config map",
            MAPS,
            r#"{"metadata":{"name":"c"},"data":{"a":"b"}}"#,
        ),
        post(
            "refuse a config map's name",
            MAPS,
            r#"{"metadata":{"name":"c_"}}"#,
        ),
        post(
            "create secret",
            "/api/v1/namespaces/demo/secrets",
            r#"{"metadata":{"name":"s"},"stringData":{"a":"b"}}"#,
        ),
        post(
            "create endpoints",
            "/api/v1/namespaces/demo/endpoints",
            r#"{"metadata":{"name":"web"},"subsets":[{"addresses":[{"ip":"10.1.0.1"}],"ports":[{"port":80}]}]}"#,
        ),
        post(
            "create lease",
            LEASES,
            r#"{"metadata":{"name":"l"},"spec":{"holderIdentity":"a","leaseDurationSeconds":15,"renewTime":"2026-01-01T00:00:00.000000Z"}}"#,
        ),
        put(
            "update lease without a version",
            &format!("{LEASES}/l"),
            r#"{"metadata":{"name":"l"},"spec":{"holderIdentity":"b"}}"#,
        ),
        post(
            "create event",
            EVENTS,
            r#"{"metadata":{"name":"e"},"eventTime":"2026-01-01T00:00:00.000000Z","reportingController":"x","reportingInstance":"y","action":"a","reason":"r","type":"Normal","note":"hello","regarding":{"kind":"Service","name":"web","namespace":"demo"}}"#,
        ),
        get("/api/v1/namespaces/demo/events/e", ""),
        post(
            "refuse a namespace's name",
            "/api/v1/namespaces",
            r#"{"metadata":{"name":"N"}}"#,
        ),
    ]
}

pub(super) fn deletions() -> Vec<Ask> {
    let uid = r#"{"preconditions":{"uid":"00000000-0000-4000-8000-000000000000"}}"#;
    vec![
        delete("delete another uid", WEB, uid),
        delete(
            "delete an old version",
            WEB,
            r#"{"preconditions":{"resourceVersion":"1"}}"#,
        ),
        delete("delete as a dry run", &format!("{WEB}?dryRun=All"), ""),
        delete(
            "delete the present version",
            WEB,
            r#"{"preconditions":{"resourceVersion":"$RV","uid":"$UID"}}"#,
        ),
        delete("delete what is gone", WEB, ""),
        delete("delete slice", &format!("{SLICES}/s"), ""),
        delete("delete config map", &format!("{MAPS}/c"), ""),
        delete("delete all config maps", MAPS, ""),
        post(
            "create a guarded map",
            MAPS,
            r#"{"metadata":{"name":"g","finalizers":["a.b/c"]}}"#,
        ),
        delete("delete a guarded map", &format!("{MAPS}/g"), ""),
        patch(
            "guard what is on its way out some more",
            &format!("{MAPS}/g"),
            MERGE,
            r#"{"metadata":{"finalizers":["a.b/c","d.e/f","g.h/i"]}}"#,
        ),
        patch(
            "label what is on its way out",
            &format!("{MAPS}/g"),
            MERGE,
            r#"{"metadata":{"labels":{"a":"b"}}}"#,
        ),
        patch(
            "let a guarded map go",
            &format!("{MAPS}/g"),
            MERGE,
            r#"{"metadata":{"finalizers":null}}"#,
        ),
        get(&format!("{MAPS}/g"), ""),
        delete(
            "delete a namespace that stays",
            "/api/v1/namespaces/default",
            "",
        ),
    ]
}
