//! Server-side apply.

use super::{Ask, JSON, LEASES, MAPS, MERGE, SERVICES, SLICES, STRATEGIC, ask, get, owning};

const APPLY: &str = "application/apply-patch+yaml";

pub(super) fn all() -> Vec<Ask> {
    let mut all = maps();
    all.extend(refused());
    all.extend(misplaced());
    all.extend(services());
    all.extend(elements());
    all.extend(statuses());
    all.extend(other_kinds());
    all.extend(owned());
    all.extend(owning::all());
    all.extend(removals());
    all
}

/// A manager applies something at a path.
pub(super) fn apply(item: &str, path: &str, manager: &str, config: &str) -> Ask {
    let join = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{join}fieldManager={manager}");
    ask(&format!("apply {item}"), "PATCH", &path, APPLY, config)
}

fn map(rest: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"ssa"{rest}}}"#)
}

fn maps() -> Vec<Ask> {
    let path = format!("{MAPS}/ssa");
    let force = format!("{path}?force=true");
    let both = map(r#","labels":{"x":"1"}},"data":{"a":"1","b":"2"}"#);
    let one = |value: &str| map(&format!(r#"}},"data":{{"a":"{value}"}}"#));
    vec![
        apply("a new map", &path, "a", &both),
        apply("the same again", &path, "a", &both),
        apply("as a second manager", &path, "b", &one("1")),
        apply("another value", &path, "b", &one("2")),
        apply(
            "another value as a dry run",
            &format!("{force}&dryRun=All"),
            "b",
            &one("2"),
        ),
        apply("another value with force", &force, "b", &one("2")),
        apply(
            "less than before",
            &path,
            "a",
            &map(r#"},"data":{"b":"2"}"#),
        ),
        apply("nothing any more", &path, "a", &map("}")),
        ask(
            "merge as a manager",
            "PATCH",
            &format!("{path}?fieldManager=edit"),
            MERGE,
            r#"{"data":{"a":"3","c":"4"}}"#,
        ),
        apply(
            "against two",
            &path,
            "d",
            &map(r#"},"data":{"a":"5","c":"5"}"#),
        ),
        apply(
            "YAML",
            &path,
            "e",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ssa\n  annotations:\n    k: v\n",
        ),
        apply(
            "what is null",
            &path,
            "e",
            &map(r#","annotations":null},"data":{"z":null}"#),
        ),
        get(&path, ""),
    ]
}

fn refused() -> Vec<Ask> {
    let path = format!("{MAPS}/ssa");
    let config = map("}");
    let long = "x".repeat(129);
    vec![
        ask("refuse to apply as nobody", "PATCH", &path, APPLY, &config),
        ask(
            "refuse to force a merge",
            "PATCH",
            &format!("{path}?force=true"),
            MERGE,
            "{}",
        ),
        apply("as a manager with a long name", &path, &long, &config),
        apply(
            "what nobody knows",
            &path,
            "a",
            &map(r#"},"dataz":{"a":"1"}"#),
        ),
        apply(
            "another kind",
            &path,
            "a",
            &config.replace("ConfigMap", "Secret"),
        ),
        apply("no kind", &path, "a", r#"{"metadata":{"name":"ssa"}}"#),
        apply(
            "owners",
            &path,
            "a",
            &map(r#","managedFields":[{"manager":"a"}]}"#),
        ),
    ]
}

fn misplaced() -> Vec<Ask> {
    let path = format!("{MAPS}/ssa");
    let config = map("}");
    vec![
        apply("another name", &path, "a", &config.replace("ssa", "other")),
        apply(
            "another namespace",
            &path,
            "a",
            &map(r#","namespace":"other"}"#),
        ),
        apply(
            "an old version",
            &path,
            "a",
            &map(r#","resourceVersion":"1"}"#),
        ),
        apply(
            "into no namespace",
            &path.replace("/demo/", "/nope/"),
            "a",
            &config,
        ),
        apply(
            "an old version of nothing",
            &format!("{MAPS}/none"),
            "a",
            &map(r#","resourceVersion":"1"}"#).replace("ssa", "none"),
        ),
        apply("what is no YAML", &path, "a", "a: [b"),
        apply("what is no object", &path, "a", "[]"),
        get(&path, ""),
    ]
}

fn service(rest: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"Service","metadata":{{"name":"ssa"{rest}}}"#)
}

/// A Service with these ports.
fn ports(ports: &str) -> String {
    service(&format!(r#"}},"spec":{{"ports":[{ports}]}}"#))
}

fn services() -> Vec<Ask> {
    let path = format!("{SERVICES}/ssa");
    let force = format!("{path}?force=true");
    vec![
        apply(
            "a new service",
            &path,
            "a",
            &service(
                r#","finalizers":["a.b/c"]},"spec":{"selector":{"a":"b"},"ports":[{"name":"a","port":80}]}"#,
            ),
        ),
        apply(
            "a port more",
            &path,
            "b",
            &ports(r#"{"name":"b","port":81}"#),
        ),
        apply(
            "a port by another name",
            &path,
            "b",
            &ports(r#"{"name":"x","port":80},{"name":"b","port":81}"#),
        ),
        apply(
            "a port by another name with force",
            &force,
            "b",
            &ports(r#"{"name":"b","port":81},{"name":"x","port":80}"#),
        ),
        apply(
            "a protocol more",
            &path,
            "b",
            &ports(
                r#"{"name":"c","port":80,"protocol":"UDP"},{"name":"x","port":80,"protocol":"TCP"}"#,
            ),
        ),
    ]
}

fn elements() -> Vec<Ask> {
    let path = format!("{SERVICES}/ssa");
    vec![
        apply(
            "another selector",
            &path,
            "b",
            &service(r#"},"spec":{"selector":{"c":"d"}}"#),
        ),
        apply(
            "a finalizer more",
            &path,
            "c",
            &service(r#","finalizers":["d.e/f"]}"#),
        ),
        apply("no finalizer any more", &path, "c", &service("}")),
        apply(
            "the same port twice",
            &path,
            "c",
            &ports(r#"{"port":80},{"port":80}"#),
        ),
        apply(
            "a port without a number",
            &path,
            "c",
            &ports(r#"{"name":"q"}"#),
        ),
    ]
}

fn statuses() -> Vec<Ask> {
    let path = format!("{SERVICES}/ssa");
    let force = format!("{path}?force=true");
    vec![
        apply(
            "an address to no balancer",
            &format!("{path}/status"),
            "s",
            &service(r#"},"status":{"loadBalancer":{"ingress":[{"ip":"10.9.9.9"}]}}"#),
        ),
        apply(
            "a status",
            &format!("{path}/status"),
            "s",
            &service(
                r#"},"status":{"conditions":[{"type":"Ready","status":"True","reason":"r","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}"#,
            ),
        ),
        ask(
            "merge a status",
            "PATCH",
            &format!("{path}/status?fieldManager=lb"),
            MERGE,
            r#"{"status":{"loadBalancer":{"ingress":[{"ip":"10.9.9.8"}]}}}"#,
        ),
        ask(
            "strategic as a manager",
            "PATCH",
            &format!("{path}?fieldManager=edit"),
            STRATEGIC,
            r#"{"spec":{"ports":[{"port":82,"name":"z"}]},"metadata":{"labels":{"l":"m"}}}"#,
        ),
        ask(
            "put as a manager",
            "PUT",
            &format!("{SERVICES}/web?fieldManager=p"),
            JSON,
            r#"{"metadata":{"name":"web","labels":{"n":"o"}},"spec":{"ports":[{"port":82,"name":"a"}]}}"#,
        ),
        apply(
            "a balancer",
            &format!("{SERVICES}/lb"),
            "a",
            &service(r#"},"spec":{"type":"LoadBalancer","ports":[{"port":80,"nodePort":31001}]}"#)
                .replace("ssa", "lb"),
        ),
        ask(
            "merge the status of a balancer",
            "PATCH",
            &format!("{SERVICES}/lb/status?fieldManager=lb"),
            MERGE,
            r#"{"metadata":{"labels":{"s":"t"}},"status":{"loadBalancer":{"ingress":[{"ip":"10.9.9.8"}]}}}"#,
        ),
        apply(
            "no finalizer at all",
            &force,
            "a",
            &service(r#"},"spec":{"selector":{"a":"b"},"ports":[{"name":"a","port":80}]}"#),
        ),
        get(&path, ""),
    ]
}

fn other_kinds() -> Vec<Ask> {
    let slice = |address: &str| {
        format!(
            r#"{{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{{"name":"ssa"}},"addressType":"IPv4","endpoints":[{{"addresses":["{address}"]}}],"ports":[{{"port":80}}]}}"#
        )
    };
    let lease = |holder: &str| {
        format!(
            r#"{{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{{"name":"ssa"}},"spec":{{"holderIdentity":"{holder}"}}}}"#
        )
    };
    vec![
        apply("a slice", &format!("{SLICES}/ssa"), "a", &slice("10.1.0.1")),
        apply(
            "another slice",
            &format!("{SLICES}/ssa"),
            "b",
            &slice("10.1.0.2"),
        ),
        apply(
            "another slice as the same",
            &format!("{SLICES}/ssa"),
            "a",
            &slice("10.1.0.2"),
        ),
        apply("a lease", &format!("{LEASES}/ssa"), "a", &lease("a")),
        apply(
            "another lease",
            &format!("{LEASES}/ssa?force=true"),
            "b",
            &lease("b"),
        ),
    ]
}

fn owned() -> Vec<Ask> {
    let owner = |name: &str, uid: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","name":"{name}","uid":"00000000-0000-4000-8000-{uid}"}}"#
        )
    };
    let secret = |owners: &str| {
        format!(
            r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"ssa","ownerReferences":[{owners}]}},"data":{{"a":"Yg=="}}}}"#
        )
    };
    let secrets = "/api/v1/namespaces/demo/secrets/ssa";
    vec![
        apply(
            "a secret",
            secrets,
            "a",
            &secret(&owner("x", "000000000001")),
        ),
        apply(
            "a second owner",
            secrets,
            "b",
            &secret(&owner("y", "000000000002")),
        ),
        apply(
            "a namespace",
            "/api/v1/namespaces/ssa",
            "a",
            r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"ssa","labels":{"a":"b"}}}"#,
        ),
    ]
}

fn removals() -> Vec<Ask> {
    let paths = [
        format!("{MAPS}/ssa"),
        format!("{MAPS}/owned"),
        format!("{SLICES}/ssa"),
        "/api/v1/namespaces/demo/secrets/ssa".to_owned(),
    ];
    let remove = |path: String| super::delete(&format!("delete {path}"), &path, "");
    paths.into_iter().map(remove).collect()
}
