//! The overview: a function of the status, the metrics and the parameters of the address.

use jiff::Timestamp;
use runtime::page::{Level, Paging, Params, n_of};

use super::problems::{Group, groups};
use super::propagation::Propagated;
use crate::status::{FeedStatus, HeldStatus, SourceStatus, Status};

/// Number of sources of a page.
const SOURCES: usize = 100;

/// Number of sources that the picture has room for.
pub(super) const PICTURED: usize = 10;

/// Facts that the overview shows.
#[derive(Debug)]
pub(super) struct Overview<'a> {
    /// State of everything in one sentence.
    pub(super) summary: (Level, String),
    /// Facts that concern the whole reflector.
    pub(super) notes: Vec<(Level, String)>,
    /// Sources with trouble first.
    pub(super) sources: Vec<Source<'a>>,
    /// Page of the sources.
    pub(super) sources_paging: Paging,
    /// Sources of the picture.
    pub(super) pictured: Vec<(Level, &'a str)>,
    /// Held deletions.
    pub(super) held: Vec<Held<'a>>,
    /// Problems by reason.
    pub(super) problems: Vec<Group<'a>>,
    /// Number of all problems.
    pub(super) n_problems: usize,
    /// Times of propagation.
    pub(super) propagation: &'a Propagated,
    /// The status.
    pub(super) status: &'a Status,
}

/// One source.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) level: Level,
    pub(super) source: &'a SourceStatus,
    /// State of the resource that is furthest behind.
    pub(super) state: &'a str,
    /// Number of known Services.
    pub(super) services: usize,
    /// Number of other known objects.
    pub(super) slices: usize,
    /// Time since the last contact, of the resource for which it is longest.
    pub(super) age: Option<u64>,
    /// Error of a resource.
    pub(super) error: Option<&'a str>,
}

/// One deletion hold.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) held: &'a HeldStatus,
    /// Time until the relist that decides.
    pub(super) left: String,
}

/// Selects what the overview shows.
pub(super) fn overview<'a>(
    status: &'a Status,
    propagation: &'a Propagated,
    params: &Params,
    now: Timestamp,
) -> Overview<'a> {
    let mut sources: Vec<_> = status.sources.iter().map(source).collect();
    sources.sort_by(|a, b| {
        let names = || a.source.name.cmp(&b.source.name);
        b.level.cmp(&a.level).then_with(names)
    });
    let pictured = sources.iter().take(PICTURED);
    let pictured = pictured.map(|it| (it.level, it.source.name.as_str()));
    let pictured = pictured.collect();
    let notes = notes(status);
    let levels = sources.iter().map(|it| it.level);
    let worst = levels.chain(notes.iter().map(|it| it.0)).max();
    let paging = Paging::of(params, "sources", SOURCES, sources.len());
    let n_bad = sources.iter().filter(|it| it.level != Level::Good).count();
    let shown = sources.into_iter().skip(paging.skipped()).take(SOURCES);
    let held = status.held.iter().map(|held| Held {
        held,
        left: left(&held.until, now),
    });
    Overview {
        summary: summary(status, n_bad, worst.unwrap_or(Level::Good)),
        notes,
        sources: shown.collect(),
        sources_paging: paging,
        pictured,
        held: held.collect(),
        problems: groups(&status.problems, params),
        n_problems: status.problems.len(),
        propagation,
        status,
    }
}

fn summary(status: &Status, n_bad: usize, worst: Level) -> (Level, String) {
    let mut level = worst;
    if !status.problems.is_empty() {
        level = Level::Bad;
    } else if !status.held.is_empty() {
        level = level.max(Level::Warning);
    }
    let of = n_of(status.sources.len(), "source");
    let sources = match n_bad {
        0 => format!("{of} in sync"),
        n => format!("{n} of {of} with trouble"),
    };
    let problems = match status.problems.len() {
        0 => "no problems".to_owned(),
        n => n_of(n, "problem"),
    };
    let mirrors = n_of(status.mirrors.services, "mirror Service");
    (level, format!("{sources}, {mirrors}, {problems}"))
}

fn notes(status: &Status) -> Vec<(Level, String)> {
    let notes = status.notices().into_iter().map(|it| {
        let level = if it.is_failure {
            Level::Bad
        } else {
            Level::Warning
        };
        (level, it.text)
    });
    notes.collect()
}

fn source(source: &SourceStatus) -> Source<'_> {
    let feeds = &source.feeds;
    let is_synced = feeds.iter().all(|it| it.state == "synced");
    let level = if source.is_lost() || !is_synced {
        Level::Bad
    } else if source.cluster_unknown.is_some() {
        Level::Warning
    } else {
        Level::Good
    };
    let objects = |is_wanted: &dyn Fn(&&FeedStatus) -> bool| -> usize {
        feeds.iter().filter(is_wanted).map(|it| it.objects).sum()
    };
    let error = feeds.iter().find_map(|it| it.last_error.as_deref());
    Source {
        level,
        source,
        state: state(feeds),
        services: objects(&|it| it.resource.ends_with("services")),
        slices: objects(&|it| !it.resource.ends_with("services")),
        age: feeds.iter().filter_map(|it| it.age_seconds).max(),
        error: error.or(source.cluster_unknown.as_deref()),
    }
}

fn state(feeds: &[FeedStatus]) -> &str {
    let order = ["unsynced", "stale", "synced"];
    let rank = |it: &&FeedStatus| order.iter().position(|known| *known == it.state);
    let last = feeds.iter().min_by_key(rank);
    last.map_or("unsynced", |it| it.state.as_str())
}

/// Returns the time until then.
fn left(until: &str, now: Timestamp) -> String {
    let Ok(until) = until.parse::<Timestamp>() else {
        return until.to_owned();
    };
    let seconds = until.as_second() - now.as_second();
    match (seconds / 60, seconds % 60) {
        _ if seconds <= 0 => "over: the reflector relists the source".to_owned(),
        (0, s) => format!("{s} s left"),
        (m, s) => format!("{m} min {s} s left"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Propagated, left, overview};
    use crate::page::tests::{source, status};
    use runtime::page::{Level, Params};

    static NOTHING: Propagated = Propagated {
        buckets: Vec::new(),
        minutes: Vec::new(),
    };

    #[test]
    fn sources_with_trouble_come_first() {
        let names = ["a", "b", "c"];
        let mut all: Vec<_> = names.iter().map(|it| source(it, None)).collect();
        all[1] = source("b", Some("refused"));
        all[2].cluster_unknown = Some("no permission".to_owned());
        let status = status(all, 2);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let shown = overview(&status, &NOTHING, &Params::default(), now);
        let sources = shown.sources.iter().map(|it| (&*it.source.name, it.level));
        assert_eq!(
            sources.collect::<Vec<_>>(),
            [("b", Level::Bad), ("c", Level::Warning), ("a", Level::Good)]
        );
        assert_eq!(shown.sources[0].error, Some("refused"));
        assert_eq!(
            shown.summary,
            (
                Level::Bad,
                "2 of 3 sources with trouble, 7 mirror Services, 2 problems".to_owned()
            )
        );
    }

    #[test]
    fn notes_name_what_concerns_the_whole_reflector() {
        let mut status = status(vec![source("a", None)], 0);
        status.leads = false;
        status.writer = Some("reflector-0".to_owned());
        status.write_error = Some("etcd is full".to_owned());
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let shown = overview(&status, &NOTHING, &Params::default(), now);
        assert_eq!(shown.summary.0, Level::Bad);
        assert!(shown.notes[0].1.contains("etcd is full"));
        assert!(shown.notes[1].1.contains("reflector-0 is the leader"));
    }

    #[test]
    fn sources_are_paged() {
        let all = (0..250).map(|i| source(&format!("s{i:03}"), None));
        let status = status(all.collect(), 0);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let shown = overview(&status, &NOTHING, &Params::read("sources=3"), now);
        assert_eq!(shown.sources.len(), 50);
        assert_eq!(shown.sources[0].source.name, "s200");
        assert_eq!(shown.pictured.len(), super::PICTURED);
    }

    #[test]
    fn the_time_that_is_left_is_counted() {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(left("2026-01-01T00:12:03Z", now), "12 min 3 s left");
        assert_eq!(left("2026-01-01T00:00:59Z", now), "59 s left");
        assert!(left("2025-12-31T23:59:59Z", now).starts_with("over"));
        assert_eq!(left("soon", now), "soon");
    }
}
