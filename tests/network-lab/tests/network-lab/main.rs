//! Traffic through mirrors, on clusters that are network namespaces, each with a real
//! control plane, a real kube-proxy and, where names matter, a real CoreDNS.
//!
//! | module | holds |
//! |---|---|
//! | `addresses` | scenarios: a mirror is reached by its address, whatever happens in the meantime |
//! | `globals` | scenarios: one Service of two clusters, reached as its members ask for it |
//! | `names` | scenarios: a mirror is reached by a name, with the recipes of docs/dns.md |
//! | `clusterset` | scenarios: an exported Service is reached by its clusterset name |
//! | `probes` | scenarios: the command line names the step that fails |
//! | `verified` | scenario: the command line links, checks and verifies two clusters |
//! | `walks` | scenarios: a workload moves from one cluster to another |
//! | `lab` | clusters, and our programs in them |
//! | `cluster` | one cluster: its node, its pods, its objects |
//! | `containers` | pods that others create run as processes |
//! | `traffic` | requests, and what became of them |
//! | `dns` | CoreDNS, the recipes and what a pod resolves |
//! | `network` | network namespaces, and threads within them |
//! | `world` | the network around all clusters, gone with its last process |

mod addresses;
mod cluster;
mod clusterset;
mod containers;
mod dns;
mod globals;
mod lab;
mod names;
mod network;
mod probes;
mod traffic;
mod verified;
mod walks;
mod world;

use std::process::ExitCode;

use control_plane::assets::{self, Found};
use control_plane::{programs, scenario, suite};

/// What a cluster here needs beside a control plane.
const FURTHER: [&str; 2] = ["kube-proxy", "coredns"];

fn main() -> ExitCode {
    suite::run_with(
        "network-lab",
        prepare,
        vec![
            scenario!(addresses::a_pod_reaches_a_sources_pods_through_a_mirror),
            scenario!(addresses::an_endpoint_that_goes_away_gets_no_more_connections),
            scenario!(addresses::traffic_goes_on_while_emitter_and_reflector_are_dead),
            scenario!(addresses::a_service_of_both_families_is_reached_by_both),
            scenario!(names::a_mirror_has_the_name_that_the_recipe_gives_it),
            scenario!(names::pods_of_a_headless_service_have_names_of_their_own),
            scenario!(names::a_mirror_of_the_older_name_order_has_its_name_too),
            scenario!(names::a_service_that_keeps_its_name_needs_no_recipe),
            scenario!(globals::a_global_service_reaches_all_members_by_address_and_by_name),
            scenario!(globals::local_endpoints_come_first_and_others_while_none_is_ready),
            scenario!(globals::a_later_cluster_serves_while_an_earlier_one_does_not_suffice),
            scenario!(globals::a_port_that_means_something_else_gets_no_traffic),
            scenario!(clusterset::an_exported_service_is_reached_by_its_clusterset_name),
            scenario!(clusterset::pods_of_a_headless_export_have_names_of_their_own),
            scenario!(probes::a_probe_names_a_refusal_a_small_mtu_and_a_lost_route),
            scenario!(probes::verify_names_dns_kube_proxy_and_the_route),
            scenario!(verified::two_clusters_are_linked_checked_and_verified),
            scenario!(walks::a_stateless_workload_moves_and_no_request_is_lost),
            scenario!(walks::a_stateful_workload_moves_and_no_request_is_lost),
        ],
    )
}

/// Finds and builds everything, then goes on in a network of its own.
fn prepare() -> anyhow::Result<Found> {
    if world::is_entered() {
        world::furnish()?;
        return assets::find_or_build_with(&FURTHER);
    }
    if let Some(why) = world::lacks() {
        return Ok(Found::Missing(why));
    }
    if let missing @ Found::Missing(_) = assets::find_or_build_with(&FURTHER)? {
        return Ok(missing);
    }
    assets::find_or_build_client("kubelet")?;
    programs::build(&["emitter", "heliograph", "reflector"])?;
    Err(world::enter())
}
