//! Printing: text with colors on terminals, JSON, YAML; a closed pipe ends the program quietly.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use proto_types::escape;
use serde::Serialize;

use crate::args::Output;

/// Printer of answers.
#[derive(Debug)]
pub(crate) struct Printer {
    /// Format of the output.
    pub(crate) output: Output,
    /// Colors of text.
    pub(crate) paint: Paint,
}

/// Colors of printed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Escape sequences of terminals.
    Colors,
    /// Plain text.
    Plain,
}

/// State of a thing, shown by color and by shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mark {
    /// Nothing to do.
    Ok,
    /// A warning, which is no failure.
    Warning,
    /// Something to repair.
    Failed,
}

impl Printer {
    /// Printer to standard output.
    pub(crate) fn new(output: Output) -> Self {
        // https://no-color.org: any value but an empty one.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|it| it == "dumb");
        let paint = if io::stdout().is_terminal() && !no_color && !is_dumb {
            Paint::Colors
        } else {
            Paint::Plain
        };
        Self { output, paint }
    }

    /// Returns whether text has all details.
    pub(crate) fn is_wide(&self) -> bool {
        self.output == Output::Wide
    }

    /// Prints an answer; `text` makes the text for people.
    pub(crate) fn print<T: Serialize>(
        &self,
        answer: &T,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        let text = match &self.output {
            Output::Text | Output::Wide => text(),
            Output::Json => json(answer)?,
            Output::Yaml => yaml(answer)?,
            Output::JsonPath(template) => template.render(&escape::json(answer)?),
        };
        write(&text)
    }
}

impl Paint {
    /// A mark, as a colored sign.
    pub(crate) fn mark(self, mark: Mark) -> String {
        let (color, sign) = match mark {
            Mark::Ok => ("32", "✓"),
            Mark::Warning => ("33", "!"),
            Mark::Failed => ("31", "✗"),
        };
        self.color(color, sign)
    }

    /// A heading or a name.
    pub(crate) fn strong(self, text: &str) -> String {
        self.color("1", text)
    }

    fn color(self, color: &str, text: &str) -> String {
        match self {
            Self::Colors => format!("\u{1b}[{color}m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// Writes to standard output.
pub(crate) fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// Text of a value from outside, in one line.
pub(crate) fn one_line(text: &str) -> String {
    escape::text(text).into_owned()
}

/// Returns whether the reader of standard output has closed it.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
}

fn json<T: Serialize>(answer: &T) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&escape::json(answer)?)? + "\n")
}

/// YAML of an answer.
pub(crate) fn yaml<T: Serialize>(answer: &T) -> anyhow::Result<String> {
    let text = serde_saphyr::to_string(&serde_json::to_value(answer)?);
    let text = text.context("cannot write YAML")?;
    Ok(if text.ends_with('\n') {
        text
    } else {
        text + "\n"
    })
}

/// Lines with columns as wide as their widest cell; the last column is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |i: usize| {
        let cells = rows.iter().filter_map(|row| row.get(i));
        cells.map(|it| visible(it)).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..n_columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - visible(cell) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Characters of a cell without escape sequences of colors.
fn visible(cell: &str) -> usize {
    let mut n_characters = 0;
    let mut is_escape = false;
    for character in cell.chars() {
        match (is_escape, character) {
            (false, '\u{1b}') => is_escape = true,
            (true, 'm') => is_escape = false,
            (false, _) => n_characters += 1,
            (true, _) => {}
        }
    }
    n_characters
}

#[cfg(test)]
mod tests {
    use super::{Mark, Paint, table, yaml};

    #[test]
    fn colored_cells_are_aligned_as_plain_ones() {
        let rows = |paint: Paint| {
            let row = |mark, name: &str| vec![paint.mark(mark), name.to_owned(), "x".to_owned()];
            [row(Mark::Ok, "a"), row(Mark::Failed, "longer")]
        };
        assert_eq!(table(&rows(Paint::Plain)), "✓  a       x\n✗  longer  x\n");
        let colored = table(&rows(Paint::Colors));
        assert!(
            colored.contains("\u{1b}[32m✓\u{1b}[0m  a       x\n"),
            "{colored:?}"
        );
    }

    #[test]
    fn yaml_is_read_as_it_was_written() {
        let value = serde_json::json!({"a": "yes", "b": ["1", 2, "x: y", "two\nlines\n"], "c": {}});
        let text = yaml(&value).unwrap();
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, value, "{text}");
    }
}
