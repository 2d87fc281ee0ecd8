//! Pages: links, the summary of the site, words, and a section for every problem reason.

use std::collections::BTreeSet;

use repository::source::has_word;
use repository::{anchors, files, path, read};

/// Where reasons are spelled.
const REASONS: [&str; 5] = [
    "reflector/planner/src/problem/reason.rs",
    "reflector/planner/src/import/violation.rs",
    "reflector/planner/src/problem/conflict.rs",
    "reflector/clusterset/src/reason.rs",
    "reflector/src/metrics.rs",
];

/// Words in quotes that have the form of a reason.
fn reasons(source: &str) -> BTreeSet<String> {
    let words = source.split('"').skip(1).step_by(2);
    let is_reason = |it: &&str| {
        it.starts_with(|it: char| it.is_ascii_uppercase())
            && it.len() > 3
            && *it != "Problem"
            && it.bytes().all(|it| it.is_ascii_alphabetic())
    };
    words.filter(is_reason).map(str::to_owned).collect()
}

#[test]
fn every_problem_reason_has_a_section() {
    let page = read("docs/troubleshooting.md");
    let (_, sections) = page.split_once("\n## Problem reasons\n").unwrap();
    let (sections, _) = sections.split_once("\n## ").unwrap();
    let documented: BTreeSet<_> = sections
        .lines()
        .filter_map(|it| it.strip_prefix("### "))
        .map(str::to_owned)
        .collect();
    let known: BTreeSet<_> = REASONS.iter().flat_map(|it| reasons(&read(it))).collect();
    assert!(known.len() > 35, "{known:?}");
    let missing: Vec<_> = known.difference(&documented).collect();
    assert!(missing.is_empty(), "no section: {missing:?}");
    let stale: Vec<_> = documented.difference(&known).collect();
    assert!(stale.is_empty(), "no reasons: {stale:?}");
    for section in sections.split("\n### ").skip(1) {
        assert!(section.contains("\nRemedy: "), "no remedy: {section}");
    }
}

/// Targets of links in a page, without code.
fn links(page: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in page.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code {
            continue;
        }
        let targets = line.split("](").skip(1);
        links.extend(targets.filter_map(|it| Some(it.split_once(')')?.0.to_owned())));
    }
    links
}

#[test]
fn links_within_the_repository_lead_somewhere() {
    let mut broken = Vec::new();
    let root = path("");
    let pages = files("docs", &["md"]);
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "charts/heliograph/README.md",
    ];
    for page in pages.into_iter().chain(others.map(path)) {
        let name = page.strip_prefix(&root).unwrap().display().to_string();
        let text = read(&name);
        for link in links(&text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            let is_named = |text: &str| {
                anchors(text).iter().any(|it| it == anchor)
                    || text.contains(&format!("<a name=\"{anchor}\">"))
            };
            let is_found = target.exists()
                && (anchor.is_empty()
                    || std::fs::read_to_string(&target).is_ok_and(|it| is_named(&it)));
            if !is_found {
                broken.push(format!("{name}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = read("docs/SUMMARY.md");
    let listed: BTreeSet<_> = links(&summary).into_iter().collect();
    let pages = files("docs", &["md"]).into_iter();
    let names = pages.filter_map(|it| Some(it.file_name()?.to_str()?.to_owned()));
    let existing: BTreeSet<_> = names.filter(|it| it != "SUMMARY.md").collect();
    assert_eq!(listed, existing);
}

/// Lines of pages with a forbidden word outside of code. Lower it when there are fewer.
const MAX_WORDS: usize = 45;

#[test]
fn pages_have_no_forbidden_words() {
    let others = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(path);
    let mut found = Vec::new();
    for page in files("docs", &["md"]).into_iter().chain(others) {
        let text = std::fs::read_to_string(&page).unwrap();
        let mut is_code = false;
        for (i, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            if !is_code && has_word(line) {
                found.push(format!("{}:{}", page.display(), i + 1));
            }
        }
    }
    eprintln!("{} lines with a forbidden word", found.len());
    assert!(found.len() <= MAX_WORDS, "{found:#?}");
}
