//! Answers whose absences do not count: of stale, disconnected and restored servers.

use super::*;

const CONNECTED: &str = "200 OK\r\nheliograph-upstream: connected\r\nheliograph-read: confirmed";
const CACHED: &str = "200 OK\r\nheliograph-upstream: connected\r\nheliograph-read: cached";
const LOST: &str = "200 OK\r\nheliograph-upstream: disconnected: no connection\r\n\
                    heliograph-upstream-age: 7\r\nheliograph-read: cached";
const OLD_LOST: &str = "200 OK\r\nheliograph-upstream: lost: no connection";

const DISCONNECTED: &str = "failed: cannot list services: the server is disconnected from its \
                            upstream: no connection";
const STALE: &str = "failed: cannot list services: the list is older than an earlier one, and is \
                     not confirmed: a stale replica";
const OLDER: &str = "failed: cannot list services: the list is older than an earlier one; it is \
                     accepted if others confirm it";

fn state(head: &'static str) -> Answer {
    Answer::ok("{}").with_head(head)
}

/// A list of a server with these headers.
fn of(head: &'static str, revision: u64, items: &[&str]) -> Answer {
    list(revision, items).with_head(head)
}

#[tokio::test]
async fn the_first_list_of_a_disconnected_emitter_only_adds() {
    for lost in [LOST, OLD_LOST] {
        check(
            vec![
                of(lost, 5, &[&item("a", 3)]),
                state(lost),
                state(CONNECTED),
                of(CONNECTED, 6, &[]),
                stream(&[], Then::Silence).with_head(CONNECTED),
            ],
            &[
                "listed 5 [a] AddOnly(Disconnected)",
                DISCONNECTED,
                DISCONNECTED,
                "listed 6 []",
                "connected",
            ],
            &["list", "state", "state", "list", "watch >6"],
        )
        .await;
    }
}

#[tokio::test]
async fn a_list_that_is_not_confirmed_only_adds() {
    let unconfirmed = "failed: cannot list services: the list is not confirmed: the API server \
                       did not respond in time";
    check(
        vec![
            of(CACHED, 5, &[&item("a", 3)]),
            state(CONNECTED),
            of(CONNECTED, 5, &[&item("a", 3)]),
        ],
        &[
            "listed 5 [a] AddOnly(Unconfirmed)",
            unconfirmed,
            "listed 5 [a]",
        ],
        &["list", "state", "list"],
    )
    .await;
}

#[tokio::test]
async fn a_stale_replica_is_not_believed_however_often_it_answers() {
    let stale = || {
        [
            state(CONNECTED),
            of(LOST, 5, &[&item("a", 3), &item("b", 4)]),
        ]
    };
    let mut answers = vec![
        of(CONNECTED, 9, &[&item("a", 3), &item("newest", 9)]),
        gone(),
        of(LOST, 5, &[&item("a", 3), &item("b", 4)]),
    ];
    answers.extend((0..4).flat_map(|_| stale()));
    answers.extend([state(CONNECTED), of(CONNECTED, 10, &[&item("newest", 9)])]);
    let mut expected = vec!["listed 9 [a newest]"];
    expected.extend([STALE; 5]);
    expected.push("listed 10 [newest]");
    let mut requests = vec!["list", "watch >9", "list"];
    requests.extend(["state", "list"].repeat(5));
    check(answers, &expected, &requests).await;
}

#[tokio::test]
async fn a_disconnected_replica_that_is_newer_only_adds() {
    check(
        vec![
            of(CONNECTED, 5, &[&item("a", 3)]),
            gone(),
            of(LOST, 9, &[&item("b", 8)]),
            state(CONNECTED),
            // Of the restored history, which the position is not behind.
            of(CONNECTED, 7, &[&item("a", 3)]),
        ],
        &[
            "listed 5 [a]",
            "listed 9 [b] AddOnly(Disconnected)",
            DISCONNECTED,
            "listed 7 [a]",
        ],
        &["list", "watch >5", "list", "state", "list"],
    )
    .await;
}

#[tokio::test]
async fn a_watch_of_a_disconnected_emitter_is_not_opened() {
    check(
        vec![
            of(CONNECTED, 5, &[&item("a", 3)]),
            stream(&[&event("DELETED", "a", 6)], Then::Silence).with_head(LOST),
            state(CONNECTED),
            of(CONNECTED, 7, &[&item("a", 3)]),
            stream(&[&event("DELETED", "a", 8)], Then::Silence).with_head(CONNECTED),
        ],
        &[
            "listed 5 [a]",
            "failed: cannot watch services: the server is disconnected from its upstream: no \
             connection",
            "listed 7 [a]",
            "connected",
            "deleted a 8",
        ],
        &["list", "watch >5", "state", "list", "watch >7"],
    )
    .await;
}

#[tokio::test]
async fn a_restored_history_is_accepted_after_three_confirmed_lists() {
    for head in ["200 OK", CONNECTED] {
        check(
            vec![
                of(head, 9, &[]),
                gone(),
                of(head, 4, &[&item("a", 3)]),
                state(head),
                of(head, 5, &[&item("a", 3)]),
                state(head),
                of(head, 5, &[&item("a", 3)]),
                stream(&[], Then::Silence).with_head(head),
            ],
            &[
                "listed 9 []",
                OLDER,
                OLDER,
                "listed 5 [a] rewound",
                "connected",
            ],
            &[
                "list", "watch >9", "list", "state", "list", "state", "list", "watch >5",
            ],
        )
        .await;
    }
}

#[tokio::test]
async fn a_replica_that_catches_up_has_not_rewound() {
    let older = || [state("200 OK"), list(4, &[])];
    let mut answers = vec![list(9, &[]), gone(), list(4, &[])];
    answers.extend(older());
    answers.extend([state("200 OK"), list(10, &[])]);
    check(
        answers,
        &["listed 9 []", OLDER, OLDER, "listed 10 []"],
        &["list", "watch >9", "list", "state", "list", "state", "list"],
    )
    .await;
}

/// As a kube-apiserver does that was restored from a backup: it opens a watch from its future,
/// and is silent.
#[tokio::test]
async fn a_quiet_watch_from_the_future_of_its_server_ends() {
    let limits = Limits {
        silence: Duration::from_millis(100),
        ..limits()
    };
    let older = || [state("200 OK"), list(7, &[])];
    let mut answers = vec![
        list(5, &[&item("a", 5)]),
        stream(&[&event("ADDED", "b", 9)], Then::Silence),
        list(7, &[]),
        list(7, &[]),
    ];
    answers.extend(older());
    answers.extend(older());
    check_within(
        limits,
        answers,
        &[
            "listed 5 [a]",
            "connected",
            "applied b 9",
            "failed: cannot watch services: the server lags behind: it is only at resource version 7",
            OLDER,
            OLDER,
            "listed 7 [] rewound",
        ],
        &[
            "list",
            "watch >5",
            "list limit=1",
            "list",
            "state",
            "list",
            "state",
            "list",
        ],
    )
    .await;
}

#[tokio::test]
async fn a_list_after_an_ignored_one_takes_a_new_connection() {
    let server = MockServer::start(vec![
        of(LOST, 5, &[]),
        state(CONNECTED),
        of(CONNECTED, 5, &[]),
    ])
    .await;
    let mut reader = reader(&server, limits()).await;
    for _ in 0..3 {
        next(&mut reader).await;
    }
    let asked = server.requests();
    assert!(
        asked[0].contains("heliograph-read: confirmed\r\n"),
        "{asked:?}"
    );
    assert!(!asked[0].contains("connection: close"), "{asked:?}");
    // Also the question before it, which would else be put to the same replica indefinitely.
    assert!(asked[1].contains("connection: close\r\n"), "{asked:?}");
    assert!(asked[2].contains("connection: close\r\n"), "{asked:?}");
}

fn lost_bookmark(revision: u64) -> String {
    let annotations = r#""annotations":{"heliograph.dev/upstream":"disconnected"}"#;
    let version = format!("\"resourceVersion\":\"{revision}\"");
    bookmark(revision).replace(&version, &format!("{version},{annotations}"))
}

#[tokio::test]
async fn a_watch_leaves_a_disconnected_replica_when_another_one_is_connected() {
    let server = MockServer::start(vec![
        of(CONNECTED, 5, &[]),
        stream(&[&lost_bookmark(5)], Then::Silence).with_head(CONNECTED),
        stream(&[], Then::Silence).with_head(LOST),
        Answer::refusal("503 Service Unavailable", ""),
        stream(&[&event("ADDED", "a", 6)], Then::Silence).with_head(CONNECTED),
    ])
    .await;
    let mut reader = reader(&server, limits()).await;
    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(in_short(&next(&mut reader).await));
    }
    let expected = [
        "listed 5 []",
        "connected",
        "progress 5",
        "connected",
        "applied a 6",
    ];
    assert_eq!(said, expected);
    let heads = server.requests();
    let asked: Vec<_> = heads.iter().map(|it| asked(it)).collect();
    assert_eq!(
        asked,
        ["list", "watch >5", "watch >5", "watch >5", "watch >5"]
    );
    for head in &heads[2..] {
        assert!(head.contains("connection: close\r\n"), "{head}");
        // What is held is for the watch that is still open.
        assert!(!head.contains("heliograph-held-since"), "{head}");
    }
}

#[tokio::test]
async fn a_disconnected_replica_that_comes_back_keeps_its_watch() {
    let limits = Limits {
        first_delay: Duration::from_millis(200),
        longest_delay: Duration::from_millis(400),
        ..limits()
    };
    for word in [event("ADDED", "a", 6), bookmark(6)] {
        let server = MockServer::start(vec![
            of(CONNECTED, 5, &[]),
            stream(&[&lost_bookmark(5), &word], Then::Silence).with_head(CONNECTED),
        ])
        .await;
        let mut reader = reader(&server, limits).await;
        for _ in 0..4 {
            next(&mut reader).await;
        }
        let more = tokio::time::timeout(Duration::from_millis(600), reader.next());
        assert!(more.await.is_err(), "nothing else happens");
        assert_eq!(server.requests().len(), 2, "{:?}", server.requests());
    }
}

#[tokio::test]
async fn the_only_replica_is_asked_with_delays_that_grow() {
    let limits = Limits {
        first_delay: Duration::from_millis(50),
        longest_delay: Duration::from_millis(800),
        ..limits()
    };
    let lost = || stream(&[], Then::Silence).with_head(LOST);
    let mut answers = vec![
        of(CONNECTED, 5, &[]),
        stream(&[&lost_bookmark(5)], Then::Silence).with_head(CONNECTED),
    ];
    answers.extend((0..20).map(|_| lost()));
    let server = MockServer::start(answers).await;
    let mut reader = reader(&server, limits).await;
    for _ in 0..3 {
        next(&mut reader).await;
    }
    let more = tokio::time::timeout(Duration::from_secs(2), reader.next());
    assert!(more.await.is_err(), "the watch stays open");
    // 50 to 100 ms, then twice as long each time up to 800 ms.
    let n_asked = server.requests().len() - 2;
    assert!((3..=6).contains(&n_asked), "{n_asked}");
}
