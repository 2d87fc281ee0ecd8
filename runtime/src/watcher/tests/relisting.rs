use super::*;

#[tokio::test]
async fn an_expired_watch_is_a_list() {
    for expired in [stream(&[&error(EXPIRED)], Then::End), gone()] {
        let is_stream = matches!(expired, Answer::Stream { .. });
        let mut events = vec!["listed 5 []", "connected", "listed 9 [a]"];
        if !is_stream {
            events.remove(1);
        }
        check(
            vec![list(5, &[]), expired, list(9, &[&item("a", 8)])],
            &events,
            &["list", "watch >5", "list"],
        )
        .await;
    }
}

#[tokio::test]
async fn an_expired_list_is_asked_for_as_it_is_now() {
    check(
        vec![list(5, &[]), gone(), gone(), list(9, &[])],
        &[
            "listed 5 []",
            "failed: cannot list services: the server forgets changes before they can be read",
            "listed 9 []",
        ],
        &["list", "watch >5", "list", "list"],
    )
    .await;
}

#[tokio::test]
async fn a_page_that_expires_starts_the_list_again() {
    check(
        vec![
            page(5, &[&item("a", 3)], "x"),
            gone(),
            list(7, &[&item("b", 6)]),
        ],
        &["listed 7 [b]"],
        &["list", "list continue=x", "list"],
    )
    .await;
}

#[tokio::test]
async fn history_that_is_always_too_short_is_a_failure_with_delays() {
    let expired = stream(&[&error(EXPIRED)], Then::End);
    let failed =
        "failed: cannot watch services: the server forgets changes before they can be read";
    check_within(
        patient(),
        vec![
            list(5, &[]),
            expired.clone(),
            list(6, &[]),
            expired.clone(),
            list(7, &[]),
            expired,
        ],
        &[
            "listed 5 []",
            "connected",
            "listed 6 []",
            "connected",
            failed,
            "listed 7 []",
            "connected",
            failed,
        ],
        &["list", "watch >5", "list", "watch >6", "list", "watch >7"],
    )
    .await;
}

#[tokio::test]
async fn an_error_within_a_watch_is_a_failure_and_a_list() {
    let broken = r#"{"kind":"Status","message":"etcd is gone","code":500}"#;
    check(
        vec![
            list(5, &[]),
            stream(&[&error(broken)], Then::End),
            list(6, &[]),
        ],
        &[
            "listed 5 []",
            "connected",
            "failed: cannot watch services: the server failed (500): etcd is gone",
            "listed 6 []",
        ],
        &["list", "watch >5", "list"],
    )
    .await;
}

#[tokio::test]
async fn a_watch_that_is_refused_is_a_list() {
    check(
        vec![
            list(5, &[]),
            Answer::refusal("400 Bad Request", "no such version"),
            list(6, &[]),
        ],
        &[
            "listed 5 []",
            "failed: cannot watch services: the server refused the request (400): no such version",
            "listed 6 []",
        ],
        &["list", "watch >5", "list"],
    )
    .await;
}

#[tokio::test]
async fn a_bookmark_from_the_past_tells_that_a_server_is_behind() {
    check(
        vec![
            list(9, &[]),
            stream(&[&bookmark(7)], Then::Silence),
            list(10, &[]),
        ],
        &[
            "listed 9 []",
            "connected",
            "failed: cannot watch services: the server lags behind: \
             it is only at resource version 7",
            "listed 10 []",
        ],
        &["list", "watch >9", "list"],
    )
    .await;
}

#[tokio::test]
async fn a_doubted_resource_is_listed_again() {
    let answers = vec![
        list(5, &[]),
        stream(&[], Then::Silence),
        Answer::ok("{}"),
        list(9, &[&item("a", 8)]),
    ];
    let server = MockServer::start(answers).await;
    let mut reader = reader(&server, limits()).await;
    let mut said = vec![next(&mut reader).await, next(&mut reader).await];
    reader.list_again();
    said.push(next(&mut reader).await);
    let said: Vec<_> = said.iter().map(in_short).collect();
    assert_eq!(said, ["listed 5 []", "connected", "listed 9 [a]"]);
    let asked: Vec<_> = server.requests().iter().map(|it| asked(it)).collect();
    assert_eq!(asked, ["list", "watch >5", "state", "list"]);
}

#[tokio::test]
async fn doubt_does_not_shorten_a_delay() {
    let limits = Limits {
        first_delay: Duration::from_secs(3600),
        longest_delay: Duration::from_secs(3600),
        ..limits()
    };
    let server = MockServer::start(vec![list(5, &[]), gone(), gone()]).await;
    let mut reader = reader(&server, limits).await;
    for _ in 0..2 {
        next(&mut reader).await;
    }
    reader.list_again();
    let soon = tokio::time::timeout(Duration::from_millis(100), reader.next());
    assert!(soon.await.is_err());
    assert_eq!(server.requests().len(), 3);
}

const ALL: &str = "200 OK\r\nheliograph-view: all";
const FEW: &str = "200 OK\r\nheliograph-view: few";

#[tokio::test]
async fn a_watch_of_another_view_is_a_list() {
    let watch = |head, name, revision| Answer::ok(event("ADDED", name, revision)).with_head(head);
    check(
        vec![
            list(5, &[&item("a", 3), &item("b", 4)]).with_head(ALL),
            watch(ALL, "c", 7),
            watch(FEW, "d", 9),
            list(9, &[&item("a", 3)]).with_head(FEW),
            watch(FEW, "d", 10),
        ],
        &[
            "listed 5 [a b]",
            "connected",
            "applied c 7",
            "listed 9 [a]",
            "connected",
            "applied d 10",
        ],
        &["list", "watch >5", "watch >7", "list", "watch >9"],
    )
    .await;
}

#[tokio::test]
async fn views_that_change_with_each_answer_are_a_failure_with_delays() {
    check(
        vec![
            list(5, &[]).with_head(ALL),
            Answer::ok("").with_head(FEW),
            list(6, &[]).with_head(ALL),
            Answer::ok("").with_head(FEW),
            list(7, &[]).with_head(ALL),
        ],
        &[
            "listed 5 []",
            "listed 6 []",
            "failed: cannot watch services: the server shows something else in each answer: do \
             all behind it export the same?",
            "listed 7 []",
        ],
        &["list", "watch >5", "list", "watch >6", "list"],
    )
    .await;
}
