//! The search for Services, and one Service, as HTML.

use maud::{Markup, html};
use proto_types::ObjectKey;
use reflector_planner::Explanation;
use reflector_planner::inspect::{Count, Found, ListedService, Member};
use reflector_planner::slice::Endpoint;
use runtime::page::Column::{Number, Text};
use runtime::page::{Content, Level, Paging, Params, n_of, segment, text, wide_table};

use super::{ENDPOINTS, SERVICES};

/// Returns the address of the page of a Service, if that is the name of one.
pub(super) fn link(service: &str) -> Option<String> {
    let (namespace, name) = service.split_once('/')?;
    let is_name = !namespace.is_empty() && !name.is_empty();
    is_name.then(|| format!("/services/{}/{}", segment(namespace), segment(name)))
}

/// Renders the list of Services that a search found.
pub(super) fn list(found: &Found, params: &Params) -> Content {
    let searched = params.text("q");
    let paging = Paging {
        name: "page",
        page: found.page,
        size: SERVICES,
        total: found.found,
    };
    let parts = html! {
        h1 { "Services" }
        form role="search" action="/services" method="get" {
            label for="q" { "Name of a Service, namespace or source" }
            input #q type="search" name="q" value=(searched) autocomplete="off";
            button type="submit" { "Search" }
        }
        p #summary data-part role="status" {
            (n_of(found.found, "Service")) " of " (found.total)
            @if !searched.is_empty() { " with “" (text(searched)) "” in a name" }
        }
        section #services data-part aria-label="Services" {
            @if !found.services.is_empty() { (table(&found.services)) }
            (paging.links("Services", "/services", params))
        }
    };
    let title = "Services".to_owned();
    Content { title, parts }
}

fn table(services: &[ListedService]) -> Markup {
    let columns = [
        Text("Service"),
        Text("Sources"),
        Number("Ready endpoints"),
        Text("Mirror"),
    ];
    let rows = html! {
        @for it in services {
            tr {
                th scope="row" {
                    (level(it))
                    a href=(link(it.service.as_str()).unwrap_or_default()) {
                        (text(it.service.as_str()))
                    }
                }
                td { (text(&it.sources.join(", "))) }
                td.number { (count(it.endpoints)) }
                td { @if it.exists { "exists" } @else { "does not exist" } }
            }
        }
    };
    wide_table("Table of Services", &columns, &rows)
}

fn level(listed: &ListedService) -> Level {
    match (listed.exists, listed.endpoints.ready) {
        (false, _) => Level::Bad,
        (true, 0) => Level::Warning,
        (true, _) => Level::Good,
    }
}

fn count(count: Count) -> Markup {
    html! { (count.ready) " of " (count.total) }
}

/// Renders one Service.
pub(super) fn one(key: &ObjectKey, members: &[Member], explanations: &[Explanation]) -> Content {
    let problems = explanations.iter().flat_map(|it| &it.problems);
    let problems: Vec<_> = problems.collect();
    let parts = html! {
        h1 { "Service " (text(key.as_str())) }
        section #problems data-part aria-labelledby="problems-title" {
            h2 #problems-title { "Problems" }
            @if problems.is_empty() {
                p { (Level::Good) "No problems" }
            } @else {
                ul.notes {
                    @for problem in problems { li { (Level::Bad) (text(problem)) } }
                }
            }
        }
        section #members data-part aria-labelledby="members-title" {
            h2 #members-title { "Members" }
            @if members.is_empty() { p { "No source exports a Service for this name." } }
            @for (i, it) in members.iter().enumerate() { (member(i, it)) }
        }
        section #explanation data-part aria-labelledby="explanation-title" {
            h2 #explanation-title { "Explanation" }
            @for it in explanations { (explanation(key, it)) }
        }
    };
    let title = format!("Service {key}");
    Content { title, parts }
}

fn member(i: usize, member: &Member) -> Markup {
    let total = member.count();
    let level = match (member.state, total.ready) {
        ("synced", 0) => Level::Warning,
        ("synced", _) => Level::Good,
        _ => Level::Bad,
    };
    html! {
        h3 #{ "member-" (i) } {
            (level) "Source " (text(&member.source)) ": " (text(member.service.as_str()))
        }
        p {
            (count(total)) " endpoints ready; EndpointSlices " (member.state)
            @if !member.ports.is_empty() { "; ports " (text(&member.ports.join(", "))) }
        }
        @for why in &member.errors { p { (Level::Bad) (text(why)) } }
        @if 0 < total.total {
            table {
                caption { "Endpoints by zone" }
                thead { tr {
                    th scope="col" { "Zone" }
                    th.number scope="col" { "Ready endpoints" }
                } }
                tbody {
                    @for (zone, n) in &member.zones {
                        tr { th scope="row" { (zone_name(zone)) } td.number { (count(*n)) } }
                    }
                }
            }
            details #{ "endpoints-" (i) } {
                summary #{ "endpoints-" (i) "-summary" } { "Endpoints of " (text(&member.source)) }
                (endpoints(member, total.total))
            }
        }
    }
}

fn zone_name(zone: &str) -> Markup {
    html! { @if zone.is_empty() { "no zone" } @else { (text(zone)) } }
}

fn endpoints(member: &Member, total: usize) -> Markup {
    let columns = [Text("Addresses"), Text("State"), Text("Zone"), Text("Node")];
    let rows = html! { @for it in &member.endpoints { (endpoint(it)) } };
    let label = format!("Endpoints of {}", member.source);
    html! {
        (wide_table(&label, &columns, &rows))
        @if ENDPOINTS < total { p.faint { "The first " (ENDPOINTS) " of " (total) } }
    }
}

fn endpoint(endpoint: &Endpoint) -> Markup {
    let (level, state) = if endpoint.ready.unwrap_or(true) {
        (Level::Good, "ready")
    } else if endpoint.terminating == Some(true) {
        (Level::Warning, "terminating")
    } else {
        (Level::Warning, "not ready")
    };
    html! {
        tr {
            th scope="row" { (text(&endpoint.addresses.join(", "))) }
            td { (level) (state) }
            td { (zone_name(endpoint.zone.as_deref().unwrap_or_default())) }
            td { (text(endpoint.node.as_deref().unwrap_or("–"))) }
        }
    }
}

fn explanation(key: &ObjectKey, explanation: &Explanation) -> Markup {
    html! {
        @if explanation.service != key.as_str() {
            h3 {
                "As local Service "
                @match link(&explanation.service) {
                    Some(link) => a href=(link) { (text(&explanation.service)) },
                    None => (text(&explanation.service)),
                }
            }
        }
        ol {
            @for reason in &explanation.reasons {
                li { (text(&reason.text)) " (" (text(&reason.rule)) ")" }
            }
        }
        ul {
            @for it in &explanation.objects {
                li {
                    (text(&it.kind)) " " (text(&it.object)) ": " (text(&it.verdict))
                    @if it.exists { ", exists" } @else { ", does not exist" }
                    "; action: " (text(&it.action))
                }
            }
        }
    }
}
