//! Watches by records, and differences from what is held.

use proto_types::ResourceVersion;
use proto_types::delta::{self, Form, Former, Head};

use super::*;

const HEAD: &str = "200 OK\r\ncontent-encoding: heliograph-delta";

fn record(form: Form, frame: &str, payload: &[u8]) -> Vec<u8> {
    let head = Head {
        form,
        length: frame.len(),
        checksum: delta::checksum(frame.as_bytes()),
        payload: payload.len(),
    };
    let mut out = Vec::new();
    head.write(&mut out);
    out.extend_from_slice(payload);
    out
}

fn plain(frame: &str) -> Vec<u8> {
    record(Form::Plain, frame, frame.as_bytes())
}

/// The object of an event.
fn object(frame: &str) -> &str {
    let object = frame.split_once(r#""object":"#).unwrap().1;
    object.strip_suffix("}\n").unwrap()
}

fn difference(before: &str, frame: &str) -> Vec<u8> {
    let json = object(before).as_bytes();
    let version: serde_json::Value = serde_json::from_slice(json).unwrap();
    let revision = version["metadata"]["resourceVersion"].as_str().unwrap();
    let revision = ResourceVersion::new(revision.parse().unwrap());
    let form = Form::Difference(Former::of(revision, json));
    let payload = delta::difference(&delta::base(json), frame.as_bytes());
    record(form, frame, &payload)
}

fn records(records: &[Vec<u8>], then: Then) -> Answer {
    Answer::bytes(HEAD, records.to_vec(), then)
}

/// Events of a watcher for such watches, one after another, and for each request the accepted
/// content codings, and since when versions are held.
async fn said(watches: Vec<Answer>, n: usize) -> (Vec<String>, Vec<String>) {
    let answers = [vec![list(5, &[&item("a", 3)])], watches].concat();
    let server = MockServer::start(answers).await;
    let mut reader = reader(&server, limits()).await;
    let mut said = Vec::new();
    for _ in 0..n {
        said.push(in_short(&next(&mut reader).await));
    }
    let header = |head: &str, name: &str| {
        let line = head.lines().find_map(|it| it.strip_prefix(name));
        line.unwrap_or_default().to_owned()
    };
    let asked = server.requests();
    let watches = asked.iter().filter(|it| it.contains("watch=true"));
    let watches = watches
        .map(|head| header(head, "accept-encoding: ") + &header(head, "heliograph-held-since"));
    (said, watches.collect())
}

#[tokio::test]
async fn differences_are_read_from_versions_of_this_watch_and_the_one_before() {
    let [a6, a7, b8, a9, b10] = [("a", 6), ("a", 7), ("b", 8), ("a", 9), ("b", 10)]
        .map(|(name, revision)| event("MODIFIED", name, revision));
    let gone = event("DELETED", "a", 11);
    let first = [plain(&a6), difference(&a6, &a7), plain(&b8)];
    // Two records in one chunk, and one in two.
    let later = [difference(&a7, &a9), difference(&b8, &b10)].concat();
    let (start, end) = later.split_at(later.len() / 2);
    let second = [
        start.to_vec(),
        end.to_vec(),
        difference(&a9, &gone),
        plain(&bookmark(12)),
    ];
    let (said, asked) = said(
        vec![
            records(&first, Then::EndLater),
            records(&second, Then::Silence),
        ],
        10,
    )
    .await;
    let expected = [
        "listed 5 [a]",
        "connected",
        "applied a 6",
        "applied a 7",
        "applied b 8",
        "connected",
        "applied a 9",
        "applied b 10",
        "deleted a 11",
        "progress 12",
    ];
    assert_eq!(said, expected);
    let codings = "heliograph-delta, gzip";
    assert_eq!(asked, [format!("{codings}: 6"), format!("{codings}: 6")]);
}

#[tokio::test]
async fn a_difference_from_another_version_is_never_an_object() {
    let [a6, a7] = [6, 7].map(|revision| event("MODIFIED", "a", revision));
    // Of the same resource version, and of the same length.
    let other = event("MODIFIED", "b", 6);
    let unknown = event("MODIFIED", "a", 4);
    let mut damaged = difference(&a6, &a7);
    *damaged.last_mut().unwrap() ^= 1;
    let cases = [
        (difference(&other, &a7), "a former version that is not held"),
        (
            difference(&unknown, &a7),
            "a former version that is not held",
        ),
        (damaged, "a difference of the watch does not fit its base"),
        (vec![9; 100], "a record of the watch has an invalid head"),
    ];
    for (record, why) in cases {
        let broken = records(&[plain(&a6), record], Then::End);
        let after = stream(&[&a7], Then::Silence);
        let (said, asked) = said(vec![broken, after], 6).await;
        assert_eq!(said[..3], ["listed 5 [a]", "connected", "applied a 6"]);
        assert!(
            said[3].starts_with("failed") && said[3].contains(why),
            "{}",
            said[3]
        );
        assert_eq!(said[4..], ["connected", "applied a 7"]);
        // Resumed from what was read, and plainly.
        assert_eq!(asked, ["heliograph-delta, gzip: 6", "gzip"]);
    }
}

#[tokio::test]
async fn a_watch_that_ends_within_a_record_goes_on_after_the_last_whole_one() {
    let [a6, a7] = [6, 7].map(|revision| event("MODIFIED", "a", revision));
    let cut = records(&[plain(&a6), plain(&a7)[..30].to_vec()], Then::End);
    let after = records(&[difference(&a6, &a7)], Then::Silence);
    let (said, asked) = said(vec![cut, after], 6).await;
    assert!(said[3].contains("ended within an event"), "{}", said[3]);
    assert_eq!(said[4..], ["connected", "applied a 7"]);
    let codings = "heliograph-delta, gzip";
    assert_eq!(asked, [format!("{codings}: 6"), format!("{codings}: 6")]);
}

#[tokio::test]
async fn a_server_without_records_is_read_as_before() {
    let first = stream(&[&event("MODIFIED", "a", 6)], Then::EndLater);
    let second = stream(&[&event("MODIFIED", "a", 7)], Then::Silence);
    let (said, asked) = said(vec![first, second], 5).await;
    assert_eq!(said[4], "applied a 7");
    // Nothing is held of such a server.
    let codings = "heliograph-delta, gzip";
    assert_eq!(asked, [format!("{codings}: 6"), format!("{codings}: 7")]);
}
