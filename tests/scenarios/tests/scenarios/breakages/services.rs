//! Services that are not mirrored, or not as they are.

use std::sync::Arc;

use control_plane::{ControlPlane, Scene};
use serde_json::{Value, json};

use super::Table;
use super::stub::{Answers, Stub, list};
use crate::configuration::ByFile;
use crate::lab::{Cluster, EXPORT, Lab, MIRRORS};

pub(crate) const BREAKAGES: [&str; 25] = [
    "The Service has no export label",
    "The selector of the source names another label",
    "The name of the mirror would be too long",
    "An unmanaged object has the name of the mirror",
    "Two sources have a Service of one name",
    "The namespace is missing",
    "The namespace is closed",
    "The import policy does not allow the namespace",
    "The import policy does not allow the name",
    "The import policy does not allow the port",
    "An endpoint is outside of the allowed CIDRs",
    "An endpoint has an address of the local cluster",
    "The source has more Services than allowed",
    "A Service has more endpoints than allowed",
    "A Service without a selector has slices without the export label",
    "A loopback address in a slice",
    "An invalid address in a slice",
    "A port name twice in a slice",
    "An object that cannot be decoded",
    "Only an IP family that the local cluster lacks",
    "A trafficDistribution that the local API server does not know",
    "An ExternalName of the local cluster",
    "An alias that the source may not choose",
    "The mirror of a predecessor has the export label",
    "Core/v1 Endpoints are truncated",
];

/// Creates a Service and its slice, with a label that a source selects by.
async fn export(
    east: &Cluster,
    key: &str,
    case: &str,
    (metadata, spec, addresses): (Value, Value, &[&str]),
) -> anyhow::Result<()> {
    let (namespace, name) = key.split_once('/').unwrap_or(("demo", key));
    let mut metadata = metadata;
    metadata["name"] = json!(name);
    metadata["labels"]["case"] = json!(case);
    let is_external = spec["type"] == "ExternalName";
    let service = json!({"metadata": metadata, "spec": spec});
    let path = format!("/api/v1/namespaces/{namespace}/services");
    east.post(&path, &service.to_string()).await?;
    if is_external || addresses.is_empty() {
        return Ok(());
    }
    let endpoints: Vec<_> = addresses
        .iter()
        .map(|it| json!({"addresses": [it]}))
        .collect();
    let slice = json!({
        "metadata": {"name": format!("{name}-1"),
            "labels": {"case": case, "kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    });
    let path = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    east.post(&path, &slice.to_string()).await
}

fn web() -> Value {
    json!({"ports": [{"name": "http", "port": 80}]})
}

/// Services that a kube-apiserver takes.
async fn plant(east: &Cluster, local: &Cluster) -> anyhow::Result<()> {
    let none = || json!({"labels": {}});
    let plain = [
        ("demo/unlabeled", "nothing"),
        ("demo/taken", "east"),
        ("demo/inside", "east"),
        ("elsewhere/web", "same"),
        ("kube-system/web", "same"),
        ("demo/twice", "twice"),
        ("other/web", "limited"),
        ("demo/secret-web", "limited"),
        ("demo/a-outside", "limited"),
        ("demo/z-too-many", "limited"),
    ];
    for (key, case) in plain {
        let address = match key {
            "demo/inside" => "10.222.0.9",
            "demo/a-outside" => "10.2.0.1",
            _ => "10.1.0.1",
        };
        export(east, key, case, (none(), web(), &[address])).await?;
    }
    let long = format!("demo/{}", "l".repeat(50));
    export(east, &long, "east", (none(), web(), &[])).await?;
    let many = ["10.1.0.1", "10.1.0.2", "10.1.0.3"];
    export(east, "demo/a-many", "limited", (none(), web(), &many)).await?;
    let ports = json!({"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 9090}]});
    export(
        east,
        "demo/a-ports",
        "limited",
        (none(), ports, &["10.1.0.1"]),
    )
    .await?;
    export(east, "demo/by-hand", "east", (none(), web(), &[])).await?;
    let mut zoned = web();
    zoned["trafficDistribution"] = json!("PreferSameZone");
    export(east, "demo/zoned", "east", (none(), zoned, &["10.1.0.1"])).await?;
    let external = json!({"type": "ExternalName", "externalName": "kubernetes.default.svc"});
    export(east, "demo/external", "east", (none(), external, &[])).await?;
    let alias = json!({"annotations": {"heliograph.dev/alias": "shop"}});
    export(east, "demo/aliased", "east", (alias, web(), &["10.1.0.1"])).await?;
    let former = json!({"labels": {"mirrored-svc": "true"}});
    export(east, "demo/former", "east", (former, web(), &["10.1.0.1"])).await?;
    let exported = json!({"labels": {EXPORT: "true"}});
    export(
        east,
        "demo/exported",
        "nothing",
        (exported, web(), &["10.1.0.1"]),
    )
    .await?;

    let theirs = json!({"metadata": {"name": "east-demo-73736d-taken"}, "spec": web()});
    let path = format!("/api/v1/namespaces/{MIRRORS}/services");
    local.post(&path, &theirs.to_string()).await
}

/// Objects that no kube-apiserver has.
fn odd() -> Answers {
    let service = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "demo", "uid": name, "resourceVersion": "1"},
            "spec": web()})
    };
    let slice = |name: &str, addresses: &[&str], ports: Value| {
        let endpoints: Vec<_> = addresses
            .iter()
            .map(|it| json!({"addresses": [it]}))
            .collect();
        json!({"metadata": {"name": format!("{name}-1"), "namespace": "demo", "uid": name,
                "resourceVersion": "1", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "ports": ports, "endpoints": endpoints})
    };
    let http = || json!([{"name": "http", "port": 8080}]);
    let twice = json!([{"name": "http", "port": 8080}, {"name": "http", "port": 8081}]);
    let mut ipv6 = service("ipv6");
    ipv6["spec"]["ipFamilies"] = json!(["IPv6"]);
    ipv6["spec"]["clusterIP"] = json!("fd00::1");
    let mut wrong = service("undecodable");
    wrong["spec"]["ports"] = json!("eighty");
    let services = [
        service("loopback"),
        service("invalid"),
        service("ports"),
        ipv6,
        wrong,
    ];
    let slices = [
        slice("loopback", &["127.0.0.1", "10.1.0.1"], http()),
        slice("invalid", &["2001:db8::1", "10.1.0.1"], http()),
        slice("ports", &["10.1.0.1"], twice),
    ];
    Answers::Lists(
        [
            ("services", list("Service", "v1", &services)),
            (
                "endpointslices",
                list("EndpointSlice", "discovery.k8s.io/v1", &slices),
            ),
        ]
        .into(),
    )
}

/// Endpoints of a source that knows no slices.
fn truncated() -> Answers {
    let metadata =
        json!({"name": "large", "namespace": "demo", "uid": "a", "resourceVersion": "1"});
    let mut of_endpoints = metadata.clone();
    of_endpoints["annotations"] = json!({"endpoints.kubernetes.io/over-capacity": "truncated"});
    let subsets =
        json!([{"addresses": [{"ip": "10.1.0.1"}], "ports": [{"name": "http", "port": 8080}]}]);
    let service = json!({"metadata": metadata, "spec": web()});
    let endpoints = json!({"metadata": of_endpoints, "subsets": subsets});
    Answers::Lists(
        [
            ("services", list("Service", "v1", &[service])),
            ("endpoints", list("Endpoints", "v1", &[endpoints])),
        ]
        .into(),
    )
}

fn sources(east: &Cluster, odd: &Stub, truncated: &Stub) -> Value {
    let of_east = |name: &str, case: &str, more: Value| {
        let mut source = json!({"name": name, "kubeconfig": east.plane.kubeconfig(),
            "selector": format!("case={case}")});
        for (key, value) in more.as_object().into_iter().flatten() {
            source[key] = value.clone();
        }
        source
    };
    let same = json!({"sameName": true, "import": {"namespaces": {"allow": ["*"]}}});
    let limits = json!({"prefix": "limited", "import": {
        "namespaces": {"allow": ["demo"]}, "names": {"deny": ["secret-*"]}, "ports": [80],
        "endpointCIDRs": ["10.1.0.0/16"], "maxServices": 3, "maxEndpoints": 1}});
    json!([
        of_east("east", "east", json!({"prefix": "east"})),
        of_east("empty", "no-such-case", json!({"prefix": "empty"})),
        of_east("same", "same", same.clone()),
        of_east("first", "twice", same.clone()),
        of_east("second", "twice", same),
        of_east("limited", "limited", limits),
        {"name": "odd", "url": odd.url, "prefix": "odd"},
        {"name": "old", "url": truncated.url, "prefix": "old", "endpointsFrom": "endpoints"},
    ])
}

pub(crate) async fn a_service_that_is_not_mirrored_says_why(
    scene: Arc<Scene>,
) -> anyhow::Result<()> {
    let table = Table::complete()?;
    let start = async |name: &str, arg: &str| -> anyhow::Result<Cluster> {
        let builder = ControlPlane::builder(name).apiserver_arg(arg);
        let builder = match name {
            "local" => builder.service_cidr("10.222.0.0/16"),
            _ => builder,
        };
        let plane = scene.start(builder).await?;
        let client = plane.client().await?;
        Ok(Cluster { plane, client })
    };
    let (east, local) = tokio::try_join!(
        start("east", "--v=0"),
        start("local", "--emulated-version=1.33")
    )?;
    for namespace in ["demo", "elsewhere", "other"] {
        east.create_namespace(namespace).await?;
    }
    for namespace in ["demo", MIRRORS] {
        local.create_namespace(namespace).await?;
    }
    plant(&east, &local).await?;
    let (odd, truncated) = (Stub::start(odd()).await?, Stub::start(truncated()).await?);
    let config = json!({"mirrorNamespace": MIRRORS, "global": {"cluster": "local"},
        "sources": sources(&east, &odd, &truncated)});
    let lab = Lab::new(Arc::clone(&scene))?;
    let it = ByFile::start(&lab, &local, &config).await?;
    table.is_shown(&BREAKAGES, &it.reflector, &local).await
}
