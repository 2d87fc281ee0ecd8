//! Writes in a large clusterset.

use reflector_planner::RemovedSources;

use crate::lab::{Lab, slice};

const N_CLUSTERS: usize = 50;

#[test]
fn one_endpoint_in_an_import_of_fifty_clusters_is_one_slice_written() {
    let names: Vec<_> = (1..N_CLUSTERS).map(|i| format!("c{i:02}")).collect();
    let clusters: Vec<_> = std::iter::once("east")
        .chain(names.iter().map(String::as_str))
        .collect();
    let mut lab = Lab::of(&clusters, RemovedSources::Keep);
    lab.list_local();
    for (cluster, i) in clusters.iter().zip(1..) {
        lab.list(cluster);
        let created = format!("2025-01-01T00:00:{i:02}Z");
        lab.exports(cluster, &created, &format!("10.{i}.0.1"));
    }
    let done = lab.settle();
    assert_eq!(lab.copies().len(), N_CLUSTERS);
    let is_slice = |it: &&String| *it == "create endpointslice";
    assert_eq!(done.iter().filter(is_slice).count(), N_CLUSTERS);
    // Each cluster in turn, the local one too.
    for cluster in clusters {
        lab.slice(cluster, &slice("web-1", "10.99.0.1"));
        assert_eq!(lab.settle(), ["update endpointslice"], "{cluster}");
    }
}
