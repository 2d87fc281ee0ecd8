//! The view: from what is seen to lines that fit the screen. Pure.

pub(crate) mod plain;
mod table;
pub(crate) mod text;

use std::time::Duration;

use crate::advice::Advice;
use crate::playground_view::{Change, PlaygroundView, Row, What};

use text::{fit, width, wrap};

/// How large the screen is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// From left to right.
    pub(crate) columns: usize,
    /// From top to bottom.
    pub(crate) rows: usize,
}

/// The least that shows something of everything.
pub(crate) const SMALLEST: Size = Size {
    columns: 60,
    rows: 16,
};

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Dim,
    Chosen,
    Good,
    Warning,
    Bad,
}

/// A line of the screen, in pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line(pub(crate) Vec<(Style, String)>);

/// Which page is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// Sources, what is skipped, what changed.
    Overview,
    /// The lines to try.
    Advice,
}

/// What is looked at, and what was done last.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// The page.
    pub(crate) page: Page,
    /// The source that keys are about.
    pub(crate) chosen: usize,
    /// What came of the last key.
    pub(crate) note: String,
    /// Since the playground began.
    pub(crate) elapsed: Duration,
    /// Which kind of clusters.
    pub(crate) clusters: &'static str,
}

impl Size {
    /// What to do where the view does not fit.
    pub(crate) fn lack(self) -> Option<String> {
        let fits = SMALLEST.columns <= self.columns && SMALLEST.rows <= self.rows;
        (!fits).then(|| {
            format!(
                "the terminal has {} columns and {} lines, and the view needs {} and {}; make it \
                 larger",
                self.columns, self.rows, SMALLEST.columns, SMALLEST.rows
            )
        })
    }
}

impl Line {
    fn of(style: Style, text: &str) -> Self {
        Self(vec![(style, text.to_owned())])
    }

    fn empty() -> Self {
        Self(Vec::new())
    }

    /// The line without looks.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Cut where the screen ends.
    fn within(self, columns: usize) -> Self {
        let mut left = columns;
        let pieces = self.0.into_iter().map(|(style, text)| {
            let text = fit(&text, left);
            left -= width(&text);
            (style, text)
        });
        Self(pieces.filter(|(_, text)| !text.is_empty()).collect())
    }
}

/// What the screen shows: exactly as many lines as it has, none wider than it is.
pub(crate) fn draw(
    picture: &PlaygroundView,
    advice: &[Advice],
    look: &Look,
    size: Size,
) -> Vec<Line> {
    let lines = match (size.lack(), look.page) {
        (Some(lack), _) => {
            let lines = wrap(&lack, size.columns, size.rows);
            lines.iter().map(|it| Line::of(Style::Bold, it)).collect()
        }
        (None, Page::Overview) => overview(picture, look, size),
        (None, Page::Advice) => advice_page(advice, look, size),
    };
    let mut lines: Vec<_> = lines
        .into_iter()
        .map(|it| it.within(size.columns))
        .collect();
    lines.resize(size.rows, Line::empty());
    lines
}

/// As wide as the smallest screen.
const KEYS: &str = "s stop h hang c corrupt e empty a API b heal  t try q quit";

fn overview(picture: &PlaygroundView, look: &Look, size: Size) -> Vec<Line> {
    let rows = picture.rows();
    let problems = problem_lines(picture, size.columns);
    // Title, three headings with a line above each, and two lines of keys.
    let free = size.rows.saturating_sub(9);
    // Sources first, then reasons, then changes; but each gets its part.
    let least = (free / 4).max(2);
    let (least_problems, least_changes) = (problems.len().min(least), least);
    let n_sources = source_height(&rows).min(free - least_problems - least_changes);
    let n_problems = problems.len().min(free - n_sources - least_changes);
    let n_changes = free - n_sources - n_problems;

    let mut lines = vec![title(picture, look)];
    lines.push(Line::empty());
    lines.extend(source_lines(&rows, look.chosen, size.columns, n_sources));
    lines.push(Line::empty());
    lines.push(Line::of(Style::Bold, "SKIPPED OR ALTERED, AND WHY"));
    lines.extend(cut(problems, n_problems));
    lines.push(Line::empty());
    lines.push(Line::of(Style::Bold, "LAST CHANGES HERE"));
    let changes = picture.changes.iter().take(n_changes);
    lines.extend(changes.map(|change| change_line(change, look.elapsed)));
    lines.resize(size.rows - 2, Line::empty());
    lines.push(Line::of(Style::Warning, &look.note));
    lines.push(Line::of(Style::Bold, KEYS));
    lines
}

fn title(picture: &PlaygroundView, look: &Look) -> Line {
    let rows = picture
        .status
        .as_ref()
        .map_or(0, |status| status.sources.len());
    let text = format!(
        "  {rows} sources, {} mirror Services here, {} clusters, {}",
        picture.n_mirrors(),
        look.clusters,
        table::clock(look.elapsed)
    );
    let mut line = Line(vec![(Style::Bold, "Heliograph playground".to_owned())]);
    line.0.push((Style::Plain, text));
    if let Some(why) = &picture.silence {
        line.0.push((Style::Bad, format!("  the reflector: {why}")));
    }
    line
}

/// How many lines all sources take.
fn source_height(rows: &[Row]) -> usize {
    rows.iter()
        .map(|row| 1 + usize::from(row.lost.is_some()))
        .sum()
}

/// The heading, and so many lines of sources around the chosen one.
fn source_lines(rows: &[Row], chosen: usize, columns: usize, n_lines: usize) -> Vec<Line> {
    let mut table = table::sources(rows).into_iter();
    let heading = table.next().unwrap_or_default();
    let mut blocks = Vec::new();
    for ((text, row), i) in table.zip(rows).zip(0..) {
        let style = match row.state.as_str() {
            "synced" if row.lost.is_none() => Style::Good,
            "synced" | "stale" => Style::Warning,
            _ => Style::Bad,
        };
        let mark = if i == chosen { "> " } else { "  " };
        let name_style = if i == chosen {
            Style::Chosen
        } else {
            Style::Plain
        };
        blocks.push((i, Line(vec![(name_style, mark.to_owned()), (style, text)])));
        if let Some(lost) = &row.lost {
            let lost = fit(lost, columns.saturating_sub(4));
            blocks.push((i, Line(vec![(Style::Warning, format!("    {lost}"))])));
        }
    }
    let n_blocks = blocks.len();
    let last = blocks.iter().rposition(|(i, _)| *i == chosen).unwrap_or(0);
    let first = (last + 1)
        .saturating_sub(n_lines)
        .min(n_blocks.saturating_sub(n_lines));
    let shown = blocks
        .into_iter()
        .skip(first)
        .take(n_lines)
        .map(|(_, line)| line);
    let more = match n_blocks.saturating_sub(n_lines) {
        0 => String::new(),
        n => format!("   ({n} lines more: up, down)"),
    };
    let heading = Line(vec![
        (Style::Bold, format!("  {heading}")),
        (Style::Dim, more),
    ]);
    std::iter::once(heading).chain(shown).collect()
}

fn problem_lines(picture: &PlaygroundView, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for problem in picture.problems() {
        let text = format!("{}: {}", problem.reason, problem.message);
        let wrapped = wrap(&text, columns.saturating_sub(4), 3);
        for (text, i) in wrapped.iter().zip(0..) {
            let indent = if i == 0 { "  " } else { "    " };
            lines.push(Line::of(Style::Plain, &format!("{indent}{text}")));
        }
    }
    if lines.is_empty() {
        lines.push(Line::of(Style::Dim, "  nothing"));
    }
    lines
}

/// So many lines; the last says how many more there would be.
fn cut(mut lines: Vec<Line>, n_lines: usize) -> Vec<Line> {
    let n_more = lines.len().saturating_sub(n_lines);
    if 0 < n_more && 0 < n_lines {
        lines.truncate(n_lines - 1);
        let more = format!("  … {} lines more: playground status has all", n_more + 1);
        lines.push(Line::of(Style::Dim, &more));
    }
    lines.truncate(n_lines);
    lines
}

fn change_line(change: &Change, elapsed: Duration) -> Line {
    let age = elapsed.saturating_sub(change.at).as_secs();
    let style = match change.what {
        What::Came => Style::Good,
        What::Changed => Style::Plain,
        What::Went => Style::Bad,
    };
    let age = format!("  {age:>4}s ago  ");
    Line(vec![(Style::Dim, age), (style, table::change(change))])
}

fn advice_page(advice: &[Advice], look: &Look, size: Size) -> Vec<Line> {
    let mut lines = vec![
        Line::of(Style::Bold, "To try in another terminal"),
        Line::empty(),
    ];
    for Advice { line, shows } in advice {
        lines.push(Line::of(Style::Dim, &format!("# {shows}")));
        // Whoever copies a line wants all of it.
        let wrapped = wrap(line, size.columns.saturating_sub(2), usize::MAX);
        let n_lines = wrapped.len();
        let broken = wrapped.iter().zip(1..).map(|(part, i)| match i {
            _ if i == n_lines => part.clone(),
            _ => format!("{part} \\"),
        });
        lines.extend(broken.map(|part| Line::of(Style::Plain, &part)));
    }
    let lines = cut(lines, size.rows - 2);
    let mut lines = lines;
    lines.resize(size.rows - 2, Line::empty());
    lines.push(Line::of(Style::Warning, &look.note));
    lines.push(Line::of(Style::Bold, "t back  q quit"));
    lines
}

#[cfg(test)]
mod tests;
