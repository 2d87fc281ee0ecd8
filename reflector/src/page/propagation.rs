//! Times of propagation: the histogram, from the text of the metrics, and the last minutes.

use std::collections::BTreeMap;

use crate::metrics::propagation::Minute;

/// Times of propagation.
#[derive(Debug, Clone, Default)]
pub(super) struct Propagated {
    /// Histogram of all changes.
    pub(super) buckets: Vec<Bucket>,
    /// The last minutes, the present one last.
    pub(super) minutes: Vec<Minute>,
}

/// Changes within one range of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Upper end of the range in seconds, as the metrics have it.
    pub(super) limit: String,
    /// Number of changes.
    pub(super) n: u64,
}

const NAME: &str = "heliograph_reflector_propagation_seconds_bucket{";

/// Returns the sums of all sources, the shortest times first.
pub(super) fn read(metrics: &str) -> Vec<Bucket> {
    let mut sums: BTreeMap<u64, (String, u64)> = BTreeMap::new();
    for line in metrics.lines() {
        let Some((limit, n)) = sample(line) else {
            continue;
        };
        let seconds: f64 = limit.parse().unwrap_or(f64::INFINITY);
        // Floats that are not negative are in the order of their bits.
        let sum = sums.entry(seconds.to_bits()).or_default();
        limit.clone_into(&mut sum.0);
        sum.1 += n;
    }
    let mut below = 0;
    let sums = sums.into_values();
    // The metrics count all changes up to a limit.
    sums.map(|(limit, up_to)| {
        let n = up_to.saturating_sub(below);
        below = up_to;
        Bucket { limit, n }
    })
    .collect()
}

fn sample(line: &str) -> Option<(&str, u64)> {
    let labels = line.strip_prefix(NAME)?;
    let (_, limit) = labels.split_once("le=\"")?;
    let (limit, _) = limit.split_once('"')?;
    let (_, rest) = labels.rsplit_once("} ")?;
    // An exemplar may follow.
    let n = rest.split(' ').next()?;
    Some((limit, n.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Bucket, read};

    #[test]
    fn buckets_are_summed_over_sources_and_not_cumulative() {
        let metrics = "\
heliograph_reflector_propagation_seconds_sum{source=\"a\"} 3.5
heliograph_reflector_propagation_seconds_bucket{le=\"0.01\",source=\"a\"} 2
heliograph_reflector_propagation_seconds_bucket{le=\"0.1\",source=\"a\"} 5
heliograph_reflector_propagation_seconds_bucket{le=\"+Inf\",source=\"a\"} 6
heliograph_reflector_propagation_seconds_bucket{source=\"b\",le=\"0.01\"} 1
heliograph_reflector_propagation_seconds_bucket{source=\"b\",le=\"0.1\"} 1
heliograph_reflector_propagation_seconds_bucket{source=\"b\",le=\"+Inf\"} 1
# EOF
";
        let bucket = |limit: &str, n| Bucket {
            limit: limit.to_owned(),
            n,
        };
        assert_eq!(
            read(metrics),
            [bucket("0.01", 3), bucket("0.1", 3), bucket("+Inf", 1)]
        );
        assert_eq!(read("# EOF\n"), []);
    }
}
