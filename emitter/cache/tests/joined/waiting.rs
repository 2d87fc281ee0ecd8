//! The cost of changes that wait for the other resource, as when an emitter starts.
#![expect(
    clippy::disallowed_types,
    reason = "the time that it takes is what is tested"
)]

use std::time::{Duration, Instant};

use crate::Step;
use crate::replica::Replica;
use crate::upstream::Upstream;

/// Returns the least time in which a replica reads so many objects of one resource while it knows
/// nothing of the other, and then those.
fn read(n: u32, first: usize) -> Duration {
    let once = || {
        let mut upstream = Upstream::default();
        let mut replica = Replica::new();
        (0..2).for_each(|resource| replica.list(&upstream, resource));
        for i in 0..n {
            let [name, team, ..] = i.to_le_bytes();
            let service = name;
            upstream.play(&Step::Service { name, team });
            upstream.play(&Step::Slice { name, service });
        }
        let begin = Instant::now();
        for resource in [first, 1 - first] {
            let n = upstream.events[resource].len();
            // After the last event the replica learns the present resource version.
            replica.read(&upstream, resource, n + 1);
        }
        assert_eq!(replica.joined.revision(), replica.store.progress());
        begin.elapsed()
    };
    (0..3).map(|_| once()).min().unwrap()
}

#[test]
fn changes_that_wait_for_the_other_resource_cost_the_same_however_many_they_are() {
    for first in [0, 1] {
        let (few, many) = (read(1000, first), read(8000, first));
        // In proportion it is 8 times, and with the square of it 64.
        assert!(many < few * 24, "resource {first} first: {few:?}, {many:?}");
    }
}
