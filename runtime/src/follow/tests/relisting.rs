use super::*;

#[tokio::test]
async fn an_expired_watch_is_a_list_no_older_than_what_was_told() {
    for expired in [stream(&[&error(EXPIRED)], Then::End), gone()] {
        let is_stream = matches!(expired, Answer::Stream { .. });
        let mut events = vec!["listed 5 []", "connected", "listed 9 [a]"];
        if !is_stream {
            events.remove(1);
        }
        check(
            vec![list(5, &[]), expired, list(9, &[&item("a", 8)])],
            &events,
            &["list", "watch >5", "list >=5"],
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
        &["list", "watch >5", "list >=5", "list"],
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
        &[
            "list", "watch >5", "list >=5", "watch >6", "list >=6", "watch >7",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_stays_behind_has_rewound() {
    let behind = Answer::refusal("504 Gateway Timeout", BEHIND);
    let failed = "failed: cannot list services: the server lags behind: \
                  Timeout: Too large resource version: 9, current: 5";
    check(
        vec![
            list(9, &[]),
            gone(),
            behind.clone(),
            behind.clone(),
            behind,
            list(5, &[&item("a", 3)]),
            stream(&[], Then::Silence),
        ],
        &[
            "listed 9 []",
            failed,
            failed,
            failed,
            "listed 5 [a] rewound",
            "connected",
        ],
        &[
            "list", "watch >9", "list >=9", "list >=9", "list >=9", "list", "watch >5",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_server_that_catches_up_has_not_rewound() {
    let behind = Answer::refusal("504 Gateway Timeout", BEHIND);
    check(
        vec![list(9, &[]), gone(), behind, list(10, &[])],
        &[
            "listed 9 []",
            "failed: cannot list services: the server lags behind: \
             Timeout: Too large resource version: 9, current: 5",
            "listed 10 []",
        ],
        &["list", "watch >9", "list >=9", "list >=9"],
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
        &["list", "watch >5", "list >=5"],
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
        &["list", "watch >5", "list >=5"],
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
        &["list", "watch >9", "list >=9"],
    )
    .await;
}

#[tokio::test]
async fn what_is_doubted_is_listed_as_it_is_now() {
    let answers = vec![
        list(5, &[]),
        stream(&[], Then::Silence),
        list(9, &[&item("a", 8)]),
    ];
    let server = Scripted::start(answers).await;
    let mut reader = reader(&server, limits()).await;
    let mut said = vec![next(&mut reader).await, next(&mut reader).await];
    reader.list_again();
    said.push(next(&mut reader).await);
    let said: Vec<_> = said.iter().map(in_short).collect();
    assert_eq!(said, ["listed 5 []", "connected", "listed 9 [a]"]);
    let asked: Vec<_> = server.asked().iter().map(|it| asked(it)).collect();
    assert_eq!(asked, ["list", "watch >5", "list"]);
}

#[tokio::test]
async fn doubt_does_not_shorten_a_delay() {
    let limits = Limits {
        first_delay: Duration::from_secs(3600),
        longest_delay: Duration::from_secs(3600),
        ..limits()
    };
    let server = Scripted::start(vec![list(5, &[]), gone(), gone()]).await;
    let mut reader = reader(&server, limits).await;
    for _ in 0..2 {
        next(&mut reader).await;
    }
    reader.list_again();
    let soon = tokio::time::timeout(Duration::from_millis(100), reader.next());
    assert!(soon.await.is_err());
    assert_eq!(server.asked().len(), 3);
}

/// The same answer, from a server that says which view it is of.
fn of_view(head: &'static str, answer: Answer) -> Answer {
    match answer {
        Answer::Whole { body, after, .. } => Answer::Whole { head, body, after },
        Answer::Stream { .. } => unreachable!("a stream's head is fixed"),
    }
}

const ALL: &str = "200 OK\r\nheliograph-view: all";
const FEW: &str = "200 OK\r\nheliograph-view: few";

#[tokio::test]
async fn a_watch_of_another_view_is_a_list_no_older_than_what_was_told() {
    let watch = |head, name, revision| of_view(head, Answer::ok(event("ADDED", name, revision)));
    check(
        vec![
            of_view(ALL, list(5, &[&item("a", 3), &item("b", 4)])),
            watch(ALL, "c", 7),
            watch(FEW, "d", 9),
            of_view(FEW, list(9, &[&item("a", 3)])),
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
        &["list", "watch >5", "watch >7", "list >=7", "watch >9"],
    )
    .await;
}

#[tokio::test]
async fn views_that_change_with_each_answer_are_a_failure_with_delays() {
    check(
        vec![
            of_view(ALL, list(5, &[])),
            of_view(FEW, Answer::ok("")),
            of_view(ALL, list(6, &[])),
            of_view(FEW, Answer::ok("")),
            of_view(ALL, list(7, &[])),
        ],
        &[
            "listed 5 []",
            "listed 6 []",
            "failed: cannot watch services: the server shows something else in each answer: do \
             all behind it export the same?",
            "listed 7 []",
        ],
        &["list", "watch >5", "list >=5", "watch >6", "list >=6"],
    )
    .await;
}
