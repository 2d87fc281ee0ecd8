//! The pages document flags as `--help` does.

use std::collections::BTreeSet;

use clap::CommandFactory;

use super::Args;

const CONFIGURATION: &str = include_str!("../../../docs/configuration.md");
const ACCESS: &str = include_str!("../../../docs/access.md");

/// The part of the page that is about this program.
fn section() -> &'static str {
    let (_, section) = CONFIGURATION.split_once("## emitter").unwrap();
    section.split_once("\n## ").unwrap().0
}

/// The flags in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '-');
    let flags = words.filter_map(|word| word.strip_prefix("--"));
    let flags = flags.filter(|name| name.starts_with(|it: char| it.is_ascii_lowercase()));
    flags.map(str::to_owned).collect()
}

#[test]
fn every_flag_is_documented_and_no_other() {
    let of_program: BTreeSet<String> = Args::command()
        .get_arguments()
        .filter_map(|it| it.get_long().map(str::to_owned))
        .collect();
    let documented: BTreeSet<String> = &flags(section()) | &flags(ACCESS);
    let missing: Vec<_> = of_program.difference(&documented).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    let unknown = documented
        .difference(&of_program)
        // kubectl's is one of them.
        .filter(|it| !matches!(it.as_str(), "help" | "raw"));
    let unknown: Vec<_> = unknown.collect();
    assert!(unknown.is_empty(), "no flags of the emitter: {unknown:?}");
}

#[test]
fn every_default_is_documented_as_it_is() {
    let command = Args::command();
    let default_of = |flag: &str| {
        let mut arguments = command.get_arguments();
        let argument = arguments.find(|it| it.get_long() == Some(flag))?;
        let default = argument.get_default_values().first()?;
        Some(default.to_str()?.to_owned())
    };
    let mut n_compared = 0;
    for row in section().lines().filter(|line| line.starts_with("| `--")) {
        let row = row.replace("\\|", "/");
        let mut cells = row.split('|').skip(1);
        let names = cells.next().unwrap().split(", ");
        let defaults = cells.next().unwrap().split(", ");
        for (name, documented) in names.zip(defaults) {
            let flag = flags(name).pop_first().unwrap();
            if let Some(default) = default_of(&flag).filter(|it| !it.is_empty()) {
                let documented = documented.trim().trim_matches('`');
                assert_eq!(documented, default, "--{flag} in {row}");
                n_compared += 1;
            }
        }
    }
    assert!(15 < n_compared, "{n_compared}");
}
