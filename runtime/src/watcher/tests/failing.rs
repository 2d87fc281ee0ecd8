use super::*;

#[tokio::test]
async fn refusals_are_told_in_words_and_asked_again() {
    for (head, reason, message) in [
        (
            "401 Unauthorized",
            "Unauthorized",
            "the credentials do not work: why",
        ),
        ("403 Forbidden", "Forbidden", "not allowed: why"),
        (
            "404 Not Found",
            "NotFound",
            "not served there, or nothing but a Kubernetes API server answers: why",
        ),
        (
            "429 Too Many Requests",
            "TooManyRequests",
            "the server asks to come back later: why",
        ),
        (
            "500 Internal Server Error",
            "ServerError",
            "the server failed (500): why",
        ),
        (
            "503 Service Unavailable",
            "ServerError",
            "the server failed (503): why",
        ),
        (
            "302 Found",
            "RequestRejected",
            "the server refused the request (302): why",
        ),
    ] {
        let refusal = Answer::refusal(head, r#"{"kind":"Status","message":"why"}"#);
        let failure = failure(vec![refusal.clone()], limits()).await;
        assert_eq!(failure.reason(), reason);
        let message = format!("failed: cannot list services: {message}");
        check(
            vec![refusal, list(5, &[])],
            &[&message, "listed 5 []"],
            &["list", "list"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_server_may_ask_for_a_longer_wait() {
    for answer in [
        Answer::refusal("429 Too Many Requests\r\nretry-after: 7", "wait"),
        Answer::refusal(
            "503 Service Unavailable",
            r#"{"kind":"Status","details":{"retryAfterSeconds":7}}"#,
        ),
    ] {
        let failure = failure(vec![answer], limits()).await;
        assert_eq!(failure.retry_in, Duration::from_secs(7));
    }
}

#[tokio::test]
async fn a_watch_that_does_not_begin_keeps_its_revision() {
    let failed = "failed: cannot watch services: the server failed (503): restarting";
    let restarting = Answer::refusal("503 Service Unavailable", "restarting");
    check(
        vec![
            list(5, &[]),
            restarting.clone(),
            restarting.clone(),
            restarting,
            stream(&[], Then::Silence),
        ],
        &["listed 5 []", failed, failed, failed, "connected"],
        &["list", "watch >5", "watch >5", "watch >5", "watch >5"],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = MockServer::start(Vec::new()).await;
    let mut reader = reader(&server, limits()).await;
    drop(server);
    let Event::Failed(failure) = next(&mut reader).await else {
        panic!("nobody answers")
    };
    assert_eq!(failure.reason(), "Unreachable");
    let message = failure.to_string();
    let expected = "cannot list services: no connection: Connection refused";
    assert!(message.starts_with(expected), "{message}");
}

#[tokio::test]
async fn a_quiet_watch_is_opened_again_before_it_counts_as_dead() {
    let limits = Limits {
        silence: Duration::from_millis(100),
        probe: Duration::from_millis(300),
        ..limits()
    };
    // The server sends no bookmarks; later it does not respond any more.
    let quiet = || stream(&[], Then::Silence);
    check_within(
        limits,
        vec![
            list(5, &[]),
            stream(&[&event("ADDED", "a", 6)], Then::Silence),
            list(6, &[]),
            quiet(),
            list(6, &[]),
            quiet(),
        ],
        &[
            "listed 5 []",
            "connected",
            "applied a 6",
            "connected",
            "connected",
            "failed: cannot watch services: no answer within 300ms",
        ],
        &[
            "list",
            "watch >5",
            "list limit=1",
            "watch >6",
            "list limit=1",
            "watch >6",
            "list limit=1",
        ],
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_given_up() {
    let limits = Limits {
        response: Duration::from_millis(100),
        ..limits()
    };
    let failure = failure(Vec::new(), limits).await;
    assert_eq!(failure.cause, FailureCause::Slow(limits.response));
}

#[tokio::test]
async fn a_list_that_does_not_end_is_given_up() {
    let limits = Limits {
        list: Duration::from_millis(100),
        ..limits()
    };
    let failure = failure(vec![stream(&["{"], Then::Silence)], limits).await;
    assert_eq!(failure.cause, FailureCause::Slow(limits.list));
}

#[tokio::test]
async fn a_watch_that_breaks_is_resumed_where_it_was() {
    let half = &event("ADDED", "b", 7)[..30];
    for then in [Then::Cut, Then::End] {
        let server = MockServer::start(vec![
            list(5, &[]),
            stream(&[&event("ADDED", "a", 6), half], then),
            stream(&[], Then::Silence),
        ])
        .await;
        let mut reader = reader(&server, limits()).await;
        let mut said = Vec::new();
        for _ in 0..5 {
            said.push(in_short(&next(&mut reader).await));
        }
        let broke = said.remove(3);
        let expected = "failed: cannot watch services: the connection broke: ";
        assert!(broke.starts_with(expected), "{broke}");
        assert_eq!(
            said,
            ["listed 5 []", "connected", "applied a 6", "connected"]
        );
        assert_eq!(asked(&server.requests()[2]), "watch >6");
    }
}

#[tokio::test]
async fn garbage_is_not_taken_for_an_event() {
    for garbage in [
        "<html>\n",
        "{}\n",
        "{\"type\":\"NEWS\",\"object\":{}}\n",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\"}}}\n",
    ] {
        let watch = stream(&[garbage], Then::Silence);
        let failure = failure(vec![list(5, &[]), watch], limits()).await;
        assert_eq!(failure.reason(), "InvalidResponse", "{garbage}");
    }
}

#[tokio::test]
async fn garbage_is_not_taken_for_a_list() {
    for garbage in [
        "<html>",
        "{}",
        r#"{"metadata":{"resourceVersion":"0"},"items":[]}"#,
        r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[{"metadata":{}}]}"#,
        r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"5"}}"#,
        r#"{"metadata":{"resourceVersion":"5"},"items":[]}"#,
        r#"{"kind":"Status","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[]}"#,
        r#"{"kind":"EndpointsList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[]}"#,
        r#"{"kind":"ServiceList","apiVersion":"v2","metadata":{"resourceVersion":"5"},"items":[]}"#,
    ] {
        let failure = failure(vec![Answer::ok(garbage)], limits()).await;
        assert_eq!(failure.reason(), "InvalidResponse", "{garbage}");
    }
}

#[tokio::test]
async fn answers_have_limits() {
    let limits = Limits {
        event_bytes: 150,
        page_bytes: 150,
        ..limits()
    };
    let long = "x".repeat(200);
    let listed = failure(vec![list(5, &[&item(&long, 3)])], limits).await;
    assert_eq!(listed.cause, FailureCause::TooLarge(150));
    // A line counts while it comes as much as when it is whole.
    for chunk in [event("ADDED", &long, 6), long] {
        let watch = stream(&[&chunk], Then::Silence);
        let watched = failure(vec![list(5, &[]), watch], limits).await;
        assert_eq!(watched.cause, FailureCause::TooLarge(150));
    }
}

#[tokio::test]
async fn watches_that_end_at_once_are_not_asked_for_without_end() {
    let slow = Limits {
        first_delay: Duration::from_millis(200),
        ..Limits::default()
    };
    for end in [
        stream(&[], Then::End),
        stream(&[&bookmark(5)], Then::End),
        stream(&[&error(EXPIRED)], Then::End),
    ] {
        let mut answers = vec![list(5, &[])];
        for _ in 0..100 {
            answers.push(end.clone());
        }
        let server = MockServer::start(answers).await;
        let mut reader = reader(&server, slow).await;
        let follow = async {
            loop {
                reader.next().await;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(Duration::from_secs(1), follow).await;
        let n_asked = server.requests().len();
        assert!((3..=8).contains(&n_asked), "{n_asked} requests in a second");
    }
}

#[tokio::test]
async fn a_watch_that_ends_at_once_is_a_failure() {
    let brief = stream(&[], Then::End);
    let failure = failure(vec![list(5, &[]), brief], patient()).await;
    assert_eq!(
        failure.to_string(),
        "cannot watch services: the server ended the watch as soon as it began"
    );
}

#[tokio::test]
async fn endless_pages_end() {
    let few = Limits {
        pages: 5,
        ..limits()
    };
    let pages = (0..10).map(|i| page(5, &[&item(&format!("s{i}"), 3)], &format!("t{i}")));
    let endless = failure(pages.collect(), few).await;
    assert_eq!(endless.reason(), "BudgetExceeded");
    let repeated = vec![page(5, &[], "again"), page(5, &[], "again")];
    assert_eq!(
        failure(repeated, limits()).await.reason(),
        "InvalidResponse"
    );
}

#[tokio::test]
async fn a_response_counts_against_the_budget_while_it_is_read() {
    let budget = |bytes, objects| crate::Budget::new(crate::Amount { bytes, objects }, None);
    let within = async |answers: Vec<Answer>, budget: &std::sync::Arc<crate::Budget>| {
        let server = MockServer::start(answers).await;
        let mut reader = reader(&server, limits())
            .await
            .within(std::sync::Arc::clone(budget));
        let mut told = Vec::new();
        loop {
            let event = next(&mut reader).await;
            told.push(in_short(&event));
            if let Event::Failed(failure) = event {
                return (told, failure.reason());
            }
        }
    };
    let large = item("large", 3).replace("{}", &format!("{{\"x\":\"{}\"}}", "y".repeat(9000)));
    // A body counts while it comes.
    let tight = budget(8000, 100);
    assert_eq!(
        within(vec![list(5, &[&large])], &tight).await.1,
        "BudgetExceeded"
    );
    // Pages count together, and with what was told.
    let some = budget(1 << 20, 3);
    let pages = vec![
        page(5, &[&item("a", 1), &item("b", 1)], "t"),
        page(5, &[&item("c", 1), &item("d", 1)], ""),
    ];
    assert_eq!(within(pages, &some).await.1, "BudgetExceeded");
    let added = stream(
        &[
            &event("ADDED", "b", 6),
            &event("MODIFIED", "b", 7),
            &event("DELETED", "a", 8),
            &event("ADDED", "c", 9),
            &event("ADDED", "d", 10),
            &event("ADDED", "e", 11),
        ],
        Then::Silence,
    );
    let (told, reason) = within(vec![list(5, &[&item("a", 1)]), added], &some).await;
    assert_eq!(reason, "BudgetExceeded");
    assert!(told.contains(&"applied d 10".to_owned()), "{told:?}");
    assert!(!told.contains(&"applied e 11".to_owned()), "{told:?}");
    // A watcher that ends gives all back.
    for it in [&tight, &some] {
        assert_eq!(it.used(), crate::Amount::default());
    }
}
