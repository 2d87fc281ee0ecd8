//! Prints numbers of the source code as a table, for this checkout or for others:
//!
//! ```sh
//! cargo run -p repository --bin structure -- [CHECKOUT…]
//! ```

#![expect(clippy::print_stdout, reason = "its output is the table")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use repository::source::{Source, circles, count, functions, read_tree};

/// Numbers of one checkout, in the order of the table.
type Numbers = Vec<(&'static str, String)>;

fn main() {
    let mut checkouts: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if checkouts.is_empty() {
        checkouts.push(repository::path(""));
    }
    let columns: Vec<Numbers> = checkouts.iter().map(|it| numbers(it)).collect();
    let rows = columns.first().map_or(0, Vec::len);
    println!("| number |{}", " value |".repeat(columns.len()));
    println!("|---|{}", "---|".repeat(columns.len()));
    for row in 0..rows {
        let values: Vec<_> = columns.iter().map(|it| it[row].1.as_str()).collect();
        println!("| {} | {} |", columns[0][row].0, values.join(" | "));
    }
}

fn numbers(root: &Path) -> Numbers {
    let sources = read_tree(root);
    let counts = count(&sources);
    let total = |of: fn(&repository::source::Counts) -> usize| counts.values().map(of).sum();
    let (production, test): (usize, usize) = (total(|it| it.production), total(|it| it.test));
    let (docs, openings): (usize, usize) = (total(|it| it.docs), total(|it| it.openings));
    let (comments, words): (usize, usize) = (total(|it| it.comments), total(|it| it.words));
    let programs: Vec<_> = sources.iter().filter(|it| !it.is_test).collect();
    let files = programs.iter().map(|it| it.lines.len()).collect();
    let lines = programs
        .iter()
        .flat_map(|it| functions(&it.lines))
        .collect();
    let (n_variants, n_files) = resources(&programs);
    let longest_file = counts.values().map(|it| it.longest_file).max();
    let longest_function = counts.values().map(|it| it.longest_function).max();
    vec![
        ("lines of production code", production.to_string()),
        ("lines of test code", test.to_string()),
        ("test to production", share(test, production, 1)),
        (
            "circles between modules",
            circles(&sources).len().to_string(),
        ),
        (
            "lines with a variant of `Resource`, in production",
            n_variants.to_string(),
        ),
        ("files with such a line", n_files.to_string()),
        (
            "doc comments with a forbidden opening, %",
            share(openings, docs, 100),
        ),
        (
            "lines with a forbidden word, in 1 000 of comments",
            share(words, comments, 1000),
        ),
        (
            "median file of production, lines",
            median(files).to_string(),
        ),
        (
            "longest file, lines",
            longest_file.unwrap_or_default().to_string(),
        ),
        (
            "median function of production, lines",
            median(lines).to_string(),
        ),
        (
            "longest function, lines",
            longest_function.unwrap_or_default().to_string(),
        ),
    ]
}

/// Counts the lines that name a variant of `Resource`, and their files.
fn resources(sources: &[&Source]) -> (usize, usize) {
    let variants = ["Services", "EndpointSlices", "Endpoints"].map(|it| format!("Resource::{it}"));
    let is_named = |line: &String| variants.iter().any(|it| line.contains(it));
    let found = sources.iter().flat_map(|source| {
        let lines = source.lines.iter().filter(|it| is_named(it));
        lines.map(|_| source.path.as_str())
    });
    let found: Vec<_> = found.collect();
    let files: BTreeSet<_> = found.iter().collect();
    (found.len(), files.len())
}

/// Returns a share with two decimals.
fn share(part: usize, whole: usize, of: usize) -> String {
    let hundredths = (100 * of * part).checked_div(whole).unwrap_or_default();
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn median(mut all: Vec<usize>) -> usize {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}
