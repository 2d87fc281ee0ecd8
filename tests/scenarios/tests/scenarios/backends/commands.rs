//! What people type.

use control_plane::kubectl::Kubectl;

/// The commands, in this order. A manifest stands for `-f -`.
pub(super) const ALL: &[&str] = &[
    "apply namespace",
    "apply service",
    "apply service",
    "apply changed",
    "get svc -n play",
    "get svc,endpointslices,configmaps -n play -o name",
    "label svc web -n play x=y",
    "label svc web -n play x-",
    "annotate svc web -n play k=v",
    "patch svc web -n play -p {\"spec\":{\"selector\":{\"a\":\"b\"}}}",
    "patch svc web -n play --type=json -p [{\"op\":\"add\",\"path\":\"/metadata/labels/q\",\"value\":\"1\"}]",
    "get svc web -n play -o jsonpath={.spec.ports}",
    "get svc -n play -l q=1 -o name",
    "get svc -n play --field-selector spec.type=ClusterIP -o name",
    "get svc nope -n play",
    "describe svc web -n play --show-events=false",
    "apply changed --server-side --dry-run=client",
    "delete cm c -n play",
    "delete svc,endpointslices --all -n play",
    "get svc -n play",
    "apply service --server-side",
    "apply service --server-side --force-conflicts",
    "apply service --server-side",
    "apply changed",
    "apply changed --server-side --field-manager=other",
    "apply service --server-side --field-manager=other",
    "apply service --server-side --field-manager=other --force-conflicts",
    "apply changed --server-side --dry-run=server --force-conflicts",
    "get svc,cm,endpointslices -n play --show-managed-fields -o jsonpath={.items[*].metadata.managedFields[*].manager}",
    "edit cm c -n play",
    "get cm c -n play -o jsonpath={.data}",
    "get cm c -n play --show-managed-fields -o jsonpath={.metadata.managedFields[*].manager}",
    "create configmap made -n play --from-literal=a=b",
    "create configmap made -n play --from-literal=a=b",
    "create namespace made",
    "create service clusterip made -n play --tcp=80:8080",
    "create service externalname outside -n play --external-name=a.b",
    "create secret generic made -n play --from-literal=a=b",
    "get svc,cm,secret -n play",
    "explain service.spec.ports",
];

const NAMESPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: play}\n";
const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: play, labels: {app: web}}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: play, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints: [{addresses: [10.1.0.1], conditions: {ready: true}}]
ports: [{name: http, port: 8080, protocol: TCP}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: c, namespace: play}
data: {a: b}
";

/// What a command prints, or complains of.
pub(super) async fn run(kubectl: &Kubectl, command: &str) -> anyhow::Result<String> {
    let manifest = |text: &str| match text {
        "namespace" => Some(NAMESPACE.to_owned()),
        "service" => Some(SERVICE.to_owned()),
        "changed" => Some(
            SERVICE
                .replace("port: 80}", "port: 81}")
                .replace("a: b", "a: c"),
        ),
        _ => None,
    };
    let mut words = command.split(' ');
    let printed = match (words.next(), words.next().and_then(manifest)) {
        (Some("apply"), Some(manifest)) => {
            let args = ["apply", "-f", "-"].into_iter().chain(words);
            kubectl.feed(args, &manifest).await
        }
        _ => kubectl.run(command.split(' ')).await,
    };
    let text = printed.unwrap_or_else(|why| {
        let why = format!("{why:#}");
        why.rsplit("]: ").next().unwrap_or_default().to_owned()
    });
    let lines = text.lines().map(|line| {
        let words = line
            .split_whitespace()
            .map(|word| match super::is_random(word) {
                true => "...",
                false => word,
            });
        words.collect::<Vec<_>>().join(" ")
    });
    Ok(lines.collect::<Vec<_>>().join("\n"))
}
