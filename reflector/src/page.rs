//! Pages of the reflector: an overview, a search for Services, and one Service.
//!
//! | module | does |
//! |---|---|
//! | `overview` | selects what the overview shows; pure |
//! | `problems` | groups problems with their remedies; pure |
//! | `propagation` | reads the histogram of the metrics; pure |
//! | `minutes` | renders times of propagation over time |
//! | `html`, `service` | render |

mod html;
mod minutes;
mod overview;
mod problems;
mod propagation;
mod service;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use proto_types::ObjectKey;
use reflector_planner::inspect::Search;
use runtime::page::{Content, Pages, Params, Visit};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::propagation::History;
use crate::queries::{QueryChannels, Question};
use crate::status::Status;

use propagation::Propagated;

/// Time for which all pages share one status: the controller gets no more queries.
const SHARED: Duration = Duration::from_millis(300);

/// Number of minutes for which times of propagation are shown.
const MINUTES: i64 = 30;

/// Number of Services of a page.
const SERVICES: usize = 50;

/// Number of endpoints that the page of a Service lists for each member.
const ENDPOINTS: usize = 100;

const LINKS: &[(&str, &str)] = &[("/", "Overview"), ("/services", "Services")];

#[derive(Clone)]
struct Site {
    pages: Pages,
    questions: QueryChannels,
    metrics: Arc<Registry>,
    history: History,
    seen: Arc<Mutex<Option<(Instant, Snapshot)>>>,
}

/// Facts of the overview.
#[derive(Clone)]
struct Snapshot {
    status: Arc<Status>,
    propagation: Arc<Propagated>,
}

/// Returns the routes of the pages.
pub(crate) fn router(
    questions: QueryChannels,
    (metrics, history): (Arc<Registry>, History),
    shutdown: CancellationToken,
) -> Router {
    let site = Site {
        pages: Pages::new("reflector", LINKS, shutdown),
        questions,
        metrics,
        history,
        seen: Arc::default(),
    };
    let pages = Router::new()
        .route("/", get(overview))
        .route("/services", get(services))
        .route("/services/{namespace}/{name}", get(one_service))
        .with_state(site);
    runtime::page::router(pages)
}

async fn overview(State(site): State<Site>, visit: Visit) -> Response {
    let pages = site.pages.clone();
    let render = move |params| {
        let site = site.clone();
        async move {
            let Snapshot {
                status,
                propagation,
            } = site.snapshot().await?;
            let shown = overview::overview(&status, &propagation, &params, Timestamp::now());
            Some(html::overview(&shown, &params))
        }
    };
    pages.respond("/", visit, render).await
}

async fn services(State(site): State<Site>, visit: Visit) -> Response {
    let pages = site.pages.clone();
    let render = move |params: Params| {
        let site = site.clone();
        async move {
            let search = Search {
                text: params.text("q").to_owned(),
                page: params.page("page"),
                size: SERVICES,
            };
            let found = site
                .questions
                .query(|asker| Question::Find(search, asker))
                .await?;
            Some(service::list(&found, &params))
        }
    };
    pages.respond("/services", visit, render).await
}

async fn one_service(
    State(site): State<Site>,
    Path((namespace, name)): Path<(String, String)>,
    visit: Visit,
) -> Response {
    let pages = site.pages.clone();
    let key = ObjectKey::new(&namespace, &name);
    let render = move |_| {
        let (site, key) = (site.clone(), key.clone());
        async move { site.service(key).await }
    };
    pages.respond("/services/", visit, render).await
}

impl Site {
    /// Returns what the overview shows, at most [`SHARED`] old.
    async fn snapshot(&self) -> Option<Snapshot> {
        let mut seen = self.seen.lock().await;
        if let Some((at, seen)) = &*seen
            && at.elapsed() < SHARED
        {
            return Some(seen.clone());
        }
        let status = self.questions.status().await?;
        let mut text = String::new();
        // Text takes all that is written.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.metrics);
        let fresh = Snapshot {
            status: Arc::new(status),
            propagation: Arc::new(Propagated {
                buckets: propagation::read(&text),
                minutes: self.history.last(MINUTES, Timestamp::now()),
            }),
        };
        *seen = Some((Instant::now(), fresh.clone()));
        Some(fresh)
    }

    async fn service(&self, key: ObjectKey) -> Option<Content> {
        let questions = &self.questions;
        let service = key.clone();
        let explanations = questions.query(|it| Question::Explain(service, it)).await?;
        let service = key.clone();
        let members = questions
            .query(|it| Question::Members(service, ENDPOINTS, it))
            .await?;
        Some(service::one(&key, &members, &explanations))
    }
}
