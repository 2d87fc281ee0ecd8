//! Numbers of the source code that must not grow.
//!
//! Each limit is the number of a day on which it was counted. Lower it when the number is
//! lower; `cargo test -p repository --test structure -- --nocapture` prints all of them.

use std::collections::BTreeMap;

use repository::source::{Counts, circles, count, read_all};

/// Doc comments per thousand that begin with a forbidden word, by package.
const OPENINGS: [(&str, usize); 6] = [
    ("proto-types", 1000),
    ("runtime", 1000),
    ("emitter/cache", 1000),
    ("emitter", 1000),
    ("reflector/planner", 1000),
    ("reflector", 1000),
];

/// Comment lines per thousand with a forbidden word, by package.
const WORDS: [(&str, usize); 6] = [
    ("proto-types", 1000),
    ("runtime", 1000),
    ("emitter/cache", 1000),
    ("emitter", 1000),
    ("reflector/planner", 1000),
    ("reflector", 1000),
];

/// Modules that are part of a circle, by package. Others have none.
const CIRCLES: [(&str, usize); 2] = [("emitter", 1000), ("reflector/planner", 1000)];

/// Lines of a file and of a function, as in CONTRIBUTING.md.
const LONGEST: (usize, usize) = (400, 60);

fn counts() -> BTreeMap<String, Counts> {
    count(&read_all())
}

#[track_caller]
fn check(what: &str, limits: &[(&str, usize)], number: impl Fn(&Counts) -> usize) {
    let counts = counts();
    let mut above = Vec::new();
    for (package, limit) in limits {
        let found = counts.get(*package).map_or(0, &number);
        eprintln!("{what} {package}: {found} (limit {limit})");
        if found > *limit {
            above.push(format!("{package}: {found}, limit {limit}"));
        }
    }
    assert!(above.is_empty(), "{what}: {above:?}");
}

#[test]
fn doc_comments_begin_with_a_noun_or_a_verb() {
    check("openings", &OPENINGS, Counts::openings_per_mille);
}

#[test]
fn comments_have_no_forbidden_words() {
    check("words", &WORDS, Counts::words_per_mille);
}

#[test]
fn files_and_functions_are_short() {
    for (package, counts) in counts() {
        let Counts {
            production,
            test,
            longest_file,
            longest_function,
            ..
        } = counts;
        eprintln!(
            "{package}: {production} lines, {test} of tests; longest file {longest_file}, \
             longest function {longest_function}"
        );
        assert!(longest_file <= LONGEST.0, "{package}: {longest_file}");
        assert!(
            longest_function <= LONGEST.1,
            "{package}: {longest_function}"
        );
    }
}

#[test]
fn circles_between_modules_do_not_grow() {
    let found = circles(&read_all());
    for (package, circles) in &found {
        for circle in circles {
            eprintln!("{package}: {} modules: {circle:?}", circle.len());
        }
        let n_modules: usize = circles.iter().map(|it| it.len()).sum();
        let limit = CIRCLES.iter().find(|it| it.0 == package);
        let limit = limit.map_or(0, |it| it.1);
        assert!(n_modules <= limit, "{package}: {n_modules}, limit {limit}");
    }
}
