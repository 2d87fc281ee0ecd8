//! Pod and Service CIDRs of clusters that must not overlap.

use ipnet::IpNet;

use super::facts::OtherCluster;
use super::finding::Finding;

const CHECK: &str = "address ranges";
/// Overlaps of one pair of clusters that are named.
const EXAMPLES: usize = 3;

/// Compares each cluster with each.
pub(crate) fn findings(local: &OtherCluster, others: &[OtherCluster]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut known: Vec<(&str, &[IpNet])> = Vec::new();
    for cluster in std::iter::once(local).chain(others) {
        match &cluster.ranges {
            Ok(ranges) if ranges.is_empty() => findings.push(Finding::warning(
                CHECK,
                format!("cluster {} reports no pod or Service CIDR", cluster.name),
                (
                    "compare its ranges with those of the other clusters yourself",
                    "trust-model.md",
                ),
            )),
            Ok(ranges) => known.push((&cluster.name, ranges)),
            Err(why) => findings.push(Finding::warning(
                CHECK,
                format!("those of cluster {} are not known: {why}", cluster.name),
                (
                    "allow list of nodes and servicecidrs for this check",
                    "trust-model.md",
                ),
            )),
        }
    }
    let n_findings = findings.len();
    for (i, one) in known.iter().enumerate() {
        for other in &known[i + 1..] {
            let overlaps = overlaps(one.1, other.1);
            if !overlaps.is_empty() {
                findings.push(overlapping((one.0, other.0), &overlaps));
            }
        }
    }
    if findings.len() == n_findings && 1 < known.len() {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        findings.push(Finding::ok(
            CHECK,
            format!("{} do not overlap", names.join(", ")),
        ));
    } else if known.len() == 1 {
        findings.push(Finding::warning(
            CHECK,
            "only those of the local cluster are known",
            (
                "name the contexts of the sources with --source-context",
                "cli.md",
            ),
        ));
    }
    findings
}

fn overlapping((one, other): (&str, &str), overlaps: &[(IpNet, IpNet)]) -> Finding {
    let named: Vec<_> = overlaps
        .iter()
        .map(|(a, b)| format!("{a} and {b}"))
        .collect();
    let n_more = named.len().saturating_sub(EXAMPLES);
    let mut text = named[..named.len() - n_more].join(", ");
    if 0 < n_more {
        text = format!("{text} and {n_more} more");
    }
    Finding::failed(
        CHECK,
        format!("clusters {one} and {other} overlap: {text}"),
        (
            "give one cluster other ranges: pods reach a local pod instead of the remote one at \
             such an address",
            "trust-model.md",
        ),
    )
}

/// Pairs that share an address, without those that a wider pair contains.
fn overlaps(one: &[IpNet], other: &[IpNet]) -> Vec<(IpNet, IpNet)> {
    let wide = |all: &[IpNet]| IpNet::aggregate(&all.to_vec());
    let (one, other) = (wide(one), wide(other));
    let mut found = Vec::new();
    for a in &one {
        for b in &other {
            if a.contains(b) || b.contains(a) {
                found.push((*a, *b));
            }
        }
    }
    found
}

#[cfg(test)]
pub(crate) mod tests {
    use super::findings;
    use crate::check::facts::OtherCluster;
    use crate::output::Mark;

    pub(crate) fn cluster(name: &str, ranges: &[&str]) -> OtherCluster {
        OtherCluster {
            name: name.to_owned(),
            version: Ok("v1.36.0".to_owned()),
            ranges: Ok(ranges.iter().map(|it| it.parse().unwrap()).collect()),
            clock: Ok(0),
            uid: Ok(format!("uid-of-{name}")),
            emitter: Ok(None),
        }
    }

    #[test]
    fn overlapping_ranges_are_found_between_all_clusters() {
        let local = cluster("local", &["10.0.0.0/16", "10.96.0.0/12"]);
        let east = cluster("east", &["10.1.0.0/16", "fd00::/64"]);
        let west = cluster("west", &["10.1.128.0/24", "10.2.0.0/16"]);
        let found = findings(&local, &[east, west]);
        assert_eq!(found.len(), 1, "{found:?}");
        let it = &found[0];
        assert_eq!(it.mark, Mark::Failed);
        let wanted = "clusters east and west overlap: 10.1.0.0/16 and 10.1.128.0/24";
        assert_eq!(it.message, wanted);
    }

    #[test]
    fn ranges_that_are_apart_are_good_and_unknown_ones_are_not() {
        let (local, east) = (
            cluster("local", &["10.0.0.0/16"]),
            cluster("east", &["10.1.0.0/16"]),
        );
        let found = findings(&local, &[east]);
        assert_eq!((found.len(), found[0].mark), (1, Mark::Ok));
        let mut east = cluster("east", &[]);
        east.ranges = Err("forbidden".to_owned());
        let found = findings(&local, &[east]);
        assert!(found.iter().all(|it| it.mark == Mark::Warning), "{found:?}");
        assert!(found[0].message.contains("forbidden"));
    }

    #[test]
    fn many_overlaps_are_counted() {
        let nodes: Vec<_> = (0..9).map(|i| format!("10.5.{}.0/24", 2 * i)).collect();
        let nodes: Vec<_> = nodes.iter().map(String::as_str).collect();
        let found = findings(&cluster("local", &nodes), &[cluster("east", &nodes)]);
        assert!(
            found[0].message.ends_with("and 6 more"),
            "{}",
            found[0].message
        );
    }
}
