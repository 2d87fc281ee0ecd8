//! Schedule of a storm, drawn from its seed.

use std::sync::Arc;

use super::{Action, Fault, Fleet, LOCAL, Link, Storm, Work, api};
use crate::network::{Direction, Mangle};

/// Draws a storm of so many milliseconds.
pub(super) fn storm(fleet: &Fleet, millis: u64, random: &mut fastrand::Rng) -> Storm {
    let mut storm = Storm::new();
    let n_faults = random.u64(2..=12);
    for _ in 0..n_faults {
        let at = random.u64(..millis);
        let (fault, longest) = fault(fleet, random);
        let lasts = random.u64(200..=longest);
        storm.push((at, Action::Fault(fault, lasts)));
    }
    let n_works = random.u64(5..60);
    for _ in 0..n_works {
        let source = &fleet.sources[random.usize(..fleet.sources.len())];
        let at = random.u64(..millis);
        storm.push((at, Action::Work(source.name.clone(), work(random))));
    }
    storm.sort_by_key(|(at, _)| *at);
    storm
}

fn work(random: &mut fastrand::Rng) -> Work {
    let which = random.usize(..64);
    match random.u8(..100) {
        0..15 => Work::Create,
        15..30 => Work::Delete(which),
        30..40 => Work::Toggle(which),
        40..60 => Work::Scale(which, random.usize(0..5)),
        60..85 => Work::Roll(which),
        85..92 => Work::Port(which),
        92..98 => Work::Burst(random.usize(2..20)),
        _ => Work::DeleteAllBut(random.usize(..3)),
    }
}

/// A fault, and how long it may last in milliseconds.
fn fault(fleet: &Fleet, random: &mut fastrand::Rng) -> (Fault, u64) {
    let links = fleet.links();
    let link = links[random.usize(..links.len())].clone();
    match random.u8(..100) {
        0..43 => of_link(link, random),
        43..66 => of_answers(link, random),
        66..84 => of_nodes(fleet, random),
        _ => of_meaning(fleet, random),
    }
}

/// Selector that nothing matches.
pub(crate) const NOTHING: &str = "nothing=matches";

const MINUTE: u64 = 60_000;

/// Longest time of what the deletion hold must outlast.
const WITHIN_HOLD: u64 = 40_000;

/// Time of what ends by itself.
const AT_ONCE: u64 = 300;

fn of_link(link: Link, random: &mut fastrand::Rng) -> (Fault, u64) {
    match random.u8(..43) {
        0..18 => {
            let direction = [Direction::There, Direction::Back, Direction::Both];
            let direction = direction[random.usize(..3)];
            (Fault::Partition(link, direction), 5 * MINUTE)
        }
        18..26 => {
            let least = random.u64(..2_000);
            let most = least + random.u64(..5_000);
            (Fault::Slow(link, least, most), 5 * MINUTE)
        }
        26..32 => (Fault::Loss(link, random.u8(5..90)), 5 * MINUTE),
        32..37 => (Fault::Reset(link), AT_ONCE),
        _ => (Fault::HalfOpen(link), AT_ONCE),
    }
}

fn of_answers(link: Link, random: &mut fastrand::Rng) -> (Fault, u64) {
    let percent = [10, 50, 100][random.usize(..3)];
    let (mangle, longest) = match random.u8(..23) {
        0..8 => {
            let codes = [401, 403, 404, 410, 429, 500, 503];
            let code = codes[random.usize(..codes.len())];
            (Mangle::Status(code), 3 * MINUTE)
        }
        8..11 => (Mangle::Garbage, 3 * MINUTE),
        11..14 => (Mangle::Hollow, WITHIN_HOLD),
        14..17 => {
            let is_clean = random.bool();
            (Mangle::Truncated { is_clean }, 3 * MINUTE)
        }
        17..20 => (Mangle::Stuck, 3 * MINUTE),
        _ => (Mangle::EmptyList, WITHIN_HOLD),
    };
    (Fault::Mangled(link, mangle, percent), longest)
}

fn of_nodes(fleet: &Fleet, random: &mut fastrand::Rng) -> (Fault, u64) {
    let programs = fleet.programs();
    let program = Arc::clone(&programs[random.usize(..programs.len())]);
    match random.u8(..18) {
        0..10 => (Fault::Crash(program), 3 * MINUTE),
        10..14 => (Fault::Restart(program), MINUTE),
        14..16 => {
            let source = &fleet.sources[random.usize(..fleet.sources.len())];
            (Fault::Crash(api(&source.name)), 3 * MINUTE)
        }
        _ => (Fault::Crash(api(LOCAL)), 2 * MINUTE),
    }
}

fn of_meaning(fleet: &Fleet, random: &mut fastrand::Rng) -> (Fault, u64) {
    let source = &fleet.sources[random.usize(..fleet.sources.len())];
    let name = source.name.clone();
    match random.u8(..16) {
        0..3 => (Fault::Compact(name), AT_ONCE),
        3..5 => (Fault::Restore(name), 3 * MINUTE),
        5..7 => (Fault::Impostor(name), 3 * MINUTE),
        7..10 => match Fleet::emitters(source).first() {
            None => (Fault::Compact(name), AT_ONCE),
            Some(emitter) => (Fault::Selector(Arc::clone(emitter), NOTHING), WITHIN_HOLD),
        },
        10..12 => {
            let millis = random.i64(-7_200_000..7_200_000);
            (Fault::ClockJump(millis), AT_ONCE)
        }
        12..14 => (Fault::LeaseLoss, AT_ONCE),
        _ => (Fault::Unconfigured(name), 3 * MINUTE),
    }
}
