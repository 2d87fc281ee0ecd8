//! `heliograph status`: sources, mirrors, held deletions and problems, on one screen.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use reflector::status::{
    FeedStatus, NOTHING_HEARD, ProblemStatus, SourceStatus, Status, by_reason,
};
use tokio::time::Instant;

use crate::admin::Admin;
use crate::args::{self, Global};
use crate::output::{Mark, Paint, Printer, one_line, table, write};
use crate::{FAILED, PROBLEMS};

/// Time between two requests of `--watch` and `--wait`.
const PERIOD: Duration = Duration::from_secs(2);
/// Objects of a group of problems that short text names.
const EXAMPLES: usize = 3;
/// Causes of a group that have an example, at most.
const CAUSES: usize = 10;

/// Runs the subcommand.
pub(crate) async fn run(
    global: &Global,
    asked: &args::Status,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    let admin = Admin::of_reflector(global, &asked.server).await?;
    let deadline = asked.wait.map(|it| Instant::now() + it);
    loop {
        let status = admin.json::<Status>("/status").await;
        let is_over = deadline.is_none_or(|it| it <= Instant::now());
        let status = match status {
            Ok(status) if asked.watch || is_over || status.is_synced() => status,
            Err(error) if is_over => return Err(error),
            Ok(_) | Err(_) => {
                tokio::time::sleep(PERIOD).await;
                continue;
            }
        };
        if asked.watch {
            clear(printer)?;
        }
        printer.print(&status, || text(&status, printer))?;
        if !asked.watch {
            return Ok(ExitCode::from(exit_code(asked, &status)));
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Exit code for a status.
fn exit_code(asked: &args::Status, status: &Status) -> u8 {
    if asked.wait.is_some() && !status.is_synced() {
        FAILED
    } else if asked.exit_code && verdict(status) == Mark::Failed {
        PROBLEMS
    } else {
        0
    }
}

/// Begins a screen; a file or a pipe gets one answer after the other.
pub(crate) fn clear(printer: &Printer) -> anyhow::Result<()> {
    match printer.paint {
        Paint::Colors => write("\u{1b}[2J\u{1b}[H"),
        Paint::Plain => Ok(()),
    }
}

/// The worst of what a status reports.
fn verdict(status: &Status) -> Mark {
    let is_failed = !status.is_well() || !status.is_synced();
    let is_noted = !status.held.is_empty() || !status.configuration.notes.is_empty();
    match (is_failed, is_noted) {
        (true, _) => Mark::Failed,
        (false, true) => Mark::Warning,
        (false, false) => Mark::Ok,
    }
}

/// Text of a status.
fn text(status: &Status, printer: &Printer) -> String {
    let paint = printer.paint;
    let mut text = sources(&status.sources, printer);
    let mirrors = &status.mirrors;
    let _ = write!(
        text,
        "\n{} mirror Services, {} mirror EndpointSlices",
        mirrors.services, mirrors.slices
    );
    if 0 < mirrors.endpoints {
        let _ = write!(text, ", {} mirror Endpoints", mirrors.endpoints);
    }
    let _ = writeln!(text, "; {} in the work queue", status.waiting);
    if let Some(set) = &status.cluster_set {
        let _ = writeln!(text, "{}", one_line(&set.summary()));
    }
    for notice in status.notices() {
        let mark = if notice.is_failure {
            Mark::Failed
        } else {
            Mark::Warning
        };
        let _ = writeln!(text, "{} {}", paint.mark(mark), one_line(&notice.text));
    }
    for held in &status.held {
        let mark = paint.mark(Mark::Warning);
        let _ = writeln!(text, "{mark} {}", one_line(&held.to_string()));
    }
    text.push_str(&problems(&status.problems, printer));
    text
}

/// A line for each source: those with trouble first, otherwise in the order of their names.
fn sources(sources: &[SourceStatus], printer: &Printer) -> String {
    let mut sorted: Vec<_> = sources.iter().map(|it| (mark(it), it)).collect();
    sorted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
    let mut head = vec!["", "SOURCE", "STATE", "SERVICES", "ENDPOINTSLICES", "AGE"];
    if printer.is_wide() {
        head.push("CLUSTER");
    }
    head.push("LAST ERROR");
    let mut rows: Vec<Vec<String>> = vec![head.into_iter().map(str::to_owned).collect()];
    for (mark, source) in sorted {
        let mut row = vec![
            printer.paint.mark(mark),
            one_line(&source.name),
            state(&source.feeds).to_owned(),
            objects(source, is_of_services),
            objects(source, |it| !is_of_services(it)),
            age(&source.feeds),
        ];
        if printer.is_wide() {
            row.push(source.cluster.as_deref().map_or("-".to_owned(), one_line));
        }
        let error = source.feeds.iter().find_map(|it| it.last_error.as_deref());
        let unknown = source.cluster_unknown.as_ref();
        let unknown = unknown.map(|it| format!("cluster identity unknown: {it}"));
        let error = error.or(unknown.as_deref());
        let error = error.or(exports_nothing(source).then_some(NOTHING_EXPORTED));
        let error = error.or(is_unheard(source).then_some(NOTHING_HEARD));
        row.push(error.map_or("-".to_owned(), one_line));
        rows.push(row);
    }
    let n_bad = sources.iter().filter(|it| mark(it) != Mark::Ok).count();
    let summary = format!("{} sources, {} with trouble\n\n", sources.len(), n_bad);
    printer.paint.strong(&summary) + &table(&rows)
}

/// Text for a source without a Service.
const NOTHING_EXPORTED: &str = "exports no Service; check the selector of the source and of its \
                                emitter, and the labels of the Services";

/// Returns whether a source cluster is known to have no Service.
fn exports_nothing(source: &SourceStatus) -> bool {
    let mut feeds = source.feeds.iter().filter(|it| is_of_services(it));
    source.name != "local" && feeds.all(|it| it.state == "synced" && it.objects == 0)
}

/// Returns whether nothing came of a resource of a source.
fn is_unheard(source: &SourceStatus) -> bool {
    let mut feeds = source.feeds.iter();
    feeds.any(|it| it.state == "unsynced" && it.age_seconds.is_none())
}

fn is_of_services(feed: &FeedStatus) -> bool {
    feed.resource.ends_with("services")
}

/// Number of objects, as mirrored and as members of global Services.
fn objects(source: &SourceStatus, is_it: impl Fn(&FeedStatus) -> bool) -> String {
    let feeds: Vec<_> = source.feeds.iter().filter(|it| is_it(it)).collect();
    if feeds.is_empty() {
        return "-".to_owned();
    }
    feeds.iter().map(|it| it.objects).sum::<usize>().to_string()
}

fn mark(source: &SourceStatus) -> Mark {
    let is_synced = source.feeds.iter().all(|it| it.state == "synced");
    if source.is_lost() || !is_synced {
        Mark::Failed
    } else if source.cluster_unknown.is_some() {
        Mark::Warning
    } else {
        Mark::Ok
    }
}

/// The state of the resource that is furthest behind.
fn state(feeds: &[FeedStatus]) -> &str {
    let order = ["unsynced", "stale", "synced"];
    let rank = |it: &&FeedStatus| order.iter().position(|known| *known == it.state);
    feeds.iter().min_by_key(rank).map_or("-", |it| &it.state)
}

fn age(feeds: &[FeedStatus]) -> String {
    let oldest = feeds.iter().filter_map(|it| it.age_seconds).max();
    oldest.map_or("-".to_owned(), |it| format!("{it}s"))
}

/// Problems by reason, the most frequent first.
fn problems(problems: &[ProblemStatus], printer: &Printer) -> String {
    let paint = printer.paint;
    let mut groups: Vec<_> = by_reason(problems).into_iter().collect();
    if groups.is_empty() {
        return format!("{} No problems\n", paint.mark(Mark::Ok));
    }
    groups.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
    let mut text = String::new();
    for (reason, of) in groups {
        let head = paint.strong(&format!("{} ({})", one_line(reason), of.len()));
        let _ = writeln!(text, "{} {head}", paint.mark(Mark::Failed));
        let n = of.len();
        let shown = if printer.is_wide() { of } else { examples(of) };
        for problem in &shown {
            let _ = writeln!(text, "    {}", one_line(&problem.message));
        }
        if shown.len() < n {
            let _ = writeln!(text, "    and {} more: -o wide shows them", n - shown.len());
        }
    }
    text
}

/// Examples of a group: one of each cause, and a few at least.
fn examples(group: Vec<&ProblemStatus>) -> Vec<&ProblemStatus> {
    let mut causes = BTreeSet::new();
    let (mut first, others): (Vec<_>, Vec<_>) =
        group.into_iter().partition(|it| causes.insert(cause(it)));
    first.truncate(CAUSES);
    let n_others = EXAMPLES.saturating_sub(first.len());
    first.extend(others.into_iter().take(n_others));
    first
}

/// Text of a problem without the names of its object.
fn cause(problem: &ProblemStatus) -> String {
    let object = problem.object.as_str();
    let (namespace, name) = object.split_once('/').unwrap_or((object, object));
    let names = [object, name, namespace, problem.source.as_str()];
    let text = problem.message.clone();
    names
        .iter()
        .fold(text, |text, name| text.replace(name, "*"))
}

#[cfg(test)]
mod tests {
    use reflector::status::{FeedStatus, ProblemStatus, SourceStatus, Status};
    use serde_json::json;

    use super::{Mark, text, verdict};
    use crate::args::Output;
    use crate::output::{Paint, Printer};

    fn printer(output: Output) -> Printer {
        let paint = Paint::Plain;
        Printer { output, paint }
    }

    fn source(name: &str, error: Option<&str>) -> SourceStatus {
        let feed = |resource: &str| FeedStatus {
            resource: resource.to_owned(),
            state: "synced".to_owned(),
            objects: 7,
            age_seconds: Some(3),
            last_error: error.map(str::to_owned),
        };
        SourceStatus {
            name: name.to_owned(),
            cluster: Some("uid".to_owned()),
            cluster_unknown: None,
            feeds: vec![feed("services"), feed("endpointslices")],
        }
    }

    fn status(sources: Vec<SourceStatus>, n_problems: usize) -> Status {
        let empty = json!({"sources": [], "problems": [], "queueDepth": 0, "leader": true,
            "mirrors": {"services": 7, "endpointSlices": 9}});
        let mut status: Status = serde_json::from_value(empty).unwrap();
        status.sources = sources;
        let problem = |i: usize| ProblemStatus {
            reason: if i == 0 {
                "PortConflict"
            } else {
                "NameTooLong"
            }
            .to_owned(),
            object: format!("demo/web-{i}"),
            source: "east".to_owned(),
            message: format!("Service demo/web-{i}: \u{1b}[31mtoo long"),
        };
        status.problems = (0..n_problems).map(problem).collect();
        status
    }

    #[test]
    fn sources_with_trouble_come_first_and_problems_are_grouped() {
        let sources = vec![source("a", None), source("b", Some("refused"))];
        let status = status(sources, 6);
        assert_eq!(verdict(&status), Mark::Failed);
        let short = text(&status, &printer(Output::Text));
        let lines: Vec<_> = short.lines().collect();
        assert_eq!(lines[0], "2 sources, 1 with trouble");
        assert!(
            lines[3].starts_with("✗  b") && lines[4].starts_with("✓  a"),
            "{short}"
        );
        let at = |what: &str| short.find(what).unwrap();
        assert!(at("NameTooLong (5)") < at("PortConflict (1)"), "{short}");
        assert!(short.contains("and 2 more: -o wide"), "{short}");
        assert!(!short.contains('\u{1b}') && !short.contains("demo/web-4"));
        let wide = text(&status, &printer(Output::Wide));
        assert!(wide.contains("demo/web-4") && wide.contains("CLUSTER") && wide.contains("uid"));
    }

    #[test]
    fn each_cause_of_a_reason_has_an_example() {
        let mut status = status(vec![source("a", None)], 9);
        for problem in &mut status.problems {
            problem.reason = "WriteRejected".to_owned();
            problem.message = format!("Service {}: quota", problem.object);
        }
        status.problems[8].message = "Service demo/web-8: range is full".to_owned();
        let text = text(&status, &printer(Output::Text));
        assert!(text.contains("range is full"), "{text}");
        assert!(text.contains("and 6 more"), "{text}");
    }

    #[test]
    fn a_source_says_what_it_exports_or_why_that_is_not_known() {
        let mut empty = source("empty", None);
        let mut member = source("member", None);
        for feed in &mut empty.feeds {
            feed.objects = 0;
        }
        for feed in &mut member.feeds {
            feed.resource = format!("global-{}", feed.resource);
        }
        member.cluster_unknown = Some("forbidden".to_owned());
        let text = text(&status(vec![empty, member], 0), &printer(Output::Text));
        assert!(
            text.contains("exports no Service; check the selector"),
            "{text}"
        );
        assert!(
            text.contains("cluster identity unknown: forbidden"),
            "{text}"
        );
        assert!(text.contains("member  synced  7         7 "), "{text}");
    }

    #[test]
    fn fifty_sources_and_ten_thousand_problems_fit_a_screen() {
        let sources = (0..50).map(|i| source(&format!("s{i:02}"), None)).collect();
        let text = text(&status(sources, 10_000), &printer(Output::Text));
        assert!(text.lines().count() <= 66, "{}", text.lines().count());
    }

    #[test]
    fn without_problems_the_verdict_is_good() {
        let mut status = status(vec![source("a", None)], 0);
        assert_eq!(verdict(&status), Mark::Ok);
        assert!(text(&status, &printer(Output::Text)).ends_with("✓ No problems\n"));
        status.configuration.notes = vec!["plain HTTP".to_owned()];
        assert_eq!(verdict(&status), Mark::Warning);
        status.write_error = Some("etcd is full".to_owned());
        assert_eq!(verdict(&status), Mark::Failed);
    }
}
