//! Numbers of the source code that must not grow.
//!
//! Each limit is the number of a day on which it was counted. Lower it when the number is
//! lower; `cargo test -p repository --test structure -- --nocapture` prints all of them.

use std::collections::BTreeMap;

use repository::source::{Counts, circles, count, read_all};

/// Doc comments that begin with a forbidden word, by package.
const OPENINGS: [(&str, usize); 8] = [
    ("proto-types", 0),
    ("runtime", 0),
    ("emitter/cache", 0),
    ("emitter", 0),
    ("reflector/clusterset", 0),
    ("reflector/planner", 0),
    ("reflector", 0),
    ("cli", 0),
];

/// Comment lines with a forbidden word, by package. Those that are left speak of people.
const WORDS: [(&str, usize); 8] = [
    ("proto-types", 0),
    ("runtime", 1),
    ("emitter/cache", 0),
    ("emitter", 0),
    ("reflector/clusterset", 1),
    ("reflector/planner", 0),
    ("reflector", 4),
    ("cli", 0),
];

/// Lines of a file, as in CONTRIBUTING.md.
const LONGEST_FILE: usize = 400;

/// Files that are longer, and their limits; a file that is short again is removed here.
const LONGER: [(&str, usize); 4] = [
    ("emitter/src/api/tests.rs", 411),
    ("reflector/planner/tests/planner/global.rs", 437),
    ("reflector/src/config/tests.rs", 438),
    ("tests/model/src/fleet.rs", 434),
];

/// Lines of a function with its signature. Clippy counts the lines of its body.
const LONGEST_FUNCTION: usize = 70;

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
    check("openings", &OPENINGS, |it| it.openings);
}

#[test]
fn comments_have_no_forbidden_words() {
    check("words", &WORDS, |it| it.words);
}

#[test]
fn files_are_short() {
    let limit_of = |path: &str| {
        let longer = LONGER.iter().find(|it| it.0 == path);
        longer.map_or(LONGEST_FILE, |it| it.1)
    };
    let sources = read_all();
    let long = sources.iter().filter(|it| it.n_lines > limit_of(&it.path));
    let long: Vec<_> = long.map(|it| (&it.path, it.n_lines)).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn functions_are_short() {
    for (package, counts) in counts() {
        eprintln!(
            "{package}: {} lines, {} of tests; longest file {}, longest function {}",
            counts.production, counts.test, counts.longest_file, counts.longest_function
        );
        let longest = counts.longest_function;
        assert!(longest <= LONGEST_FUNCTION, "{package}: {longest}");
    }
}

#[test]
fn no_modules_use_one_another_in_a_circle() {
    let found = circles(&read_all());
    assert!(found.is_empty(), "{found:#?}");
}
