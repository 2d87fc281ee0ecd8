//! Numbers of the source code that must not grow.
//!
//! Each limit is the number of a day on which it was counted. Lower it when the number is
//! lower; `cargo test -p repository --test structure -- --nocapture` prints all of them.

use std::collections::BTreeMap;

use repository::source::{Counts, circles, count, read_all};

/// Doc comments per thousand that begin with a forbidden word, by package.
const OPENINGS: [(&str, usize); 6] = [
    ("proto-types", 160),
    ("runtime", 290),
    ("emitter/cache", 180),
    ("emitter", 350),
    ("reflector/planner", 400),
    ("reflector", 400),
];

/// Comment lines per thousand with a forbidden word, by package.
const WORDS: [(&str, usize); 6] = [
    ("proto-types", 5),
    ("runtime", 75),
    ("emitter/cache", 25),
    ("emitter", 130),
    ("reflector/planner", 60),
    ("reflector", 70),
];

/// Modules that are part of a circle, by package. Others have none.
const CIRCLES: [(&str, usize); 5] = [
    ("emitter", 30),
    ("emitter/cache", 10),
    ("reflector", 20),
    ("reflector/planner", 40),
    ("runtime", 10),
];

/// Lines of a file, as in CONTRIBUTING.md.
const LONGEST_FILE: usize = 400;

/// Files that are longer, and their limits; a file that is short again is removed here.
const LONGER: [(&str, usize); 21] = [
    ("emitter/cache/src/store.rs", 465),
    ("emitter/cache/tests/joined.rs", 538),
    ("emitter/src/api/tests.rs", 418),
    ("emitter/src/config.rs", 420),
    ("emitter/src/hub.rs", 516),
    ("emitter/src/identity.rs", 468),
    ("emitter/src/metrics.rs", 414),
    ("proto-types/src/object.rs", 420),
    ("reflector/clusterset/src/action.rs", 430),
    ("reflector/clusterset/src/plan.rs", 500),
    ("reflector/planner/src/global.rs", 413),
    ("reflector/planner/src/hold.rs", 415),
    ("reflector/planner/src/policy.rs", 425),
    ("reflector/planner/src/problem.rs", 416),
    ("reflector/planner/src/service.rs", 411),
    ("reflector/planner/tests/planner/global.rs", 440),
    ("reflector/src/config/tests.rs", 440),
    ("reflector/src/controller.rs", 460),
    ("reflector/src/following.rs", 420),
    ("runtime/src/follow.rs", 430),
    ("tests/model/src/fleet.rs", 449),
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
    check("openings", &OPENINGS, Counts::openings_per_mille);
}

#[test]
fn comments_have_no_forbidden_words() {
    check("words", &WORDS, Counts::words_per_mille);
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
