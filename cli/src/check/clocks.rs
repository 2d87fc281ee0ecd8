//! Clocks of clusters, which tokens and certificates compare.

use super::facts::OtherCluster;
use super::finding::Finding;

const CHECK: &str = "clocks";
/// Seconds by which an emitter accepts tokens of another clock.
const LEEWAY: i64 = 30;
/// Date headers have whole seconds, and the request takes time.
const PRECISION: i64 = 3;

/// Compares each cluster with the local one.
pub(crate) fn findings(local: &OtherCluster, others: &[OtherCluster]) -> Vec<Finding> {
    let here = match &local.clock {
        Ok(here) => *here,
        Err(why) => {
            let message = format!("the clock of the local cluster is not known: {why}");
            return vec![Finding::warning(
                CHECK,
                message,
                ("check NTP on its nodes", "access.md"),
            )];
        }
    };
    let mut findings = Vec::new();
    for other in others {
        let name = &other.name;
        match &other.clock {
            Ok(there) => findings.push(difference(name, there - here)),
            Err(why) => findings.push(Finding::warning(
                CHECK,
                format!("the clock of cluster {name} is not known: {why}"),
                ("check NTP on its nodes", "access.md"),
            )),
        }
    }
    if LEEWAY < here.abs() {
        findings.push(Finding::warning(
            CHECK,
            format!(
                "the local cluster and this machine differ by {} s",
                here.abs()
            ),
            ("check NTP on this machine", "access.md"),
        ));
    }
    findings
}

fn difference(name: &str, seconds: i64) -> Finding {
    let remedy = (
        "synchronize the clocks by NTP: tokens are refused when clocks differ by more than 30 s",
        "access.md",
    );
    let message = format!(
        "cluster {name} and the local cluster differ by {} s",
        seconds.abs()
    );
    if LEEWAY < seconds.abs() {
        Finding::failed(CHECK, message, remedy)
    } else if PRECISION < seconds.abs() {
        Finding::warning(CHECK, message, remedy)
    } else {
        Finding::ok(CHECK, format!("cluster {name} and the local cluster agree"))
    }
}

#[cfg(test)]
mod tests {
    use super::findings;
    use crate::check::ranges::tests::cluster;
    use crate::output::Mark;

    #[test]
    fn clocks_are_compared_with_the_local_cluster() {
        let mark = |here: i64, there: i64| {
            let (mut local, mut east) = (cluster("local", &[]), cluster("east", &[]));
            (local.clock, east.clock) = (Ok(here), Ok(there));
            findings(&local, &[east])[0].mark
        };
        assert_eq!(mark(0, 2), Mark::Ok);
        // This machine's own clock is no fault of the clusters.
        assert_eq!(mark(500, 500), Mark::Ok);
        assert_eq!(mark(0, 10), Mark::Warning);
        assert_eq!(mark(20, -20), Mark::Failed);
    }
}
