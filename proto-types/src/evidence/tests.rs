//! Transition table, laws, and the copy of the table in `ARCHITECTURE.md`.

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

/// Rows as in `ARCHITECTURE.md`: known, offered, ruling.
const ROWS: [(&str, &str, Ruling); 13] = [
    (
        "any",
        "other cluster",
        Ruling::Ignore(Objection::OtherCluster),
    ),
    (
        "identity",
        "no identity",
        Ruling::Ignore(Objection::UnknownCluster),
    ),
    ("nothing", "confirmed", Ruling::Replace),
    ("nothing", "cached", Ruling::AddOnly(Weakness::Unconfirmed)),
    (
        "nothing",
        "disconnected",
        Ruling::AddOnly(Weakness::Disconnected),
    ),
    ("position", "confirmed, not older", Ruling::Replace),
    (
        "position",
        "cached, not older",
        Ruling::AddOnly(Weakness::Unconfirmed),
    ),
    (
        "position",
        "disconnected, not older",
        Ruling::AddOnly(Weakness::Disconnected),
    ),
    (
        "position",
        "cached or disconnected, older",
        Ruling::Ignore(Objection::Stale),
    ),
    (
        "position",
        "confirmed, older, first or second in a row",
        Ruling::Ignore(Objection::Rewinding),
    ),
    (
        "position",
        "confirmed, older, third in a row",
        Ruling::Rewound,
    ),
    (
        "position",
        "watch, disconnected",
        Ruling::Ignore(Objection::Disconnected),
    ),
    (
        "position",
        "watch, other view",
        Ruling::Ignore(Objection::OtherView),
    ),
];

fn id(name: &str) -> ClusterId {
    name.into()
}

fn lost() -> Upstream {
    Upstream::Disconnected("no connection".into())
}

fn at(position: u64) -> Known {
    let evidence = Evidence {
        cluster: Some(id("a")),
        ..Evidence::confirmed(ResourceVersion::new(position))
    };
    Known::default().after(&evidence, &Ruling::Replace)
}

/// All answers that fit the words of a row.
fn offers(words: &str) -> Vec<Evidence> {
    let has = |word: &str| words.contains(word);
    let base = Evidence {
        cluster: Some(id("a")),
        ..Evidence::confirmed(ResourceVersion::new(7))
    };
    let positions: &[u64] = match (has("older"), has("not older")) {
        (true, false) => &[1, 6],
        (true, true) => &[7, 8],
        (false, _) => &[7],
    };
    let cluster = match (has("other cluster"), has("no identity")) {
        (true, _) => Some(id("b")),
        (_, true) => None,
        _ => Some(id("a")),
    };
    let reads: &[Read] = match (has("watch"), has("confirmed"), has("cached")) {
        (true, ..) => &[Read::Resumed],
        (_, true, _) => &[Read::Confirmed],
        (_, _, true) => &[Read::Cached],
        _ if has("cluster") || has("identity") => &[Read::Confirmed, Read::Cached, Read::Resumed],
        _ => &[Read::Confirmed, Read::Cached],
    };
    let upstreams: &[Upstream] = match (has("disconnected"), has("cached or")) {
        (true, false) => &[lost()],
        (true, true) => &[Upstream::Connected, lost()],
        (false, _) if has("cluster") || has("identity") => &[Upstream::Connected, lost()],
        (false, _) => &[Upstream::Connected],
    };
    let mut offers = Vec::new();
    for position in positions {
        for read in reads {
            for upstream in upstreams {
                offers.push(Evidence {
                    cluster: cluster.clone(),
                    view: has("other view").then(|| "v".into()),
                    upstream: upstream.clone(),
                    read: *read,
                    position: Some(ResourceVersion::new(*position)),
                });
            }
        }
    }
    assert!(!offers.is_empty(), "{base:?}");
    offers
}

fn knowns(known: &str, offered: &str) -> Vec<Known> {
    let a = Expected::OneOf([id("a")].into());
    let older = match (
        offered.contains("first or second"),
        offered.contains("third"),
    ) {
        (true, _) => vec![0, 1],
        (_, true) => vec![2],
        _ => vec![0, 1, 2],
    };
    match known {
        "nothing" => [Expected::First, Expected::Any, a]
            .map(Known::expecting)
            .into(),
        "position" => older
            .into_iter()
            .map(|older| Known { older, ..at(7) })
            .collect(),
        "any" | "identity" => vec![at(7), Known::expecting(a)],
        other => unreachable!("no state is called {other}"),
    }
}

#[test]
fn every_row_of_the_table_holds() {
    for (known, offered, ruling) in ROWS {
        for known in knowns(known, offered) {
            for offer in offers(offered) {
                assert_eq!(evaluate(&known, &offer), ruling, "{known:?} {offer:?}");
            }
        }
    }
}

#[test]
fn architecture_contains_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    for (known, offered, ruling) in ROWS {
        let row = format!("| {known} | {offered} | `{ruling:?}` |");
        assert!(text.contains(&row), "ARCHITECTURE.md lacks {row}");
    }
}

#[test]
fn a_watch_that_continues_counts_whole() {
    let offered = Evidence {
        cluster: Some(id("a")),
        read: Read::Resumed,
        ..Evidence::confirmed(ResourceVersion::new(7))
    };
    assert_eq!(evaluate(&at(7), &offered), Ruling::Replace);
}

#[test]
fn a_server_without_positions_is_never_older() {
    let offered = Evidence {
        cluster: Some(id("a")),
        position: None,
        ..Evidence::confirmed(ResourceVersion::ZERO)
    };
    assert_eq!(evaluate(&at(7), &offered), Ruling::Replace);
}

#[test]
fn positions_of_different_clusters_do_not_compare() {
    let known = Known {
        expected: Expected::Any,
        ..at(7)
    };
    let mut offered = Evidence {
        cluster: Some(id("b")),
        ..Evidence::confirmed(ResourceVersion::new(3))
    };
    assert_eq!(evaluate(&known, &offered), Ruling::Replace);
    // Its watch does not continue what the other one listed.
    offered.read = Read::Resumed;
    let ruling = evaluate(&known, &offered);
    assert_eq!(ruling, Ruling::Ignore(Objection::OtherView));
}

#[test]
fn the_first_cluster_that_answers_is_the_only_one() {
    for expected in [Expected::First, Expected::OneOf([id("a"), id("b")].into())] {
        let known = Known::expecting(expected);
        let offered = Evidence {
            cluster: Some(id("a")),
            ..Evidence::confirmed(ResourceVersion::new(1))
        };
        let known = known.after(&offered, &evaluate(&known, &offered));
        let other = Evidence {
            cluster: Some(id("b")),
            ..offered
        };
        let ruling = evaluate(&known, &other);
        assert_eq!(ruling, Ruling::Ignore(Objection::OtherCluster));
    }
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let name = || prop_oneof![Just(None), Just(Some("a")), Just(Some("b"))];
    let upstream = prop_oneof![Just(Upstream::Connected), Just(lost())];
    let read = prop_oneof![
        Just(Read::Confirmed),
        Just(Read::Cached),
        Just(Read::Resumed)
    ];
    (name(), name(), upstream, read, 1..6_u64).prop_map(|(cluster, view, upstream, read, at)| {
        Evidence {
            cluster: cluster.map(Into::into),
            view: view.map(Into::into),
            upstream,
            read,
            position: Some(ResourceVersion::new(at)),
        }
    })
}

fn history() -> impl Strategy<Value = (Known, Vec<Evidence>)> {
    let expected = prop_oneof![
        Just(Expected::First),
        Just(Expected::Any),
        Just(Expected::OneOf([id("a")].into()))
    ];
    let offers = proptest::collection::vec(evidence(), 0..12);
    (expected.prop_map(Known::expecting), offers)
}

proptest! {
    #[test]
    fn absences_count_only_with_connection_and_confirmation((start, offers) in history()) {
        let mut known = start;
        for offered in offers {
            let ruling = evaluate(&known, &offered);
            if ruling.absences_count() {
                prop_assert_eq!(&offered.upstream, &Upstream::Connected);
                prop_assert!(offered.read != Read::Cached);
                prop_assert!(known.expected.check(offered.cluster.as_ref()).is_ok());
            }
            known = known.after(&offered, &ruling);
        }
    }

    #[test]
    fn the_position_goes_back_only_by_a_rewind((start, offers) in history()) {
        let mut known = start;
        let mut n_confirmed_older = 0;
        for offered in offers {
            let ruling = evaluate(&known, &offered);
            let after = known.after(&offered, &ruling);
            let is_same_cluster = known.cluster.is_none() || offered.cluster.is_none()
                || known.cluster == offered.cluster;
            match ruling {
                Ruling::Ignore(Objection::Rewinding) => n_confirmed_older += 1,
                Ruling::Rewound => {
                    prop_assert_eq!(n_confirmed_older, REWIND_LISTS - 1);
                    n_confirmed_older = 0;
                }
                Ruling::Replace => {
                    n_confirmed_older = 0;
                    prop_assert!(known.position <= after.position || !is_same_cluster);
                }
                Ruling::AddOnly(_) | Ruling::Ignore(_) => prop_assert_eq!(&known, &after),
            }
            known = after;
        }
    }

    #[test]
    fn a_pinned_cluster_stays((start, offers) in history(), at_end in any::<bool>()) {
        let mut known = start;
        for offered in offers {
            let after = known.after(&offered, &evaluate(&known, &offered));
            if known.expected != Expected::Any && known.cluster.is_some() {
                prop_assert_eq!(&known.cluster, &after.cluster);
            }
            known = after;
        }
        prop_assert!(at_end || known.older < REWIND_LISTS);
    }
}
