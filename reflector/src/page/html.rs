//! The overview as HTML.

use maud::{Markup, html};
use runtime::page::Column::{Number, Text};
use runtime::page::{Content, Level, Params, n_of, text, wide_table};

use super::minutes::chart;
use super::overview::{Held, Overview, PICTURED, Source};
use super::problems::Group;
use super::propagation::{Bucket, Propagated};

/// Height of a line of the picture.
const LINE: usize = 40;

/// Number of characters of a name that the picture has room for.
const NAME: usize = 26;

/// Renders the overview.
pub(super) fn overview(shown: &Overview<'_>, params: &Params) -> Content {
    let (level, summary) = &shown.summary;
    let parts = html! {
        h1 { "Overview" }
        p #summary data-part role="status" { (level) (summary) }
        div #notes data-part { (notes(shown)) }
        section #picture data-part aria-label="Picture" { (picture(shown)) }
        section #sources data-part aria-labelledby="sources-title" { (sources(shown, params)) }
        section #problems data-part aria-labelledby="problems-title" { (problems(shown, params)) }
        section #held data-part aria-labelledby="held-title" { (held(&shown.held)) }
        section #propagation data-part aria-labelledby="propagation-title" {
            (propagation(shown.propagation))
        }
    };
    let title = match shown.n_problems {
        0 => "Overview".to_owned(),
        n => n_of(n, "problem"),
    };
    Content { title, parts }
}

fn notes(shown: &Overview<'_>) -> Markup {
    html! {
        @if !shown.notes.is_empty() {
            ul.notes {
                @for (level, note) in &shown.notes { li { (level) (text(note)) } }
            }
        }
    }
}

fn picture(shown: &Overview<'_>) -> Markup {
    let n = shown.pictured.len().max(1);
    let rest = shown.sources_paging.total.saturating_sub(PICTURED);
    let height = n * LINE + 20;
    let middle = height / 2;
    let described: Vec<_> = shown
        .pictured
        .iter()
        .map(|(level, name)| format!("{name} ({})", level.class()))
        .collect();
    let label = format!(
        "The local cluster reads from {} sources: {}",
        shown.sources_paging.total,
        described.join(", ")
    );
    html! {
        svg.picture role="img" aria-label=(text(&label)) viewBox={ "0 0 640 " (height) } {
            @for (i, (level, name)) in shown.pictured.iter().enumerate() {
                (line(i, *level, name, middle))
            }
            rect.box x="420" y=(middle.saturating_sub(26)) width="210" height="52" rx="6" {}
            text x="436" y=(middle.saturating_sub(4)) { "local cluster" }
            text x="436" y=(middle + 16) { (n_of(shown.status.mirrors.services, "mirror")) }
        }
        @if 0 < rest { p.faint { "and " (n_of(rest, "other source")) } }
    }
}

fn line(i: usize, level: Level, name: &str, middle: usize) -> Markup {
    let y = i * LINE + LINE / 2 + 10;
    let short: String = match name.chars().count() {
        0..=NAME => name.to_owned(),
        _ => name.chars().take(NAME - 1).chain(['…']).collect(),
    };
    // After the name, whose letters are about that wide.
    let start = 50 + 8 * short.chars().count();
    let way = format!("M{start} {y} C330 {y} 340 {middle} 412 {middle}");
    html! {
        g class=(level.class()) {
            path.way d=(way) {}
            @match level {
                Level::Good => circle.shape cx="16" cy=(y) r="7" {},
                Level::Warning => path.shape d=(format!("M16 {} l9 16 h-18 z", y - 9)) {},
                Level::Bad => path.way d=(format!("M9 {} l14 14 m0 -14 l-14 14", y - 7)) {},
            }
            path.shape d=(format!("M412 {} l8 5 l-8 5 z", middle.saturating_sub(5))) {}
        }
        text x="34" y=(y + 5) { title { (text(name)) } (text(&short)) }
    }
}

fn problems(shown: &Overview<'_>, params: &Params) -> Markup {
    let selected = params.text("reason");
    html! {
        h2 #problems-title { "Problems" }
        @if !selected.is_empty() {
            p { "Only problems with the reason " (text(selected)) ". "
                a #all-problems href="/" { "Show all problems" } }
        }
        @if shown.problems.is_empty() {
            p { (Level::Good) "No problems" }
        }
        @for group in &shown.problems { (problem_group(group, params)) }
    }
}

fn problem_group(group: &Group<'_>, params: &Params) -> Markup {
    let is_alone = !params.text("reason").is_empty();
    let sources: Vec<_> = group
        .sources
        .iter()
        .map(|(source, n)| format!("{source} ({n})"))
        .collect();
    let more = group.paging.total - group.shown.len();
    html! {
        h3 { (Level::Bad) (text(group.reason)) " (" (group.paging.total) ")" }
        @if let Some(remedy) = &group.remedy { p { strong { "Remedy: " } (text(remedy)) } }
        p.faint { "Sources: " (text(&sources.join(", "))) }
        ul {
            @for problem in &group.shown {
                li {
                    @if let Some(link) = super::service::link(&problem.object) {
                        a href=(link) { (text(&problem.object)) } " "
                    }
                    (text(&problem.message))
                }
            }
        }
        @if is_alone {
            (group.paging.links("problems", "/", params))
        } @else if 0 < more {
            p { a href=(Params::default().link("/", "reason", group.reason)) {
                "Show all " (group.paging.total) " problems with the reason "
                (text(group.reason))
            } }
        }
    }
}

fn held(held: &[Held<'_>]) -> Markup {
    html! {
        h2 #held-title { "Held deletions" }
        @if held.is_empty() {
            p { (Level::Good) "No deletions are held" }
        } @else {
            ul.notes {
                @for Held { held, left } in held {
                    li {
                        (Level::Warning)
                        "Source " (text(&held.source)) ": " (n_of(held.deletions, "deletion"))
                        " of " (text(&held.resource)) ", "
                        strong { (text(left)) }
                        ". " (text(&held.reason))
                    }
                }
            }
        }
    }
}

fn sources(shown: &Overview<'_>, params: &Params) -> Markup {
    let columns = [
        Text("Source"),
        Text("State"),
        Number("Services"),
        Number("Endpoint objects"),
        Text("Last contact"),
        Text("Last error"),
    ];
    let rows = html! { @for source in &shown.sources { (row(source)) } };
    html! {
        h2 #sources-title { "Sources" }
        @if shown.sources.is_empty() { p { "No sources are configured." } }
        @else {
            (wide_table("#sources-title", &columns, &rows))
            (shown.sources_paging.links("sources", "/", params))
        }
    }
}

fn row(source: &Source<'_>) -> Markup {
    let name = &source.source.name;
    html! {
        tr {
            th scope="row" {
                (source.level)
                a href=(Params::default().link("/services", "q", name)) { (text(name)) }
            }
            td { (text(source.state)) }
            td.number { (source.services) }
            td.number { (source.slices) }
            td { @match source.age { Some(age) => { (age) " s ago" }, None => "never" } }
            td.message { (source.error.map(text).unwrap_or_default()) }
        }
    }
}

fn propagation(propagated: &Propagated) -> Markup {
    let Propagated { buckets, minutes } = propagated;
    let most = buckets.iter().map(|it| it.n).max().unwrap_or(0).max(1);
    let total: u64 = buckets.iter().map(|it| it.n).sum();
    html! {
        h2 #propagation-title { "Propagation" }
        @if total == 0 {
            p { "No change of endpoints was written since this process started." }
        } @else {
            table {
                caption {
                    "Time from a change of endpoints in a source to its write: "
                    (total) " changes since this process started"
                }
                thead { tr {
                    th scope="col" { "Up to" }
                    th.number scope="col" { "Changes" }
                    th scope="col" { span.unseen { "Share" } }
                } }
                tbody {
                    @for Bucket { limit, n } in buckets {
                        tr {
                            th scope="row" {
                                @if limit == "+Inf" { "longer" } @else { (limit) " s" }
                            }
                            td.number { (n) }
                            td {
                                svg.bar aria-hidden="true" viewBox="0 0 100 8"
                                    preserveAspectRatio="none" {
                                    rect width=(n * 100 / most) height="8" {}
                                }
                            }
                        }
                    }
                }
            }
            (chart(minutes))
        }
    }
}
