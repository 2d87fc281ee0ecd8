//! An EndpointSlice as a rolling update leaves it, pod by pod.

use serde_json::{Value, json};

/// The slice after so many of its pods were replaced, one after another.
pub(super) fn slice(n_endpoints: usize, n_replaced: usize) -> Value {
    let endpoints = (0..n_endpoints).map(|i| endpoint(i, generation(i, n_endpoints, n_replaced)));
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "watched",
            "namespace": "default",
            "labels": { "export": "yes", "kubernetes.io/service-name": "web" },
        },
        "addressType": "IPv4",
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": endpoints.collect::<Vec<_>>(),
    })
}

/// How often the pod of an endpoint was replaced.
fn generation(i: usize, n_endpoints: usize, n_replaced: usize) -> usize {
    n_replaced / n_endpoints + usize::from(i < n_replaced % n_endpoints)
}

fn endpoint(i: usize, generation: usize) -> Value {
    // Random to whoever does not know how, as the names and UIDs of pods are.
    let seed = (1 + i as u64 + 100_000 * generation as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (high, low) = (seed >> 32, seed.wrapping_mul(0xd1b5_4a32_d192_ed03));
    json!({
        "addresses": [format!("10.{}.{}.{}", i % 200, generation % 250, i % 250 + 1)],
        "conditions": { "ready": true, "serving": true, "terminating": false },
        "nodeName": format!("node-{}", (seed >> 20) % 30),
        "targetRef": {
            "kind": "Pod",
            "namespace": "default",
            "name": format!("web-6d4b75cb6d-{:05x}", low & 0xf_ffff),
            "uid": format!(
                "{high:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
                low & 0xffff, (low >> 16) & 0xfff, (low >> 28) & 0xfff, low >> 16
            ),
        },
        "zone": format!("zone-{}", i % 3),
    })
}
