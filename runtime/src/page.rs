//! Pages of the admin port: the frame of a page, its files, and its updates.
//!
//! A page is rendered by the server and works without its script. The script replaces the
//! parts of the page that changed. Neither loads anything from another origin, and the
//! Content-Security-Policy forbids inline scripts and styles.

mod live;
mod params;
mod parts;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use maud::{DOCTYPE, Markup, html};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use params::Params;
pub use parts::{Column, Level, Paging, n_of, segment, text, wide_table};

/// Maximum number of pages that are updated at the same time.
pub const MAX_LIVE: usize = 32;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// Pages of one program.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Name of the program.
    program: &'static str,
    /// Links to its pages: path and text.
    links: &'static [(&'static str, &'static str)],
    /// Places for pages that are updated.
    places: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// Request for a page.
#[derive(Debug, Clone)]
pub struct Visit {
    params: Params,
    /// `true` if it asks for updates.
    is_live: bool,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            params: Params::read(parts.uri.query().unwrap_or_default()),
            is_live: live::asks_for_events(&parts.headers),
        })
    }
}

/// One page as it is now.
#[derive(Debug, Clone)]
pub struct Content {
    /// Title of the page.
    pub title: String,
    /// Elements with an id and the attribute `data-part`; each is replaced when it changes.
    pub parts: Markup,
}

impl Pages {
    /// Pages of that program. Updates end at `shutdown`.
    #[must_use]
    pub fn new(
        program: &'static str,
        links: &'static [(&'static str, &'static str)],
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            program,
            links,
            places: Arc::new(Semaphore::new(MAX_LIVE)),
            shutdown,
        }
    }

    /// Returns the page, or its updates if the client asks for events.
    ///
    /// `render` returns the page as it is now, or nothing if the program shuts down.
    pub async fn respond<F, R>(&self, path: &str, visit: Visit, render: F) -> Response
    where
        F: Fn(Params) -> R + Send + 'static,
        R: Future<Output = Option<Content>> + Send,
    {
        let Visit { params, is_live } = visit;
        let render = move || render(params.clone());
        if is_live {
            return live::updates(self, render);
        }
        match render().await {
            Some(content) => self.document(path, &content).into_response(),
            None => (StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response(),
        }
    }

    fn document(&self, path: &str, content: &Content) -> HtmlText {
        let program = self.program;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (text(&content.title)) " – Heliograph " (program) }
                    link rel="icon" type="image/svg+xml" href="/page/icon.svg";
                    link rel="stylesheet" href="/page/style.css";
                    script src="/page/live.js" defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header {
                        p.brand { "Heliograph " (program) }
                        nav aria-label="Pages" {
                            @for (target, name) in self.links {
                                a href=(target) aria-current=[(*target == path).then_some("page")] {
                                    (name)
                                }
                            }
                        }
                        p #connection role="status" { "Reload for news." }
                    }
                    main #main tabindex="-1" { (content.parts) }
                }
            }
        };
        HtmlText(page.into_string())
    }
}

/// Routes of pages with their files, and the headers of both.
pub fn router(pages: Router) -> Router {
    let file = |kind: &'static str, text: &'static str| {
        get(async move || ([(header::CONTENT_TYPE, kind)], text))
    };
    pages
        .route(
            "/page/style.css",
            file("text/css; charset=utf-8", include_str!("page/style.css")),
        )
        .route(
            "/page/live.js",
            file(
                "text/javascript; charset=utf-8",
                include_str!("page/live.js"),
            ),
        )
        .route(
            "/page/icon.svg",
            file("image/svg+xml", include_str!("page/icon.svg")),
        )
        .layer(middleware::from_fn(secure))
}

async fn secure(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

struct HtmlText(String);

impl IntoResponse for HtmlText {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], self.0).into_response()
    }
}

#[cfg(test)]
mod tests;
