//! Every reachable state is right, and a planted defect is found.

use proto_types::evidence::{Expected, Read, Upstream};
use stateright::{Checker, Model};

use super::*;

fn budgets() -> [Budget; 4] {
    let none = Budget::default();
    [
        // A stale replica.
        Budget {
            changes: 1,
            partitions: 1,
            ..none
        },
        Budget {
            changes: 1,
            restarts: 1,
            ..none
        },
        Budget {
            changes: 1,
            rewinds: 1,
            ..none
        },
        Budget {
            swaps: 1,
            restarts: 1,
            ..none
        },
    ]
}

#[test]
fn every_reachable_state_is_right() {
    for budget in budgets() {
        let checker = Protocol::new(budget).checker().spawn_bfs().join();
        checker.assert_properties();
        assert!(100 < checker.unique_state_count(), "{budget:?}");
    }
}

/// Returns whether the checker finds a wrong state with that decision function.
fn is_found(judge: Judge) -> bool {
    budgets().into_iter().any(|budget| {
        let protocol = Protocol { judge, budget };
        let checker = protocol.checker().spawn_bfs().join();
        !checker.discoveries().is_empty()
    })
}

#[test]
fn a_decision_without_the_known_position_is_found() {
    assert!(is_found(|known, offered| {
        let known = Known {
            position: None,
            ..known.clone()
        };
        let mut offered = offered.clone();
        offered.upstream = Upstream::Connected;
        offered.read = match offered.read {
            Read::Cached => Read::Confirmed,
            other => other,
        };
        evaluate(&known, &offered)
    }));
}

#[test]
fn a_decision_that_believes_a_disconnected_server_is_found() {
    assert!(is_found(|known, offered| {
        let mut offered = offered.clone();
        if offered.read != Read::Resumed {
            offered.upstream = Upstream::Connected;
            offered.read = Read::Confirmed;
        }
        evaluate(known, &offered)
    }));
}

#[test]
fn a_decision_that_believes_any_cluster_is_found() {
    assert!(is_found(|known, offered| {
        let known = Known {
            expected: Expected::Any,
            ..known.clone()
        };
        evaluate(&known, offered)
    }));
}

#[test]
fn a_decision_that_never_accepts_a_restore_is_found() {
    assert!(is_found(|known, offered| match evaluate(known, offered) {
        Ruling::Rewound => Ruling::Ignore(proto_types::evidence::Objection::Stale),
        other => other,
    }));
}
