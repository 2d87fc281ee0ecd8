//! `heliograph top`: sources and rates, again and again.

use std::collections::BTreeMap;
use std::process::ExitCode;

use reflector::status::Status;
use serde::Serialize;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::args::{self, Global};
use crate::output::{Printer, table};
use crate::status::clear;

/// Samples of the metrics, by name and source.
type Samples = BTreeMap<(String, String), f64>;

/// One measurement.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measurement {
    sources: Vec<SourceRates>,
    queue_depth: usize,
    problems: usize,
}

/// One source between two measurements.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceRates {
    source: String,
    objects: usize,
    writes_per_second: f64,
    failures_per_second: f64,
    /// Mean time from a change of endpoints to its write.
    propagation_seconds: Option<f64>,
}

const WRITES: &str = "heliograph_reflector_writes_total";
const FAILURES: &str = "heliograph_reflector_source_failures_total";
const PROPAGATION_SUM: &str = "heliograph_reflector_propagation_seconds_sum";
const PROPAGATION_COUNT: &str = "heliograph_reflector_propagation_seconds_count";

/// Runs the subcommand.
pub(crate) async fn run(
    global: &Global,
    asked: &args::Top,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    let admin = Admin::of_reflector(global, &asked.server).await?;
    let mut last = (Instant::now(), samples(&admin.text("/metrics").await?));
    let mut n_measurements = 0;
    while asked.count.is_none_or(|it| n_measurements < it) {
        tokio::time::sleep(asked.interval).await;
        let status: Status = admin.json("/status").await?;
        let now = (Instant::now(), samples(&admin.text("/metrics").await?));
        let seconds = now.0.duration_since(last.0).as_secs_f64();
        let measured = measure(&status, (&last.1, &now.1), seconds);
        if n_measurements == 0 || asked.count.is_none() {
            clear(printer)?;
        }
        printer.print(&measured, || text(&measured))?;
        last = now;
        n_measurements += 1;
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(status: &Status, (before, now): (&Samples, &Samples), seconds: f64) -> Measurement {
    let sources = status.sources.iter().map(|source| {
        let grown = |name: &str| {
            let key = (name.to_owned(), source.name.clone());
            let sample = |of: &Samples| of.get(&key).copied().unwrap_or_default();
            // A restart begins at zero.
            (sample(now) - sample(before)).max(0.0)
        };
        let n_propagated = grown(PROPAGATION_COUNT);
        let is_any = 0.0 < n_propagated;
        SourceRates {
            source: source.name.clone(),
            objects: source.feeds.iter().map(|it| it.objects).sum(),
            writes_per_second: grown(WRITES) / seconds,
            failures_per_second: grown(FAILURES) / seconds,
            propagation_seconds: is_any.then(|| grown(PROPAGATION_SUM) / n_propagated),
        }
    });
    Measurement {
        sources: sources.collect(),
        queue_depth: status.waiting,
        problems: status.problems.len(),
    }
}

fn text(measured: &Measurement) -> String {
    let head = ["SOURCE", "OBJECTS", "WRITES/s", "FAILURES/s", "PROPAGATION"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(measured.sources.iter().map(|it| {
        let propagation = it.propagation_seconds;
        vec![
            crate::output::one_line(&it.source),
            it.objects.to_string(),
            format!("{:.1}", it.writes_per_second),
            format!("{:.1}", it.failures_per_second),
            propagation.map_or("-".to_owned(), |it| format!("{:.0} ms", it * 1000.0)),
        ]
    }));
    let (depth, problems) = (measured.queue_depth, measured.problems);
    format!(
        "{}{depth} in the work queue, {problems} problems\n",
        table(&rows)
    )
}

/// Sums of samples by name and by the value of their label `source`.
fn samples(metrics: &str) -> Samples {
    let mut samples = Samples::new();
    for line in metrics.lines().filter(|it| !it.starts_with('#')) {
        // An exemplar may follow.
        let line = line.split(" # ").next().unwrap_or(line);
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let source = labels
            .split("source=\"")
            .nth(1)
            .and_then(|it| it.split('"').next());
        let key = (name.to_owned(), source.unwrap_or_default().to_owned());
        *samples.entry(key).or_default() += value.parse().unwrap_or(0.0);
    }
    samples
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{measure, samples, text};

    #[test]
    fn rates_are_differences_by_source() {
        let before =
            "# HELP x\nheliograph_reflector_writes_total{source=\"east\",verb=\"create\"} 5\n";
        let now = "heliograph_reflector_writes_total{source=\"east\",verb=\"create\"} 9\n\
            heliograph_reflector_writes_total{source=\"east\",verb=\"update\"} 2\n\
            heliograph_reflector_propagation_seconds_sum{source=\"east\"} 0.3\n\
            heliograph_reflector_propagation_seconds_count{source=\"east\"} 6\n";
        let status = json!({"sources": [{"name": "east", "resources": [{"resource": "services",
            "state": "synced", "objects": 3}]}], "problems": [], "queueDepth": 4, "leader": true,
            "mirrors": {"services": 0, "endpointSlices": 0}});
        let status = serde_json::from_value(status).unwrap();
        let measured = measure(&status, (&samples(before), &samples(now)), 2.0);
        let east = &measured.sources[0];
        assert!((east.writes_per_second - 3.0).abs() < 1e-9, "{east:?}");
        assert!((east.propagation_seconds.unwrap() - 0.05).abs() < 1e-9);
        let text = text(&measured);
        assert!(
            text.contains("50 ms") && text.contains("4 in the work queue"),
            "{text}"
        );
        // A restart counts from zero.
        let restarted = measure(&status, (&samples(now), &samples(before)), 2.0);
        assert!(restarted.sources[0].writes_per_second.abs() < 1e-9);
    }
}
