//! The same as text, for `playground status` and for where there is no terminal.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use reflector::status::ProblemStatus;

use crate::playground_view::{PlaygroundView, Row};

use super::table;
use super::text::harmless;

/// What is seen, as lines.
pub(crate) fn summary(picture: &PlaygroundView) -> String {
    let mut text = overview(picture);
    for problem in picture.problems() {
        let _ = writeln!(text, "{}", sentence(problem));
    }
    text
}

/// The same without what is skipped.
fn overview(picture: &PlaygroundView) -> String {
    let rows = picture.rows();
    let mut text = format!(
        "{} sources, {} mirror Services here\n",
        rows.len(),
        picture.n_mirrors()
    );
    for line in table::sources(&rows) {
        let _ = writeln!(text, "{line}");
    }
    for row in &rows {
        if let Some(lost) = &row.lost {
            let _ = writeln!(text, "Source {} is {}", row.name, harmless(lost));
        }
    }
    if let Some(why) = &picture.silence {
        let _ = writeln!(
            text,
            "The reflector does not say how it is: {}",
            harmless(why)
        );
    }
    text
}

/// What was told so far, so that only news are told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    sources: BTreeMap<String, String>,
    /// Sentences, and what they are about in short.
    problems: BTreeMap<String, String>,
    last_summary: Option<Duration>,
    overview: String,
}

/// So often all is told, where anything of it is new.
const PERIOD: Duration = Duration::from_secs(10);

impl Told {
    /// What is to be told now.
    pub(crate) fn news(&mut self, picture: &PlaygroundView, elapsed: Duration) -> String {
        let is_first = self.last_summary.is_none();
        // Until everything is known, or it takes long, there is nothing worth telling.
        if is_first && !picture.is_settled() && elapsed < PERIOD {
            return String::new();
        }
        let mut text = String::new();
        if !is_first {
            self.tell_sources(picture, &mut text);
        }
        self.tell_problems(picture, &mut text);
        let rows = picture.rows();
        self.sources = rows.iter().map(|it| (it.name.clone(), state(it))).collect();
        if self
            .last_summary
            .is_none_or(|last| last + PERIOD <= elapsed)
        {
            let overview = overview(picture);
            if overview != self.overview {
                let _ = write!(text, "\nat {}: {overview}\n", table::clock(elapsed));
            }
            self.overview = overview;
            self.last_summary = Some(elapsed);
        }
        text
    }

    fn tell_sources(&self, picture: &PlaygroundView, text: &mut String) {
        for row in &picture.rows() {
            let now = state(row);
            if self.sources.get(&row.name) != Some(&now) {
                let _ = writeln!(text, "{} is {now}", row.name);
            }
        }
    }

    fn tell_problems(&mut self, picture: &PlaygroundView, text: &mut String) {
        let problems = picture.problems().iter();
        let problems: BTreeMap<_, _> = problems.map(|it| (sentence(it), subject(it))).collect();
        for (new, _) in problems
            .iter()
            .filter(|(it, _)| !self.problems.contains_key(*it))
        {
            let _ = writeln!(text, "{new}");
        }
        for (_, subject) in self
            .problems
            .iter()
            .filter(|(it, _)| !problems.contains_key(*it))
        {
            let _ = writeln!(text, "no longer: {subject}");
        }
        self.problems = problems;
    }
}

/// How a source is, in words that do not change while it stays so.
fn state(row: &Row) -> String {
    match &row.lost {
        Some(lost) => format!("{}, {}", row.state, harmless(lost)),
        None => row.state.clone(),
    }
}

fn sentence(problem: &ProblemStatus) -> String {
    harmless(&format!("{}: {}", problem.reason, problem.message))
}

fn subject(problem: &ProblemStatus) -> String {
    let ProblemStatus {
        reason,
        object,
        source,
        ..
    } = problem;
    harmless(&format!("{reason}, Service {object} of source {source}"))
}
