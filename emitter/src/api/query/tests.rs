use super::{Duration, Options, Query, ResourceVersion, RevisionMatch, Status};

fn parse(query: &str) -> Result<Options, Status> {
    Options::parse(
        &Query::parse(Some(query)),
        proto_types::Resource::Services.into(),
        false,
    )
}

#[track_caller]
fn refused(query: &str, code: u16, message: &str) {
    let status = parse(query).unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (code, message),
        "{query}"
    );
}

#[test]
fn everything_but_zero_and_false_is_true() {
    for query in ["watch", "watch=", "watch=True", "watch=2", "&watch=1"] {
        assert!(parse(query).unwrap().watch, "{query}");
    }
    for query in [
        "",
        "watch=0",
        "watch=false",
        "watch=FALSE",
        "Watch=1",
        "watch=0&watch=1",
    ] {
        assert!(!parse(query).unwrap().watch, "{query}");
    }
}

#[test]
fn numbers_are_checked_and_nothing_means_no_limit() {
    refused(
        "limit=abc",
        400,
        "strconv.ParseInt: parsing \"abc\": invalid syntax",
    );
    refused(
        "limit=",
        400,
        "strconv.ParseInt: parsing \"\": invalid syntax",
    );
    assert_eq!(parse("limit=0").unwrap().limit, None);
    assert_eq!(parse("limit=-3").unwrap().limit, None);
    assert_eq!(parse("limit=%2B3").unwrap().limit, Some(3));
    let timeout = parse("watch=1&timeoutSeconds=5").unwrap().timeout;
    assert_eq!(timeout, Some(Duration::from_secs(5)));
}

#[test]
fn selectors_that_cannot_be_read_are_refused() {
    refused(
        "labelSelector=a%20b",
        400,
        "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
    );
    refused(
        "fieldSelector=x",
        400,
        "invalid selector: 'x'; can't understand 'x'",
    );
    refused(
        "fieldSelector=status.phase%3DX",
        400,
        "field label not supported: status.phase",
    );
    assert!(parse("labelSelector=nope;foo=1").unwrap().labels.is_empty());
}

#[test]
fn resource_versions_are_numbers() {
    refused(
        "resourceVersion=abc",
        400,
        "invalid resource version: resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
    );
    assert_eq!(parse("watch=1&resourceVersion=abc").unwrap_err().code, 500);
    assert_eq!(
        parse("resourceVersion=7").unwrap().revision,
        Some(ResourceVersion::new(7))
    );
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    let forbidden = |why: &str| {
        format!("ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: {why}")
    };
    refused(
        "resourceVersionMatch=Exact",
        422,
        &forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"),
    );
    refused(
        "resourceVersionMatch=Exact&resourceVersion=0",
        422,
        &forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""),
    );
    refused(
        "watch=1&sendInitialEvents=true",
        422,
        &forbidden("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
    );
    refused(
        "sendInitialEvents=false",
        422,
        "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
    );
    let exact = parse("resourceVersionMatch=Exact&resourceVersion=7").unwrap();
    assert_eq!(exact.revision_match, Some(RevisionMatch::Exact));
}

#[test]
fn a_timeout_must_be_a_duration_of_go() {
    let check = |query: &str| Query::parse(Some(query)).check_timeout();
    for query in [
        "timeout=32s",
        "timeout=0",
        "timeout=-1s",
        "timeout=1h15m",
        "timeout=1.5ms",
        "timeout=",
    ] {
        assert!(check(query).is_ok(), "{query}");
    }
    assert_eq!(
        check("timeout=xyz").unwrap_err().message,
        "invalid timeout specified in the request URL - time: invalid duration \"xyz\"",
    );
    for query in ["timeout=5", "timeout=5x", "timeout=-"] {
        assert_eq!(check(query).unwrap_err().code, 400, "{query}");
    }
}

#[test]
fn a_watch_from_anywhere_begins_with_the_state() {
    let initial = |query| parse(query).unwrap().send_initial_events;
    assert_eq!(initial("watch=1"), Some(true));
    assert_eq!(initial("watch=1&resourceVersion=0"), Some(true));
    assert_eq!(initial("watch=1&resourceVersion=7"), None);
    assert_eq!(parse("watch=1&continue=x").unwrap_err().code, 422);
}

#[test]
fn a_watch_of_any_number_of_seconds_has_an_end() {
    let day = Duration::from_secs(24 * 60 * 60);
    // Go counts nanoseconds in 63 bits.
    for (seconds, expected) in [
        ("9223372036", Some(day)),
        ("9223372037", Some(Duration::ZERO)),
        ("9223372036854775807", Some(Duration::ZERO)),
        ("-5", Some(Duration::ZERO)),
        ("0", None),
    ] {
        let query = format!("watch=1&timeoutSeconds={seconds}");
        assert_eq!(parse(&query).unwrap().timeout, expected, "{seconds}");
    }
    assert!(parse("timeoutSeconds=9223372036854775808").is_err());
}

#[test]
fn selectors_that_cost_more_than_any_reader_needs_are_refused() {
    let terms = |n: usize| {
        let terms: Vec<_> = (0..n).map(|i| format!("!a{i}")).collect();
        format!("labelSelector={}", terms.join(","))
    };
    let values = |n: usize| {
        let values: Vec<_> = (0..n).map(|i| format!("v{i}")).collect();
        format!("labelSelector=a%20in%20({})", values.join(","))
    };
    let fields = |n: usize| {
        let terms: Vec<_> = (0..n).map(|i| format!("metadata.name!=a{i}")).collect();
        format!("fieldSelector={}", terms.join(","))
    };
    for query in [terms(100), values(1000), fields(100)] {
        assert!(parse(&query).is_ok(), "{query}");
    }
    for query in [terms(101), terms(3405), values(1001), fields(101)] {
        assert_eq!(parse(&query).unwrap_err().code, 400);
    }
}
