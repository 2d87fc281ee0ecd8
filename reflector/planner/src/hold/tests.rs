use std::collections::HashSet;
use std::time::Duration;

use proto_types::ObjectKey;

use super::{DeletionHold, FLOOR, HoldReason, Judged, Left, Mirrored, MonotonicTime};
use crate::name::MirrorKey;

const HOLD: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> MonotonicTime {
    MonotonicTime(Duration::from_secs(seconds))
}

fn nth(i: usize) -> Mirrored {
    Mirrored {
        service: ObjectKey::new("demo", &format!("s{i}")),
        local: MirrorKey::new(ObjectKey::new("mirrors", &format!("m{i}"))),
    }
}

fn services(n: usize) -> HashSet<Mirrored> {
    (0..n).map(nth).collect()
}

fn list(hold: &mut DeletionHold, gone: &HashSet<Mirrored>, n_left: usize, now: MonotonicTime) {
    judge(hold, gone, n_left, now, true);
}

fn judge(
    hold: &mut DeletionHold,
    gone: &HashSet<Mirrored>,
    n_left: usize,
    now: MonotonicTime,
    is_new: bool,
) {
    let list = Judged {
        gone,
        n_left,
        confirms: false,
        is_new,
    };
    hold.list(&list, now);
}

fn is_held(hold: &DeletionHold, i: usize) -> bool {
    hold.holds(&nth(i).service).is_some()
}

/// Deletes the i-th of `n` by an event; its mirror still exists, as those from `first` do.
fn event(hold: &mut DeletionHold, i: usize, n: usize, first: usize) -> usize {
    let exists = |service: &ObjectKey, _: &MirrorKey| {
        let i: usize = service.name()[1..].parse().unwrap();
        first <= i
    };
    let left = Left {
        n: n - i - 1,
        exists,
        confirms: false,
    };
    hold.event(nth(i), &left, at(0)).len()
}

#[test]
fn a_list_that_lacks_more_than_half_is_held() {
    let holds = |gone: usize, left: usize| {
        let mut hold = DeletionHold::default();
        list(&mut hold, &services(gone), left, at(0));
        hold.holds(&nth(0).service)
    };
    assert_eq!(holds(1, 1), None, "half");
    assert_eq!(holds(10, 10), None, "half");
    assert_eq!(holds(2, 1), Some(HoldReason::ListShort));
    assert_eq!(holds(11, 10), Some(HoldReason::ListShort));
    assert_eq!(holds(1, 0), Some(HoldReason::ListEmpty), "the only one");
}

#[test]
fn a_list_that_is_judged_again_confirms_nothing() {
    let mut hold = DeletionHold::default();
    list(&mut hold, &services(1), 0, at(0));
    assert!(hold.tick(at(60), HOLD), "another list is asked for");
    judge(&mut hold, &services(1), 0, at(61), false);
    assert!(is_held(&hold, 0));
    list(&mut hold, &services(1), 0, at(62));
    assert!(!is_held(&hold, 0), "confirmed");
}

#[test]
fn lists_that_lack_a_few_each_are_counted_together() {
    let mut hold = DeletionHold::default();
    list(&mut hold, &services(1), 4, at(0));
    // The first one is deleted by now.
    list(&mut hold, &[nth(1)].into(), 3, at(1));
    assert!(hold.held().is_none());
    list(&mut hold, &[nth(2)].into(), 2, at(2));
    assert_eq!(hold.holds(&nth(2).service), Some(HoldReason::ListShort));
    assert_eq!(hold.held().unwrap().n, 1);

    let mut slow = DeletionHold::default();
    for i in 0..4 {
        slow.tick(at(300 * i), HOLD);
        let i = usize::try_from(i).unwrap();
        list(&mut slow, &[nth(i)].into(), 4 - i, at(0));
        assert!(slow.held().is_none(), "outside of the window");
    }
}

#[test]
fn a_handful_of_events_is_never_held() {
    for n in 1..=FLOOR {
        let mut hold = DeletionHold::default();
        for i in 0..n {
            assert_eq!(event(&mut hold, i, n, i), 0, "{i} of {n}");
        }
    }
}

#[test]
fn a_flood_of_events_is_held_with_what_still_exists() {
    // None was deleted in the meantime: all are held.
    let mut hold = DeletionHold::default();
    let held: Vec<_> = (0..20).map(|i| event(&mut hold, i, 20, 0)).collect();
    assert_eq!(held[..10], [0; 10]);
    assert_eq!(held[10..], [11, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(hold.held().unwrap().n, 20);
    assert_eq!(hold.held().unwrap().why, HoldReason::ManyEvents);

    // Each was deleted at once: the rest is held.
    let mut hold = DeletionHold::default();
    let held: Vec<_> = (0..20).map(|i| event(&mut hold, i, 20, i)).collect();
    assert_eq!(held[..10], [0; 10]);
    assert_eq!(held[10..], [1; 10]);
}

#[test]
fn a_service_that_is_back_is_not_counted() {
    let mut hold = DeletionHold::default();
    for _ in 0..100 {
        assert_eq!(event(&mut hold, 0, 1, 0), 0);
        hold.has(&nth(0).service);
    }
    assert_eq!(hold, DeletionHold::default());
}

#[test]
fn a_hold_ends_when_another_list_lacks_the_same() {
    let mut hold = DeletionHold::default();
    let all = services(20);
    list(&mut hold, &all, 0, at(0));
    assert!(!hold.tick(at(59), HOLD));
    assert!(hold.tick(at(60), HOLD), "the source is asked");
    assert!(!hold.tick(at(61), HOLD), "once");
    assert!(is_held(&hold, 0), "time alone releases nothing");
    assert!(hold.tick(at(120), HOLD), "no list came");
    list(&mut hold, &all, 0, at(121));
    assert!(!is_held(&hold, 0));
    list(&mut hold, &all, 0, at(122));
    assert!(!is_held(&hold, 0), "nor is it held again");
}

#[test]
fn services_that_only_the_second_list_lacks_are_held_again() {
    let mut hold = DeletionHold::default();
    list(&mut hold, &services(15), 5, at(0));
    hold.tick(at(60), HOLD);
    list(&mut hold, &services(100), 0, at(61));
    assert!(!is_held(&hold, 14));
    assert!(is_held(&hold, 15));
    assert!(!hold.tick(at(120), HOLD), "for as long again");
    assert!(hold.tick(at(121), HOLD));
}

#[test]
fn another_list_of_the_same_kind_does_not_prolong_the_hold() {
    let mut hold = DeletionHold::default();
    list(&mut hold, &services(20), 0, at(0));
    list(&mut hold, &services(21), 0, at(50));
    assert!(hold.tick(at(60), HOLD));
}

#[test]
fn a_list_that_has_them_again_ends_the_hold() {
    let mut hold = DeletionHold::default();
    list(&mut hold, &services(20), 0, at(0));
    hold.clear(|_| true);
    list(&mut hold, &services(0), 20, at(1));
    assert_eq!(hold, DeletionHold::default());
}

#[test]
fn an_event_while_a_list_is_held_is_counted_by_itself() {
    let mut hold = DeletionHold::default();
    list(&mut hold, &(5..20).map(nth).collect(), 5, at(0));
    assert_eq!(event(&mut hold, 0, 5, 0), 0);
    assert!(!is_held(&hold, 0));
}
