//! Both programs as processes on real control planes.
//!
//! | module | shows |
//! |---|---|
//! | `mirroring` | what a source does is done here: the main job |
//! | `connection_failures` | what breaks removes nothing, and what comes back converges |
//! | `backends` | one suite of reads and writes on a real and an embedded cluster |
//! | `faults` | every way to fail, on clusters that fail on demand |
//! | `scale` | many sources, and one that hurts |
//! | `endpoints` | Endpoints beside slices, and instead of them |
//! | `shapes` | every shape of Service has its mirror, and no second write |
//! | `ownership` | what is ours is repaired, what is not is left alone |
//! | `staleness` | how long a silent source is believed |
//! | `leadership` | of several reflectors one writes, and another takes its place |
//! | `compat` | flags, files and objects of the replaced programs |
//! | `migration` | mirrors of a replaced program become ours as its page says |
//! | `replicas` | what k8s-endpoints-sync-controller lost on the way arrives |
//! | `namespaces` | missing namespaces are created where that is wanted, and stay |
//! | `old_rbac` | ours runs with the rights of the replaced programs' manifests |
//! | `global` | Services of many clusters become one, the same in each |
//! | `configuration` | sources, credentials and clusters that change while all goes on |
//! | `multi_cluster_services` | ServiceExports become ServiceImports |
//! | `plan_command` | what a configuration would make is told before |
//! | `renaming` | sources that get another name, and reflectors that contend |
//! | `former_spellings` | former spellings of keys and flags are named with their replacement |
//! | `source_discovery` | sources that are found: kubeconfigs in a directory, URLs in a ConfigMap |
//! | `sources` | sources that are objects of the CRD `Source` |
//! | `reporting` | what is wrong is told where people look |
//! | `serving` | the emitter beside the kube-apiserver that it follows |
//! | `access` | who may see what, as the API server or the access configuration says |
//! | `views` | a consumer cannot learn that anything else exists |
//! | `graceful_shutdown` | an emitter ends, or takes other files, without hurting who reads |
//! | `chart` | the chart is installed, upgraded and removed by the real helm |
//! | `manifests` | what is installed is accepted and understood |
//! | `walk` | the page about installing, by its commands: encrypted, and no secret carried |
//! | `uninstall` | the page about uninstalling leaves nothing |
//! | `rbac` | what the manifests grant is enough, and none of it too much |
//! | `policy` | what comes in, what it is called, and what is released by hand |
//! | `policies` | both policies for names give the verdicts of one table |
//! | `conformance` | the same questions to both, item by item |
//! | `playground` | what a newcomer types does what it says, and leaves nothing |
//! | `connections` | what one connection carries, beside the same at the API server |
//! | `continuity` | consumers go on after a restart, at another replica, at another tier |
//! | `clients` | informers, watchers and kubectl of others, through every disturbance |
//! | `cluster_profiles` | ClusterProfiles of the cluster-inventory API are sources |
//! | `command_line` | `heliograph` links two clusters without a Secret, checks and explains them |
//! | `coredns` | stock CoreDNS with an emitter for its API server |
//! | `commands` | commands of pages are understood, and exit with the codes of the page |
//! | `breakages` | each row of the page about breakages is caused, and its line is shown |
//! | `versions` | clusters of other ages are sources and local clusters |
//! | `input` | bad flags and files are refused in plain words |
//! | `lab`, `cluster`, `embedded`, `stream` | what scenarios are made of |

mod access;
mod backends;
mod breakages;
mod chart;
mod client_certificates;
mod clients;
mod cluster;
mod cluster_profiles;
mod command_line;
mod commands;
mod compat;
mod configuration;
mod conformance;
mod connection_failures;
mod connections;
mod continuity;
mod coredns;
mod embedded;
mod endpoints;
mod faults;
mod former_spellings;
mod global;
mod graceful_shutdown;
mod input;
mod issuers;
mod lab;
mod leadership;
mod manifests;
mod migration;
mod mirroring;
mod multi_cluster_services;
mod namespaces;
mod old_flags;
mod old_rbac;
mod ownership;
mod plan_command;
mod playground;
mod policies;
mod policy;
mod rbac;
mod renaming;
mod replicas;
mod reporting;
mod scale;
mod serving;
mod shapes;
mod source_discovery;
mod sources;
mod staleness;
mod stream;
mod tls;
mod uninstall;
mod versions;
mod views;
mod walk;

use std::process::ExitCode;

use control_plane::assets::{self, Found};
use control_plane::{Scenario, programs, scenario, suite};

fn main() -> ExitCode {
    if let Err(why) = programs::build(&["emitter", "reflector", "heliograph", "playground"]) {
        eprintln!("{why:#}");
        return ExitCode::FAILURE;
    }
    let mut scenarios = of_the_contract();
    scenarios.extend(of_mirrors());
    scenarios.extend(of_shapes());
    scenarios.extend(of_replaced_programs());
    scenarios.extend(of_the_programs());
    scenarios.extend(of_the_commands());
    scenarios.extend(of_the_multi_cluster_services_api());
    scenarios.extend(of_source_objects());
    scenarios.extend(on_embedded_clusters());
    suite::run_with("scenarios", prepare, scenarios)
}

/// An emitter is a Kubernetes API server, as far as it goes.
fn of_the_contract() -> Vec<Scenario> {
    vec![
        scenario!(access::the_api_server_decides_and_refusals_are_worded_as_its_own),
        scenario!(views::hidden_objects_do_not_exist),
        scenario!(access::workloads_see_what_they_are_granted_by_their_own_tokens),
        scenario!(serving::kubectl_shows_what_the_api_server_shows),
        scenario!(serving::kubectl_watches_describes_and_explains),
        scenario!(serving::an_emitter_tells_what_its_upstream_tells),
        scenario!(serving::a_watch_resumes_from_every_revision),
        scenario!(serving::many_watchers_cost_one_encoding),
        scenario!(serving::nothing_is_exported_but_what_is_selected),
        scenario!(conformance::an_emitter_answers_as_its_api_server_does),
        scenario!(conformance::a_relay_of_a_relay_answers_as_the_api_server_does),
        scenario!(connections::one_connection_carries_what_it_does_at_the_api_server),
        scenario!(connections::bookmarks_come_when_the_api_servers_do),
        scenario!(continuity::a_watch_from_before_a_restart_resumes),
        scenario!(continuity::a_consumer_may_move_between_tiers),
        scenario!(continuity::an_api_server_may_be_followed_by_its_url),
        scenario!(clients::every_client_is_told_every_change_once),
        scenario!(clients::kubectl::an_older_kubectl_shows_what_the_api_server_shows),
        scenario!(clients::gathering::many_watchers_are_told_every_change_of_a_burst),
        scenario!(clients::exports::every_client_is_told_of_exports_that_come_and_go),
        scenario!(clients::strict::strict_clients_and_proxies_read_lists_and_watches),
        scenario!(clients::storm::upstream_is_asked_as_by_one_consumer),
        scenario!(coredns::stock_coredns_answers_for_what_is_exported),
        scenario!(coredns::stock_coredns_answers_for_what_it_may_see),
        scenario!(conformance::fresh::a_read_sees_every_write_before_it),
    ]
}

/// Sources that are objects.
fn of_source_objects() -> Vec<Scenario> {
    vec![
        scenario!(sources::source_objects_come_change_and_go),
        scenario!(cluster_profiles::cluster_profiles_come_change_and_go),
        scenario!(cluster_profiles::an_access_provider_leads_to_an_api_server),
        scenario!(sources::two_hundred_source_objects_that_are_quiet_cost_no_status),
        scenario!(rbac::objects::sources_need_the_rights_of_the_component_and_no_more),
        scenario!(rbac::profiles::profiles_need_the_rights_of_the_component_and_no_more),
    ]
}

/// The Multi-Cluster Services API.
fn of_the_multi_cluster_services_api() -> Vec<Scenario> {
    vec![
        scenario!(multi_cluster_services::an_exported_service_is_imported_in_every_cluster),
        scenario!(multi_cluster_services::exports_that_differ_are_in_conflict_in_both_clusters),
        scenario!(multi_cluster_services::imports_outlive_restarts_and_disconnections),
        scenario!(
            multi_cluster_services::lifecycle::imports_come_and_go_within_the_limits_of_conformance
        ),
        scenario!(
            multi_cluster_services::exporting::printed_exports_are_accepted_and_nothing_is_written
        ),
        scenario!(
            multi_cluster_services::adoption::imports_of_cilium_and_submariner_are_taken_over
        ),
        scenario!(multi_cluster_services::policies::policies_of_a_source_limit_its_exports),
        scenario!(multi_cluster_services::holding::imports_of_exports_that_go_in_mass_are_held),
        scenario!(multi_cluster_services::lifecycle::services_and_namespaces_come_in_any_order),
        scenario!(multi_cluster_services::emitters::emitters_are_clusters_of_a_clusterset),
        scenario!(
            multi_cluster_services::emitters::another_cluster_at_an_address_deletes_no_import
        ),
        scenario!(
            multi_cluster_services::emitters::a_cluster_that_calls_itself_otherwise_is_not_read
        ),
        scenario!(
            multi_cluster_services::emitters::a_local_cluster_that_calls_itself_otherwise_imports_nothing
        ),
    ]
}

/// Those that need clusters which fail on demand, or by the hundred.
fn on_embedded_clusters() -> Vec<Scenario> {
    vec![
        scenario!(backends::an_embedded_cluster_answers_as_a_real_one_does),
        scenario!(faults::however_a_source_fails_its_mirrors_stay_and_come_right),
        scenario!(faults::a_list_that_is_empty_once_deletes_nothing),
        scenario!(faults::an_empty_list_is_believed_when_it_is_said_twice),
        scenario!(renaming::a_renamed_source_keeps_its_mirrors_and_cluster_ips),
        scenario!(renaming::two_reflectors_that_contend_slow_down),
        scenario!(faults::a_source_may_go_back_in_time),
        scenario!(faults::a_source_may_be_replaced_by_another_cluster),
        scenario!(faults::the_local_api_server_may_fail_in_every_way),
        scenario!(faults::here::an_api_server_that_asks_for_quiet_has_it),
        scenario!(faults::a_reflector_may_be_killed_at_any_point),
        scenario!(replicas::a_rejected_object_is_retried_without_an_event_of_its_source),
        scenario!(replicas::nothing_comes_before_it_is_known_which_namespaces_opt_out),
        scenario!(replicas::many_replicas_cost_two_writes_each_and_no_further_request),
        scenario!(scale::fifty_churning_sources_are_mirrored_one_by_one),
        scenario!(scale::a_hostile_source_does_not_slow_the_others),
    ]
}

/// What a source does is done here, whatever breaks.
fn of_mirrors() -> Vec<Scenario> {
    vec![
        scenario!(mirroring::a_labelled_service_is_mirrored_within_a_second),
        scenario!(mirroring::changes_of_services_and_of_endpoints_alone_are_followed),
        scenario!(mirroring::every_type_of_service_can_be_used_here),
        scenario!(mirroring::services_that_cannot_be_mirrored_are_reported),
        scenario!(mirroring::a_service_keeps_its_name_where_that_is_wanted),
        scenario!(mirroring::mirrors_are_never_exported_again),
        scenario!(connection_failures::a_stopped_emitter_removes_nothing),
        scenario!(connection_failures::the_sources_api_server_may_restart),
        scenario!(connection_failures::history_may_be_compacted_under_a_watch),
        scenario!(connection_failures::a_reflector_makes_up_for_missed_changes),
        scenario!(faults::ways::however_a_real_source_fails_its_mirrors_stay_and_come_right),
        scenario!(faults::here::a_real_api_server_may_turn_writes_away),
        scenario!(faults::here::races_ends_and_kills_lose_nothing_on_a_real_api_server),
        scenario!(faults::real::a_real_source_may_be_restored_from_a_backup),
        scenario!(faults::restored::a_restored_local_cluster_gets_its_mirrors_back),
        scenario!(faults::restored::a_restored_source_that_counted_on_is_followed),
        scenario!(faults::restored::an_emitter_of_a_restored_source_begins_anew),
        scenario!(connection_failures::a_dead_source_delays_nothing),
        scenario!(connection_failures::the_local_api_server_may_restart),
        scenario!(ownership::changes_of_others_are_repaired),
        scenario!(ownership::objects_that_others_delete_come_back),
        scenario!(ownership::unmanaged_objects_are_left_alone),
        scenario!(ownership::nothing_is_written_when_nothing_changed),
        scenario!(staleness::a_silent_source_is_not_ready_then_dropped_then_back),
        scenario!(leadership::a_standby_takes_over_and_nobody_writes_beside_it),
        scenario!(leadership::a_replica_that_lost_its_lease_writes_nothing_more),
    ]
}

/// Whatever a source has, its mirror is.
fn of_shapes() -> Vec<Scenario> {
    vec![
        scenario!(namespaces::missing_namespaces_are_created_and_stay),
        scenario!(namespaces::creating_namespaces_needs_one_right),
        scenario!(rbac::beside::endpoints_need_the_rights_of_the_component_and_no_more),
        scenario!(shapes::every_shape_of_service_has_its_mirror),
        scenario!(shapes::every_shape_of_slice_has_its_mirror),
        scenario!(shapes::extremes::the_most_that_a_service_may_have_is_mirrored),
        scenario!(shapes::extremes::a_namespace_that_goes_is_told_and_made_again),
        scenario!(shapes::a_service_may_become_another_kind_and_back),
        scenario!(shapes::a_family_that_this_cluster_lacks_is_told),
        scenario!(endpoints::endpoints_are_written_beside_slices_and_counted_once),
        scenario!(endpoints::rights::rights_from_before_slices_are_enough_for_endpoints),
        scenario!(endpoints::service_reflectors_emitter_is_read_until_ours_takes_its_place),
    ]
}

/// What the replaced programs' users bring along.
fn of_replaced_programs() -> Vec<Scenario> {
    vec![
        scenario!(compat::service_reflectors_flags_start_ours),
        scenario!(old_flags::service_reflectors_flags_start_an_emitter),
        scenario!(compat::semaphores_file_starts_ours_with_a_fetched_authority),
        scenario!(compat::semaphores_mirrors_become_ours_with_their_addresses),
        scenario!(migration::service_reflectors_mirrors_become_ours_with_two_more_rights),
        scenario!(migration::kube_service_mirrors_mirrors_become_ours_by_their_names),
        scenario!(migration::endpoints_sync_controllers_replicas_become_ours_by_its_directory),
        scenario!(old_rbac::semaphores_rights_are_enough_for_its_mirrors),
        scenario!(
            old_rbac::syncing::the_documented_permissions_suffice_and_missing_ones_are_reported
        ),
        scenario!(global::semaphore::semaphores_global_services_become_ours_with_their_addresses),
    ]
}

/// What else the programs are asked to do, and how they are installed.
fn of_the_programs() -> Vec<Scenario> {
    vec![
        scenario!(configuration::sources_come_and_go_and_disturb_no_other),
        scenario!(configuration::credentials_are_rotated_without_a_write),
        scenario!(configuration::another_cluster_behind_the_same_url_is_refused),
        scenario!(configuration::mirrors_in_a_former_namespace_are_told),
        scenario!(former_spellings::the_log_the_status_and_a_plan_name_them),
        scenario!(source_discovery::a_directory_of_kubeconfigs_is_a_set_of_sources),
        scenario!(source_discovery::source_api::urls_of_a_config_map_come_and_go),
        scenario!(source_discovery::source_api::service_reflectors_mounted_urls_need_no_restart),
        scenario!(global::members_come_and_go_and_every_cluster_shows_the_same),
        scenario!(global::a_conflict_is_told_everywhere_and_ends),
        scenario!(global::a_global_service_may_have_its_members_own_name),
        scenario!(global::a_full_mesh_of_five_settles_and_stays_silent),
        scenario!(policy::the_imported_services_and_their_names_are_as_configured),
        scenario!(policy::a_mass_deletion_is_held_and_released_by_hand),
        scenario!(plan_command::the_planned_writes_are_those_that_follow),
        scenario!(plan_command::a_source_that_cannot_be_read_is_told_and_held),
        scenario!(reporting::a_problem_is_an_event_once),
        scenario!(reporting::counting::the_measured_time_is_that_of_the_change),
        scenario!(reporting::a_running_reflector_explains_itself),
        scenario!(graceful_shutdown::an_emitter_ends_in_good_order),
        scenario!(graceful_shutdown::certificates_are_exchanged_under_open_watches),
        scenario!(client_certificates::a_client_certificate_says_who_asks),
        scenario!(client_certificates::urls_are_shown_client_certificates),
        scenario!(issuers::a_cluster_vouches_for_its_workloads),
        scenario!(walk::the_first_way_of_the_page_is_the_secure_one),
        scenario!(manifests::manifests_are_accepted_without_a_warning),
        scenario!(uninstall::the_page_leaves_nothing),
        scenario!(chart::the_chart_is_installed_upgraded_rolled_back_and_uninstalled),
        scenario!(rbac::the_rights_are_enough_and_none_is_too_much),
        scenario!(rbac::clusterset::imports_need_the_rights_of_the_component_and_no_more),
        scenario!(
            rbac::clusterset::a_cluster_that_is_read_grants_the_rights_of_its_reader_and_no_more
        ),
        scenario!(
            rbac::clusterset::an_emitter_of_service_exports_needs_the_rights_of_the_component_and_no_more
        ),
        scenario!(rbac::joining::members_here_need_the_rights_of_the_component_and_no_more),
        scenario!(policies::gator_and_admission_policy_agree_on_every_case),
        scenario!(policies::own::the_reflector_writes_its_own_objects_and_others_cannot_claim_to),
    ]
}

/// Scenarios of the command line.
fn of_the_commands() -> Vec<Scenario> {
    vec![
        scenario!(command_line::two_clusters_are_linked_without_a_secret),
        scenario!(command_line::mesh::three_clusters_are_linked_each_with_each),
        scenario!(command_line::forwarded::admin_ports_are_reached_by_port_forwards),
        scenario!(playground::a_newcomer_plays),
        scenario!(playground::faults::an_emitter_that_hangs_is_noticed_and_nothing_goes),
        scenario!(
            playground::faults::an_emitter_that_serves_less_or_only_what_it_knew_removes_nothing
        ),
        scenario!(playground::a_newcomer_plays_on_real_control_planes),
        scenario!(playground::many_sources_are_counted_as_kubectl_counts),
        scenario!(playground::a_playground_refuses_bad_input_in_plain_words),
        scenario!(commands::every_command_of_a_page_is_understood),
        scenario!(commands::programs_exit_with_the_codes_of_the_page),
        scenario!(breakages::starts::a_program_that_does_not_start_says_why),
        scenario!(breakages::sources::a_source_that_is_not_read_says_why),
        scenario!(breakages::services::a_service_that_is_not_mirrored_says_why),
        scenario!(breakages::writes::a_write_that_fails_says_why),
        scenario!(breakages::members::a_member_that_disagrees_says_how),
        scenario!(versions::clusters_of_other_ages_are_sources_and_local_clusters),
        scenario!(input::an_emitter_refuses_bad_input_in_plain_words),
        scenario!(input::a_reflector_refuses_bad_input_in_plain_words),
    ]
}

/// Building gator may take longer than a scenario may, and so may building clients.
fn prepare() -> anyhow::Result<Found> {
    for client in ["informers", "kubelet", "kubectl-1.28", "helm"] {
        assets::find_or_build_client(client)?;
    }
    match assets::find_or_build_with(&["gator", "coredns"])? {
        ready @ Found::Ready(_) => Ok(ready),
        // A directory that somebody named may lack it, which only one scenario minds.
        Found::Missing(_) => assets::find_or_build(),
    }
}
