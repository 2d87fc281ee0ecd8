//! Page of the emitter: its resources, and the watches of its clients.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use maud::{Markup, html};
use runtime::page::Column::{Number, Text};
use runtime::page::{Content, Level, Pages, Paging, Params, Visit, n_of, text, wide_table};
use tokio_util::sync::CancellationToken;

use crate::consumers::Watch;
use crate::debug::DebugState;
use crate::watch_cache::WatchCache;

/// Number of watches of a page.
const WATCHES: usize = 100;

/// Number of watch events behind from which a watch is marked.
const SLOW: u64 = 1000;

const LINKS: &[(&str, &str)] = &[("/", "Overview")];

#[derive(Clone)]
struct Site {
    pages: Pages,
    caches: Arc<[Arc<WatchCache>]>,
    present: DebugState,
}

/// One resource that is served.
#[derive(Debug)]
struct Snapshot {
    resource: &'static str,
    objects: usize,
    /// Resource version up to which the objects are known.
    version: Option<String>,
}

/// One watch of a client.
#[derive(Debug, Clone)]
struct Open {
    consumer: String,
    view: String,
    resource: &'static str,
    selector: String,
    since: Timestamp,
    behind: u64,
    sent: u64,
}

/// Returns the route of the page.
pub(crate) fn router(
    caches: Vec<Arc<WatchCache>>,
    present: DebugState,
    shutdown: CancellationToken,
) -> Router {
    let site = Site {
        pages: Pages::new("emitter", LINKS, shutdown),
        caches: caches.into(),
        present,
    };
    let page = Router::new().route("/", get(overview)).with_state(site);
    runtime::page::router(page)
}

async fn overview(State(site): State<Site>, visit: Visit) -> Response {
    let pages = site.pages.clone();
    let render = move |params| {
        let content = site.content(&params);
        async { Some(content) }
    };
    pages.respond("/", visit, render).await
}

impl Site {
    fn content(&self, params: &Params) -> Content {
        let served = self.caches.iter().map(|cache| Snapshot {
            resource: cache.names().plural,
            objects: cache.objects(),
            version: cache.progress().borrow().map(|it| it.to_string()),
        });
        let served: Vec<_> = served.collect();
        let watches = self.present.consumers.watches();
        let watches = watches.iter().map(|it| open(it)).collect();
        content(&served, watches, self.present.connections.len(), params)
    }
}

fn open(watch: &Watch) -> Open {
    Open {
        consumer: watch.caller.name.to_string(),
        view: watch.caller.view().to_owned(),
        resource: watch.resource.plural,
        selector: watch.view().labels.to_string(),
        since: watch.since,
        behind: watch.behind(),
        sent: watch.n_events.load(Ordering::Relaxed),
    }
}

fn content(
    served: &[Snapshot],
    watches: Vec<Open>,
    n_connections: usize,
    params: &Params,
) -> Content {
    let searched = params.text("q");
    let n_all = watches.len();
    let n_unlisted = served.iter().filter(|it| it.version.is_none()).count();
    let level = if n_unlisted == 0 {
        Level::Good
    } else {
        Level::Bad
    };
    let mut found: Vec<_> = watches
        .into_iter()
        .filter(|it| {
            [&it.consumer, &it.view]
                .iter()
                .any(|it| it.contains(searched))
        })
        .collect();
    let order = |it: &Open| {
        (
            std::cmp::Reverse(it.behind),
            it.consumer.clone(),
            it.resource,
        )
    };
    found.sort_by_cached_key(order);
    let paging = Paging::of(params, "page", WATCHES, found.len());
    let shown = found.iter().skip(paging.skipped()).take(WATCHES);
    let parts = html! {
        h1 { "Overview" }
        p #summary data-part role="status" {
            (level)
            @match n_unlisted {
                0 => { "all resources are listed" }
                n => { (n_of(n, "resource")) " not listed yet; the log states why" }
            }
            ", " (n_of(n_connections, "connection")) ", " (n_all)
            @if n_all == 1 { " watch" } @else { " watches" }
        }
        section #resources data-part aria-labelledby="resources-title" { (resources(served)) }
        h2 #watches-title { "Watches" }
        form role="search" action="/" method="get" {
            label for="q" { "Name of a consumer or view" }
            input #q type="search" name="q" value=(searched) autocomplete="off";
            button type="submit" { "Search" }
        }
        section #watches data-part aria-labelledby="watches-title" {
            @if found.is_empty() { p { "No watches are open." } }
            @else { (table(shown)) (paging.links("watches", "/", params)) }
        }
    };
    let title = "Overview".to_owned();
    Content { title, parts }
}

fn resources(served: &[Snapshot]) -> Markup {
    html! {
        h2 #resources-title { "Exported objects" }
        table {
            thead { tr {
                th scope="col" { "Resource" }
                th.number scope="col" { "Objects" }
                th scope="col" { "Resource version" }
            } }
            tbody {
                @for it in served {
                    tr {
                        th scope="row" {
                            (if it.version.is_some() { Level::Good } else { Level::Bad })
                            (it.resource)
                        }
                        td.number { (it.objects) }
                        td { (it.version.as_deref().unwrap_or("not listed yet")) }
                    }
                }
            }
        }
    }
}

fn table<'a>(watches: impl Iterator<Item = &'a Open>) -> Markup {
    let columns = [
        Text("Consumer"),
        Text("View"),
        Text("Resource"),
        Text("Label selector"),
        Text("Since"),
        Number("Events behind"),
        Number("Events sent"),
    ];
    let rows = html! { @for it in watches { (row(it)) } };
    wide_table("#watches-title", &columns, &rows)
}

fn row(watch: &Open) -> Markup {
    let level = if watch.behind < SLOW {
        Level::Good
    } else {
        Level::Warning
    };
    html! {
        tr {
            th scope="row" { (level) (text(&watch.consumer)) }
            td { (text(&watch.view)) }
            td { (watch.resource) }
            td { (text(&watch.selector)) }
            td { (watch.since.to_string()) }
            td.number { (watch.behind) }
            td.number { (watch.sent) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(consumer: &str, behind: u64) -> Open {
        Open {
            consumer: consumer.to_owned(),
            view: "all".to_owned(),
            resource: "services",
            selector: String::new(),
            since: Timestamp::UNIX_EPOCH,
            behind,
            sent: 3,
        }
    }

    fn page(served: &[Snapshot], watches: Vec<Open>, query: &str) -> String {
        let content = content(served, watches, 1, &Params::read(query));
        content.parts.into_string()
    }

    #[test]
    fn slow_watches_come_first_and_hostile_names_are_text() {
        let watches = vec![watch("west", 2), watch("<b onload=x>\u{202e}", 5000)];
        let html = page(&[], watches, "");
        let at = |what: &str| html.find(what).unwrap();
        assert!(at("&lt;b onload") < at("west"), "{html}");
        assert!(!html.contains("<b ") && !html.contains('\u{202e}'));
        assert!(html.contains("2 watches") && html.contains("warning: "));
    }

    #[test]
    fn watches_are_searched_and_paged() {
        let watches: Vec<_> = (0..5000).map(|i| watch(&format!("c{i:04}"), 0)).collect();
        let html = page(&[], watches.clone(), "page=50");
        assert!(html.contains("c4999") && !html.contains("c0001"), "{html}");
        assert!(html.len() < 60_000, "{}", html.len());
        let html = page(&[], watches, "q=c4242");
        assert!(html.contains("c4242") && !html.contains("c4243"), "{html}");
    }

    #[test]
    fn resources_that_are_not_listed_are_bad() {
        let served = |version: Option<&str>| Snapshot {
            resource: "services",
            objects: 0,
            version: version.map(str::to_owned),
        };
        let html = page(&[served(None)], Vec::new(), "");
        assert!(html.contains("1 resource not listed yet"), "{html}");
        assert!(page(&[served(Some("7"))], Vec::new(), "").contains("all resources are listed"));
    }
}
