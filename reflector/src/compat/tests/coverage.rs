//! Every test that the page of the predecessors names is there.

use std::fs;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/replaced-programs.md";

/// What the page abbreviates.
const PLACES: [(&str, &str); 2] = [
    ("S/", "tests/scenarios/tests/scenarios/"),
    ("P/", "reflector/planner/tests/planner/"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn place(file: &str) -> PathBuf {
    let mut places = PLACES.iter();
    let place =
        places.find_map(|(short, long)| Some(format!("{long}{}", file.strip_prefix(short)?)));
    root().join(place.unwrap_or_else(|| file.to_owned()))
}

/// The tests in a row, each with its file.
fn named(row: &str) -> Vec<(&str, &str)> {
    let quoted = row.split('`').skip(1).step_by(2);
    quoted.filter_map(|it| it.split_once("::")).collect()
}

#[test]
fn every_row_names_a_test_that_is_there() {
    let page = fs::read_to_string(root().join(PAGE)).unwrap();
    let rows = page.lines().filter(|it| it.starts_with("| "));
    let rows = rows.filter(|it| !it.starts_with("| what"));
    let mut n_rows = 0;
    for row in rows {
        let tests = named(row);
        assert!(!tests.is_empty(), "no test in: {row}");
        for (file, test) in tests {
            let path = place(file);
            let source = fs::read_to_string(&path).unwrap_or_default();
            let is_there = source.contains(&format!("fn {test}("));
            assert!(is_there, "{} has no test {test}: {row}", path.display());
        }
        n_rows += 1;
    }
    let number = |row: &str| Some(row.strip_prefix("| ")?.split_once(". ")?.0.to_owned());
    let numbers = page.lines().filter_map(number);
    let numbers: Vec<_> = numbers.filter(|it| it.parse::<u32>().is_ok()).collect();
    let expected = "1 2 3 4 5 6 7 8 9 10 11 13 14 15 16";
    assert_eq!(numbers.join(" "), expected);
    assert!(40 < n_rows, "{n_rows}");
}
