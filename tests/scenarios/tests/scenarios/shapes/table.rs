//! Shapes, and what their mirrors are. What is null must not be there.

use serde_json::{Value, json};

/// When the change was made that a slice shows.
pub(super) const CHANGED: &str = "2026-01-02T03:04:05.678Z";

/// A shape as a source has it, and as its mirror is.
type Row = (&'static str, Value, Value);

fn http() -> Value {
    json!([{"name": "http", "port": 80, "targetPort": 8080}])
}

/// Services: what is asked for, and fields of the mirror's `spec`.
pub(super) fn services() -> Vec<Row> {
    let mut rows = kinds();
    rows.extend(ports());
    rows.extend(options());
    rows.extend(families());
    rows
}

fn kinds() -> Vec<Row> {
    let port = json!([{
        "name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP", "nodePort": null,
    }]);
    let plain = json!({
        "type": "ClusterIP", "ports": port, "selector": null, "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": null, "externalIPs": null,
        "loadBalancerSourceRanges": null, "allocateLoadBalancerNodePorts": null,
        "loadBalancerIP": null, "loadBalancerClass": null, "healthCheckNodePort": null,
    });
    let headless =
        json!({"type": "ClusterIP", "clusterIP": "None", "selector": null, "ports": port});
    let selector = json!({"app": "x"});
    vec![
        ("plain", json!({"ports": http()}), plain.clone()),
        (
            "selecting",
            json!({"ports": http(), "selector": selector}),
            plain.clone(),
        ),
        (
            "headless",
            json!({"clusterIP": "None", "ports": http()}),
            headless.clone(),
        ),
        (
            "headless-selecting",
            json!({"clusterIP": "None", "ports": http(), "selector": selector}),
            headless,
        ),
        (
            "headless-without-ports",
            json!({"clusterIP": "None", "selector": selector}),
            json!({"clusterIP": "None", "ports": null}),
        ),
        (
            "named",
            json!({"type": "ExternalName", "externalName": "example.org"}),
            json!({"type": "ExternalName", "externalName": "example.org", "clusterIP": null, "ports": null}),
        ),
        (
            "named-with-ports",
            json!({"type": "ExternalName", "externalName": "example.org", "ports": http()}),
            json!({"type": "ExternalName", "externalName": "example.org", "ports": [{"port": 80}]}),
        ),
        (
            "node",
            json!({"type": "NodePort", "ports": http()}),
            plain.clone(),
        ),
        (
            "balanced",
            json!({
                "type": "LoadBalancer", "ports": http(), "externalTrafficPolicy": "Local",
                "loadBalancerSourceRanges": ["192.0.2.0/24"], "loadBalancerClass": "example.org/x",
                "externalIPs": ["192.0.2.7"],
            }),
            plain,
        ),
    ]
}

fn ports() -> Vec<Row> {
    let row = |name, ports: Value| (name, json!({"ports": ports}), json!({"ports": ports}));
    vec![
        row(
            "same-number",
            json!([
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ]),
        ),
        (
            "unnamed",
            json!({"ports": [{"port": 80}]}),
            json!({"ports": [{"name": null, "port": 80, "targetPort": 80, "protocol": "TCP"}]}),
        ),
        row("named-target", json!([{"port": 80, "targetPort": "web"}])),
        row("sctp", json!([{"port": 80, "protocol": "SCTP"}])),
        row(
            "spoken",
            json!([{"port": 80, "appProtocol": "kubernetes.io/h2c"}]),
        ),
    ]
}

fn options() -> Vec<Row> {
    let row = |name, options: Value| {
        let mut spec = options.clone();
        spec["ports"] = http();
        (name, spec, options)
    };
    let affinity = json!({"clientIP": {"timeoutSeconds": 600}});
    let mut rows = vec![
        row(
            "sticky",
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": affinity}),
        ),
        row("early", json!({"publishNotReadyAddresses": true})),
        row("close", json!({"trafficDistribution": "PreferClose"})),
    ];
    // No endpoint of another cluster is on a node of this one.
    rows.push((
        "internal",
        json!({"internalTrafficPolicy": "Local", "ports": http()}),
        json!({"internalTrafficPolicy": "Cluster"}),
    ));
    rows
}

fn families() -> Vec<Row> {
    let single = |family: &str| json!({"ipFamilyPolicy": "SingleStack", "ipFamilies": [family]});
    let both = json!({"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]});
    let of = |mut spec: Value| {
        spec["ports"] = http();
        spec
    };
    let required = json!({"ipFamilyPolicy": "RequireDualStack"});
    let turned = json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]});
    let headless =
        json!({"clusterIP": "None", "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]});
    vec![
        ("four", of(single("IPv4")), single("IPv4")),
        ("six", of(single("IPv6")), single("IPv6")),
        (
            "both",
            of(json!({"ipFamilyPolicy": "PreferDualStack"})),
            both.clone(),
        ),
        ("both-required", of(required), both.clone()),
        // The first family is the choice of the cluster that has the address.
        ("both-turned", of(turned), both),
        ("headless-six", of(headless.clone()), headless),
    ]
}

/// Slices: what is asked for, and fields of the mirror's slice.
pub(super) fn slices() -> Vec<Row> {
    let port = json!([{"name": "http", "port": 8080, "protocol": "TCP"}]);
    let slice = |family: &str, endpoints: &Value, ports: &Value| json!({"addressType": family, "endpoints": endpoints, "ports": ports});
    let changed =
        json!({"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": CHANGED}});
    let same = |name, slice: Value| {
        let mut expected = slice.clone();
        expected["metadata"] = changed.clone();
        (name, slice, expected)
    };
    let conditions = json!([
        {"addresses": ["10.1.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false}},
        {"addresses": ["10.1.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}},
        {"addresses": ["10.1.0.3"], "conditions": {"ready": false, "serving": false, "terminating": true}},
        {"addresses": ["10.1.0.4"], "conditions": {"ready": false}},
        {"addresses": ["10.1.0.5"]},
    ]);
    let placed = json!([{
        "addresses": ["10.1.0.1"], "hostname": "web-0", "zone": "a", "nodeName": "node-1",
        "hints": {"forZones": [{"name": "a"}]},
        "targetRef": {"kind": "Pod", "name": "web-0", "namespace": "demo"},
    }]);
    let shown = json!([{
        "addresses": ["10.1.0.1"], "hostname": "web-0", "zone": "a", "nodeName": null,
        "hints": null, "targetRef": null,
    }]);
    let six = json!([{"addresses": ["fd00:1::1"]}]);
    let several = json!([
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        {"name": "sctp", "port": 9, "protocol": "SCTP", "appProtocol": "example.org/x"},
    ]);
    let one = json!([{"addresses": ["10.1.0.1"]}]);
    vec![
        same("conditions", slice("IPv4", &conditions, &port)),
        (
            "placed",
            slice("IPv4", &placed, &port),
            slice("IPv4", &shown, &port),
        ),
        same("six", slice("IPv6", &six, &port)),
        same("several", slice("IPv4", &one, &several)),
        same(
            "unnamed",
            slice("IPv4", &one, &json!([{"name": "", "port": 80}])),
        ),
        same("nobody", slice("IPv4", &json!([]), &port)),
        same("portless", slice("IPv4", &one, &json!([]))),
    ]
}
