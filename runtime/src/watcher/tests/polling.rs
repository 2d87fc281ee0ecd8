use super::*;

const EVERY: Duration = Duration::from_millis(20);

/// A list at no resource version.
fn bare(items: &[&str]) -> Answer {
    let items = items.join(",");
    Answer::ok(format!(
        r#"{{"kind":"ServiceList","apiVersion":"v1","metadata":{{}},"items":[{items}]}}"#
    ))
}

#[tokio::test]
async fn a_source_that_cannot_be_watched_is_retried() {
    let down = Answer::refusal("500 Internal Server Error", "{}");
    let answers = vec![
        bare(&[&item("a", 3)]),
        down,
        bare(&[&item("a", 3), &item("b", 4)]),
        list(9, &[&item("b", 4)]),
        stream(&[&event("ADDED", "c", 10)], Then::EndLater),
    ];
    let server = MockServer::start(answers).await;
    let mut reader = reader(&server, limits()).await.polling(EVERY);
    let mut said = Vec::new();
    for _ in 0..6 {
        said.push(in_short(&next(&mut reader).await));
    }
    assert!(
        said[1].starts_with("failed: cannot list services"),
        "{said:?}"
    );
    said.remove(1);
    let expected = [
        "listed 0 [a]",
        "listed 0 [a b]",
        "listed 9 [b]",
        "connected",
        "applied c 10",
    ];
    assert_eq!(said, expected);
    let asked: Vec<_> = server.requests().iter().map(|it| asked(it)).collect();
    assert_eq!(asked, ["list", "list", "list", "list", "watch >9"]);
}

#[tokio::test]
async fn a_list_at_no_revision_is_none_where_nobody_may_poll() {
    let failure = failure(vec![bare(&[])], limits()).await;
    assert_eq!(failure.reason(), "InvalidResponse");
}

#[tokio::test]
async fn a_polled_answer_that_is_no_list_is_an_error() {
    for garbage in [
        r#"{"metadata":{}}"#,
        r#"{"metadata":{},"items":[]}"#,
        r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{}}"#,
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success"}"#,
    ] {
        let server = MockServer::start(vec![bare(&[&item("a", 3)]), Answer::ok(garbage)]).await;
        let mut reader = reader(&server, limits()).await.polling(EVERY);
        assert_eq!(in_short(&next(&mut reader).await), "listed 0 [a]");
        let Event::Failed(failure) = next(&mut reader).await else {
            panic!("{garbage} was taken for a list")
        };
        assert_eq!(failure.reason(), "InvalidResponse", "{garbage}");
    }
}
