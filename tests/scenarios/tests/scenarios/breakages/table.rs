//! The table of `docs/breakages.md`.

use anyhow::{Context, bail, ensure};

use crate::manifests::repository;

/// All rows.
pub(crate) struct Table {
    pub(super) rows: Vec<Row>,
}

/// What is broken, and the line that tells it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(super) breakage: String,
    pub(super) view: View,
    /// Parts of the line, which follow each other within it.
    parts: Vec<String>,
}

/// Where the line is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum View {
    /// `heliograph status`.
    Status,
    /// `heliograph explain` of a Service.
    Explain(String),
    /// A Kubernetes Event.
    Event,
    /// What a program prints that does not start.
    Start(String),
}

impl Table {
    pub(super) fn read() -> anyhow::Result<Self> {
        let page = std::fs::read_to_string(repository("docs/breakages.md"))?;
        let rows = page
            .lines()
            .filter(|it| it.starts_with("| ") && it.contains('`'));
        let rows: anyhow::Result<Vec<Row>> = rows.map(Row::read).collect();
        Ok(Self { rows: rows? })
    }

    pub(super) fn row(&self, breakage: &str) -> anyhow::Result<&Row> {
        let row = self.rows.iter().find(|it| it.breakage == breakage);
        row.with_context(|| format!("no row {breakage:?}"))
    }
}

impl Row {
    fn read(line: &str) -> anyhow::Result<Self> {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [breakage, view, told, remedy] = cells.as_slice() else {
            bail!("not four cells: {line}");
        };
        ensure!(!remedy.is_empty(), "no remedy: {line}");
        let told = told.strip_prefix('`').and_then(|it| it.strip_suffix('`'));
        let told = told.with_context(|| format!("no line in backticks: {line}"))?;
        let parts = told.split('…').map(|it| it.trim().to_owned());
        Ok(Self {
            breakage: (*breakage).to_owned(),
            view: View::read(view)?,
            parts: parts.filter(|it| !it.is_empty()).collect(),
        })
    }

    /// Returns whether one line of a text has all parts, in their order.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.line_in(text).is_some()
    }

    /// Returns the first line of a text that has all parts, in their order.
    pub(super) fn line_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.lines().find(|line| {
            let mut rest = Some(*line);
            for part in &self.parts {
                rest = rest.and_then(|it| Some(it.split_once(part.as_str())?.1));
            }
            rest.is_some() && !self.parts.is_empty()
        })
    }
}

impl View {
    fn read(cell: &str) -> anyhow::Result<Self> {
        let words: Vec<_> = cell.trim_matches('`').split(' ').collect();
        Ok(match words.as_slice() {
            ["Event"] => Self::Event,
            ["status"] => Self::Status,
            ["explain", service] => Self::Explain((*service).to_owned()),
            [program @ ("emitter" | "reflector")] => Self::Start((*program).to_owned()),
            _ => bail!("no view: {cell}"),
        })
    }
}
