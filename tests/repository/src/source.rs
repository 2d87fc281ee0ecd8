//! Rust source files of the workspace, read as text.
//!
//! The text has the form of rustfmt, so that indentation tells where an item ends.

mod circles;
mod uses;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub use circles::circles;

/// First words that a doc comment cannot begin with.
const OPENINGS: [&str; 11] = [
    "What", "Whether", "How", "Who", "Whose", "Which", "Where", "When", "Why", "Of", "From",
];

/// Words for programs and objects that comments cannot have.
const WORDS: [&str; 8] = [
    "who",
    "whom",
    "whoever",
    "somebody",
    "nobody",
    "anybody",
    "everybody",
    "told",
];

/// One source file.
#[derive(Debug)]
pub struct Source {
    /// Path in the repository.
    pub path: String,
    /// Name of the package folder.
    pub package: String,
    /// Lines of production code; test modules at the end are cut off.
    pub lines: Vec<String>,
    /// Number of all lines.
    pub n_lines: usize,
    /// Whether the whole file is test code.
    pub is_test: bool,
}

/// Numbers of a set of files.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Lines of production code.
    pub production: usize,
    /// Lines of test code.
    pub test: usize,
    /// Doc comments of items in production code.
    pub docs: usize,
    /// Doc comments that begin with a forbidden word.
    pub openings: usize,
    /// Comment lines in production code.
    pub comments: usize,
    /// Comment lines with a forbidden word.
    pub words: usize,
    /// Lines of the longest file.
    pub longest_file: usize,
    /// Lines of the longest function.
    pub longest_function: usize,
}

/// Folders of packages, the inner ones first.
const PACKAGES: [&str; 10] = [
    "emitter/cache",
    "reflector/clusterset",
    "reflector/planner",
    "cli",
    "proto-types",
    "runtime",
    "emitter",
    "reflector",
    "gatekeeper",
    "tests",
];

/// Reads all source files.
#[must_use]
pub fn read_all() -> Vec<Source> {
    read_tree(&crate::path(""))
}

/// Reads all source files of a checkout.
#[must_use]
pub fn read_tree(root: &Path) -> Vec<Source> {
    let paths = PACKAGES
        .iter()
        .filter(|it| !it.contains('/'))
        .flat_map(|it| crate::files_below(&root.join(it), &["rs"]));
    paths.filter_map(|path| read(root, &path)).collect()
}

fn read(root: &Path, path: &PathBuf) -> Option<Source> {
    let text = fs::read_to_string(path).ok()?;
    let name = path.strip_prefix(root).ok()?.to_str()?.to_owned();
    let package = PACKAGES
        .iter()
        .find(|it| name.starts_with(&format!("{it}/")))?;
    let package = match *package {
        "tests" => name.split('/').take(2).collect::<Vec<_>>().join("/"),
        package => package.to_owned(),
    };
    let is_test =
        name.contains("/tests/") || name.ends_with("/tests.rs") || name.starts_with("tests/");
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let end = lines.iter().position(|it| it.starts_with("mod tests {"));
    Some(Source {
        path: name,
        package,
        n_lines: lines.len(),
        lines: lines[..end.unwrap_or(lines.len())].to_vec(),
        is_test,
    })
}

impl Counts {
    /// Adds a file.
    pub fn add(&mut self, source: &Source) {
        self.longest_file = self.longest_file.max(source.n_lines);
        self.longest_function = self.longest_function.max(longest_function(&source.lines));
        if source.is_test {
            self.test += source.n_lines;
            return;
        }
        self.production += source.lines.len();
        self.test += source.n_lines - source.lines.len();
        let mut follows = false;
        for line in source.lines.iter().map(|it| it.trim_start()) {
            let doc = line.strip_prefix("///");
            if let Some(text) = doc.filter(|_| !follows) {
                self.docs += 1;
                let first = text.split_whitespace().next().unwrap_or_default();
                let first = first.trim_end_matches(|it: char| !it.is_alphanumeric());
                self.openings += usize::from(OPENINGS.contains(&first));
            }
            follows = doc.is_some();
            if line.starts_with("//") {
                self.comments += 1;
                self.words += usize::from(has_word(line));
            }
        }
    }
}

/// Returns whether a line has a word that comments and pages cannot have.
#[must_use]
pub fn has_word(line: &str) -> bool {
    let mut words = line.split(|it: char| !it.is_alphabetic());
    words.any(|word| WORDS.iter().any(|it| word.eq_ignore_ascii_case(it)))
}

/// Returns the lines of the longest function, with its signature.
fn longest_function(lines: &[String]) -> usize {
    functions(lines).into_iter().max().unwrap_or_default()
}

/// Returns the number of lines of each function, with its signature.
#[must_use]
pub fn functions(lines: &[String]) -> Vec<usize> {
    let mut all = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let is_function =
            text.starts_with("fn ") || text.contains(" fn ") && !text.starts_with('/');
        if !is_function || text.ends_with(';') || text.ends_with('}') {
            continue;
        }
        let indentation = line.len() - text.len();
        let end = format!("{}}}", " ".repeat(indentation));
        let rest = lines[i..].iter().position(|it| *it == end);
        all.extend(rest.map(|it| it + 1));
    }
    all
}

/// Counts all files, by package.
#[must_use]
pub fn count(sources: &[Source]) -> BTreeMap<String, Counts> {
    let mut counts: BTreeMap<String, Counts> = BTreeMap::new();
    for source in sources {
        counts
            .entry(source.package.clone())
            .or_default()
            .add(source);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::{Counts, Source};

    #[test]
    fn comments_and_functions_are_counted() {
        let text =
            "/// What it is.\n/// More.\nfn f() {\n    g();\n}\n/// Returns who asks.\nfn g() {}\n";
        let source = Source {
            path: "a/src/lib.rs".to_owned(),
            package: "a".to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            n_lines: 9,
            is_test: false,
        };
        let mut counts = Counts::default();
        counts.add(&source);
        let found = (counts.docs, counts.openings, counts.comments, counts.words);
        assert_eq!(found, (2, 1, 3, 1));
        assert_eq!((counts.longest_function, counts.test), (3, 2));
    }
}
