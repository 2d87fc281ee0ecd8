use proto_types::frame::EventType;

use super::*;

#[tokio::test]
async fn a_list_is_watched_from_its_revision() {
    let events = [
        event(EventType::Added.as_str(), "b", 6),
        event("MODIFIED", "a", 7),
        event("DELETED", "b", 8),
        bookmark(9),
    ]
    .concat();
    check(
        vec![list(5, &[&item("a", 3)]), stream(&[&events], Then::Silence)],
        &[
            "listed 5 [a]",
            "connected",
            "applied b 6",
            "applied a 7",
            "deleted b 8",
            "progress 9",
        ],
        &["list", "watch >5"],
    )
    .await;
}

#[tokio::test]
async fn requests_name_the_scope_and_what_they_accept() {
    let slices = r#"{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","metadata":{"resourceVersion":"5"},"items":[]}"#;
    let answers = vec![Answer::ok(slices), stream(&[], Then::Silence)];
    let server = MockServer::start(answers).await;
    let client = crate::connect(&server.access(), "heliograph-test/1").await;
    let scope = Scope {
        resource: Resource::EndpointSlices.names(),
        namespace: Some("web".to_owned()),
        selector: "export in (a,b),!mirror".parse().unwrap(),
    };
    let mut reader = Watcher::new(client.unwrap(), scope, limits());
    assert_eq!(in_short(&next(&mut reader).await), "listed 5 []");
    assert_eq!(in_short(&next(&mut reader).await), "connected");

    let collection = "/apis/discovery.k8s.io/v1/namespaces/web/endpointslices";
    let selector = "labelSelector=export%20in%20%28a%2Cb%29%2C%21mirror";
    let [listing, watching] = &server.requests()[..] else {
        panic!("one list and one watch")
    };
    assert_eq!(target(listing), format!("{collection}?{selector}"));
    let watch = "watch=true&allowWatchBookmarks=true&resourceVersion=5&timeoutSeconds=";
    let expected = format!("{collection}?{selector}&{watch}");
    assert!(target(watching).starts_with(&expected), "{watching}");
    assert!(listing.contains("accept-encoding: gzip\r\n"), "{listing}");
    let codings = "accept-encoding: heliograph-delta, gzip\r\n";
    assert!(watching.contains(codings), "{watching}");
    let held = "heliograph-held-since: 6\r\n";
    assert!(watching.contains(held), "{watching}");
    for head in [listing, watching] {
        assert!(head.contains("accept: application/json\r\n"), "{head}");
        assert!(head.contains("user-agent: heliograph-test/1\r\n"), "{head}");
    }
}

#[tokio::test]
async fn items_get_the_head_that_events_have() {
    let server = MockServer::start(vec![list(5, &[&item("a", 3)])]).await;
    let mut reader = reader(&server, limits()).await;
    let Event::Listed(listing) = next(&mut reader).await else {
        panic!("a list comes first")
    };
    let json = std::str::from_utf8(&listing.objects[0].json).unwrap();
    assert!(
        json.starts_with(r#"{"kind":"Service","apiVersion":"v1","metadata""#),
        "{json}"
    );
}

#[tokio::test]
async fn an_empty_list_may_be_null() {
    let null = r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":null}"#;
    check(vec![Answer::ok(null)], &["listed 5 []"], &["list"]).await;
}

#[tokio::test]
async fn a_watch_that_ends_is_resumed_where_it_was() {
    let events = [event("ADDED", "a", 6), bookmark(9)].concat();
    check(
        vec![
            list(5, &[]),
            stream(&[&events], Then::EndLater),
            stream(&[&event("MODIFIED", "a", 10)], Then::Silence),
        ],
        &[
            "listed 5 []",
            "connected",
            "applied a 6",
            "progress 9",
            "connected",
            "applied a 10",
        ],
        &["list", "watch >5", "watch >9"],
    )
    .await;
}

#[tokio::test]
async fn an_event_may_come_in_pieces() {
    let whole = event("ADDED", "a", 6) + "\n" + &event("ADDED", "b", 7);
    let (first, second) = whole.split_at(20);
    check(
        vec![list(5, &[]), stream(&[first, second], Then::Silence)],
        &["listed 5 []", "connected", "applied a 6", "applied b 7"],
        &["list", "watch >5"],
    )
    .await;
}

#[tokio::test]
async fn only_the_same_event_twice_is_a_repeat() {
    let events = [
        event("MODIFIED", "a", 6),
        event("MODIFIED", "a", 6),
        event("MODIFIED", "b", 6),
        event("DELETED", "b", 6),
        event("ADDED", "c", 4),
    ]
    .concat();
    check(
        vec![
            list(5, &[]),
            stream(&[&events], Then::EndLater),
            stream(&[], Then::Silence),
        ],
        &[
            "listed 5 []",
            "connected",
            "applied a 6",
            "applied b 6",
            "deleted b 6",
            "applied c 4",
            "connected",
        ],
        &["list", "watch >5", "watch >6"],
    )
    .await;
}

#[tokio::test]
async fn pages_are_one_list() {
    check(
        vec![
            page(5, &[&item("a", 3)], "to=b"),
            page(5, &[&item("b", 4)], ""),
        ],
        &["listed 5 [a b]"],
        &["list", "list continue=to%3Db"],
    )
    .await;
}

#[tokio::test]
async fn dropped_calls_lose_nothing() {
    let slow = Duration::from_millis(200);
    let body =
        r#"{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"5"},"items":[]}"#;
    let server = MockServer::start(vec![
        Answer::late(body, slow),
        stream(&[&event("ADDED", "a", 6)], Then::Silence),
    ])
    .await;
    let mut reader = reader(&server, limits()).await;
    let mut said = Vec::new();
    while said.len() < 3 {
        // Dropped after a millisecond, whatever it was doing.
        let call = tokio::time::timeout(Duration::from_millis(1), reader.next());
        if let Ok(event) = call.await {
            said.push(in_short(&event));
        }
    }
    assert_eq!(said, ["listed 5 []", "connected", "applied a 6"]);
    assert_eq!(server.requests().len(), 2);
}
