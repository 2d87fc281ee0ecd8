use axum::body::Body;
use axum::extract::State;
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

fn pages() -> (Router, Pages, Arc<parking_lot::Mutex<String>>) {
    let shown = Arc::new(parking_lot::Mutex::new("first".to_owned()));
    let pages = Pages::new("tester", &[("/", "Overview")], CancellationToken::new());
    let state = (pages.clone(), Arc::clone(&shown));
    let page = async |State((pages, shown)): State<(Pages, Arc<parking_lot::Mutex<String>>)>,
                      visit: Visit| {
        let render = move |_| {
            let shown = shown.lock().clone();
            async move {
                Some(Content {
                    title: "<title>".to_owned(),
                    parts: html! { p #x data-part { (shown) } },
                })
            }
        };
        pages.respond("/", visit, render).await
    };
    let router = Router::new().route("/", get(page)).with_state(state);
    (super::router(router), pages, shown)
}

async fn get_of(router: &Router, path: &str, accept: &str) -> Response {
    let request = Request::get(path).header(header::ACCEPT, accept);
    let request = request.body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn pages_and_files_forbid_everything_from_elsewhere() {
    let (router, _, _) = pages();
    for path in ["/", "/page/style.css", "/page/live.js", "/page/icon.svg"] {
        let response = get_of(&router, path, "*/*").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = &response.headers()[header::CONTENT_SECURITY_POLICY];
        let policy = policy.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("://"), "{path}: {text}");
        assert!(!text.contains("style=") && !text.contains("onclick"));
    }
}

#[tokio::test]
async fn titles_are_escaped_and_links_name_the_page() {
    let (router, _, _) = pages();
    let body = get_of(&router, "/", "text/html").await.into_body();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("<title>&lt;title&gt; – Heliograph tester"));
    assert!(text.contains("<a href=\"/\" aria-current=\"page\">"));
    assert!(text.contains("<p id=\"x\" data-part>first</p>"));
}

#[tokio::test(start_paused = true)]
async fn events_follow_each_change_and_end_at_shutdown() {
    let (router, pages, shown) = pages();
    let mut body = get_of(&router, "/", "text/event-stream").await.into_body();
    let mut next = async || {
        let frame = body.frame().await?.unwrap();
        let data = frame.into_data().unwrap();
        Some(String::from_utf8(data.to_vec()).unwrap())
    };
    assert!(next().await.unwrap().contains("data: <p id=\"x\""));
    *shown.lock() = "second\rline\nnext".to_owned();
    let update = next().await.unwrap();
    assert!(update.contains("secondline\ndata: next</p>"), "{update}");
    pages.shutdown.cancel();
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn pages_that_are_updated_are_limited() {
    let (router, _, _) = pages();
    let mut open = Vec::new();
    for _ in 0..MAX_LIVE {
        open.push(get_of(&router, "/", "text/event-stream").await);
    }
    let refused = get_of(&router, "/", "text/event-stream").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    open.pop();
    let served = get_of(&router, "/", "text/event-stream").await;
    assert_eq!(served.status(), StatusCode::OK);
}

#[test]
fn parameters_are_read_and_linked() {
    let params = Params::read("q=a%20%26b&page=3&empty=");
    assert_eq!((params.text("q"), params.page("page")), ("a &b", 3));
    assert_eq!(params.page("none"), 1);
    assert_eq!(params.link("/x", "page", "4"), "/x?page=4&q=a+%26b");
    assert_eq!(Params::default().link("/x", "q", ""), "/x");
    let paging = Paging::of(&params, "page", 10, 11);
    assert_eq!((paging.page, paging.skipped()), (2, 10));
    let links = paging.links("things", "/x", &params).into_string();
    assert!(links.contains("page=1&amp;q="), "{links}");
    assert!(!links.contains("Next"), "{links}");
}
