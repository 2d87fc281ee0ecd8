//! Versions, Deployments, and programs that write the same objects.

use serde_json::Value;

use super::facts::{Facts, Known};
use super::finding::Finding;
use crate::installation::{Installed, Program};

/// The oldest minor version of Kubernetes that is supported (docs/compatibility.md).
const OLDEST: u32 = 28;
/// Names within images of predecessors, which write the same objects.
const PREDECESSORS: [&str; 4] = [
    "service-reflector",
    "semaphore-service-mirror",
    "kube-service-mirror",
    "k8s-endpoints-sync-controller",
];

/// Compares the version of an API server with those that are supported.
pub(crate) fn kubernetes(cluster: &str, version: &Known<String>) -> Finding {
    const CHECK: &str = "Kubernetes";
    let version = match version {
        Ok(version) => version,
        Err(why) => {
            return Finding::failed(
                CHECK,
                format!("the API server of cluster {cluster} does not answer: {why}"),
                (
                    "check the kubeconfig, its context and the network",
                    "cli.md#access",
                ),
            );
        }
    };
    let mut numbers = version.trim_start_matches('v').split(['.', '-', '+']);
    let minor = numbers.nth(1).and_then(|it| it.parse::<u32>().ok());
    match minor {
        Some(minor) if OLDEST <= minor => {
            Finding::ok(CHECK, format!("cluster {cluster}: {version}"))
        }
        Some(_) => Finding::failed(
            CHECK,
            format!("cluster {cluster} has {version}; 1.{OLDEST} and later are supported"),
            ("upgrade the cluster", "compatibility.md#kubernetes"),
        ),
        None => Finding::warning(
            CHECK,
            format!("cluster {cluster} has a version that is not understood: {version:?}"),
            (
                "compare it with the supported versions",
                "compatibility.md#kubernetes",
            ),
        ),
    }
}

/// Returns whether the programs are installed and ready, and one reflector writes.
pub(crate) fn deployments(facts: &Facts) -> Vec<Finding> {
    let namespace = &facts.namespace;
    let mut findings = Vec::new();
    let programs = [
        (Program::Reflector, &facts.reflector),
        (Program::Emitter, &facts.emitter),
    ];
    for (program, installed) in programs {
        let label = program.label();
        match installed {
            Ok(Some(it)) => findings.push(ready(label, it)),
            // A cluster may have one of both.
            Ok(None) if program == Program::Emitter => {}
            Ok(None) => findings.push(Finding::failed(
                "Deployments",
                format!("there is no Deployment of {label} in namespace {namespace}"),
                (
                    "install it, or name its namespace with --namespace",
                    "install.md",
                ),
            )),
            Err(why) => findings.push(Finding::failed(
                "Deployments",
                format!("that of {label} is not known: {why}"),
                ("allow list of deployments for this check", "cli.md#access"),
            )),
        }
    }
    match &facts.holder {
        None => {}
        Some(Ok(Some(holder))) => {
            findings.push(Finding::ok("leader", format!("{holder} holds the Lease")));
        }
        Some(Ok(None)) => findings.push(Finding::failed(
            "leader",
            "no replica holds the Lease, so none writes",
            (
                "see the logs of the reflectors",
                "runbooks.md#heliographnoleader",
            ),
        )),
        Some(Err(why)) => findings.push(Finding::warning(
            "leader",
            format!("the Lease cannot be read: {why}"),
            ("allow get of leases for this check", "cli.md#access"),
        )),
    }
    findings
}

fn ready(label: &str, installed: &Installed) -> Finding {
    let (ready, wanted) = (installed.n_ready(), installed.n_wanted());
    let message = format!("{label}: {ready} of {wanted} replicas are ready");
    let remedy = (
        "see kubectl describe pods, and the logs",
        "operating.md#probes",
    );
    if ready == 0 {
        Finding::failed("Deployments", message, remedy)
    } else if ready < wanted {
        Finding::warning("Deployments", message, remedy)
    } else {
        Finding::ok("Deployments", message)
    }
}

/// Compares versions of all programs with the reflector's.
pub(crate) fn versions(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "versions";
    let of_image = |installed: &Known<Option<Installed>>| {
        let image = installed
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .map(Installed::image);
        image.and_then(tag).map(str::to_owned)
    };
    let reflector = facts.version.clone().or_else(|| of_image(&facts.reflector));
    let Some(reflector) = reflector else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let own = env!("CARGO_PKG_VERSION").to_owned();
    let others = facts.others.iter();
    let emitters = others.map(|it| (format!("emitter of {}", it.name), of_image(&it.emitter)));
    let local = [
        ("this program".to_owned(), Some(own)),
        ("emitter of local".to_owned(), of_image(&facts.emitter)),
    ];
    for (name, version) in local.into_iter().chain(emitters) {
        let Some(version) = version else {
            continue;
        };
        match skew(&reflector, &version) {
            None => {}
            Some(0 | 1) => findings.push(Finding::ok(
                CHECK,
                format!("reflector {reflector}, {name} {version}"),
            )),
            Some(_) => findings.push(Finding::failed(
                CHECK,
                format!(
                    "reflector {reflector} and {name} {version} differ by more than a minor version"
                ),
                (
                    "upgrade the older one",
                    "compatibility.md#skew-between-emitter-and-reflector",
                ),
            )),
        }
    }
    findings
}

/// The tag of an image, if it is a version.
fn tag(image: &str) -> Option<&str> {
    let name = image.split('@').next()?.rsplit('/').next()?;
    let tag = name.split_once(':')?.1;
    let tag = tag.trim_start_matches('v');
    tag.starts_with(|it: char| it.is_ascii_digit())
        .then_some(tag)
}

/// Returns the difference of two versions in minor versions; a large number for different major
/// versions.
fn skew(one: &str, other: &str) -> Option<u64> {
    let numbers = |text: &str| {
        let mut parts = text.split(['.', '-', '+']).map(str::parse::<u64>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    let (one, other) = (numbers(one)?, numbers(other)?);
    Some(if one.0 == other.0 {
        one.1.abs_diff(other.1)
    } else {
        u64::MAX
    })
}

/// Finds other programs that write what the reflector writes.
pub(crate) fn rivals(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "other programs";
    let deployments = match &facts.deployments {
        Ok(deployments) => deployments,
        Err(why) => {
            return vec![Finding::warning(
                CHECK,
                format!("Deployments of other namespaces are not known: {why}"),
                (
                    "allow list of deployments in all namespaces for this check",
                    "cli.md#access",
                ),
            )];
        }
    };
    let mut findings = Vec::new();
    for deployment in deployments {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &deployment["metadata"];
        let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
        let template = &deployment["spec"]["template"];
        let label = &template["metadata"]["labels"]["app.kubernetes.io/name"];
        if *label == *Program::Reflector.label() && namespace != facts.namespace {
            findings.push(Finding::warning(
                CHECK,
                format!("Deployment {namespace}/{name} is another reflector"),
                (
                    "give both different mirror namespaces and sources, or remove one",
                    "operating.md#more-than-one",
                ),
            ));
        }
        let containers = template["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten();
        let mut images = containers.filter_map(|it| it["image"].as_str());
        let is_old = |image: &str| PREDECESSORS.iter().any(|it| image.contains(it));
        if deployment["spec"]["replicas"] != 0
            && let Some(image) = images.find(|it| is_old(it))
        {
            findings.push(Finding::failed(
                CHECK,
                format!(
                    "Deployment {namespace}/{name} runs {image}, which writes the same objects"
                ),
                ("scale it to 0 as its migration page says", "faq.md"),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "no other program writes mirrors"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{kubernetes, skew, tag};
    use crate::output::Mark;

    #[test]
    fn old_versions_of_kubernetes_are_found() {
        let mark = |text: &str| kubernetes("a", &Ok(text.to_owned())).mark;
        assert_eq!(mark("v1.28.3-eks-1"), Mark::Ok);
        assert_eq!(mark("v1.36.0+k3s1"), Mark::Ok);
        assert_eq!(mark("v1.27.9"), Mark::Failed);
        assert_eq!(mark(""), Mark::Warning);
        assert_eq!(
            kubernetes("a", &Err("refused".to_owned())).mark,
            Mark::Failed
        );
    }

    #[test]
    fn versions_are_compared_by_their_minor_numbers() {
        assert_eq!(skew("0.1.0", "0.2.7"), Some(1));
        assert_eq!(skew("0.4.0", "0.2.7"), Some(2));
        assert_eq!(skew("1.0.0", "0.9.0"), Some(u64::MAX));
        assert_eq!(skew("latest", "0.9.0"), None);
        assert_eq!(
            tag("registry.example:5000/heliograph:v0.1.0@sha256:00"),
            Some("0.1.0")
        );
        assert_eq!(tag("heliograph:latest"), None);
        assert_eq!(tag("registry.example:5000/heliograph"), None);
    }
}
