//! A fleet of the page about large fleets, small enough for each change of the code.

use simulation::tree::{self, Size, Topology};

#[test]
fn relays_leave_one_link_for_each_source_and_region() {
    for topology in [Topology::Direct, Topology::Relay, Topology::Tree] {
        let size = Size {
            topology,
            clusters: 20,
            sources: 2,
            regions: 4,
            relays: 2,
            services: 5,
            endpoints: 5,
            rate: 1.0,
            minutes: 1,
        };
        let measured = tree::run(&size).unwrap();
        // Of four regions, three are not the one of the source.
        let (n_between, n_readers) = match topology {
            Topology::Direct => (20 / 4 * 3 * 2, 20),
            Topology::Relay | Topology::Tree => (3 * 2, 4),
        };
        assert_eq!(measured.between.n_links, n_between, "{topology:?}");
        assert_eq!(measured.readers_of_a_source, n_readers, "{topology:?}");
        assert!(100 < measured.n_changes, "{measured:?}");
        let n_deliveries = measured.n_changes * size.clusters as u64;
        assert_eq!(measured.delays.len() as u64, n_deliveries, "{topology:?}");
        assert_eq!(measured.n_lists, 0, "{topology:?}");
        // A difference of an endpoint, and not the whole slice.
        let n_bytes = measured.between.n_bytes / n_between as u64 / (measured.n_changes / 2);
        assert!((50..400).contains(&n_bytes), "{topology:?}: {n_bytes}");
    }
}
