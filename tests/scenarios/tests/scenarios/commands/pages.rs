//! Command lines in pages.

use std::path::PathBuf;

use anyhow::Context;

use crate::manifests::repository;

/// A command line that a page shows.
pub(super) struct Shown {
    /// Page and line.
    pub(super) place: String,
    pub(super) program: String,
    pub(super) words: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
}

const PROGRAMS: [&str; 4] = ["heliograph", "reflector", "emitter", "playground"];

/// Words for which a reader puts something, and something.
const PLACEHOLDERS: [(&str, &str); 6] = [
    ("NAMESPACE/NAME", "demo/web"),
    ("NAMESPACE", "demo"),
    ("DURATION", "1s"),
    ("FILE", "file"),
    ("URL", "http://127.0.0.1:9090"),
    ("EMITTER", "127.0.0.1:8080"),
];

/// Returns the commands of all pages: lines of code, and code within text.
pub(super) fn all() -> anyhow::Result<Vec<Shown>> {
    let mut pages = vec![repository("README.md"), repository("CONTRIBUTING.md")];
    pages.push(repository("charts/heliograph/README.md"));
    let docs = std::fs::read_dir(repository("docs"))?;
    let docs: Result<Vec<PathBuf>, _> = docs.map(|it| it.map(|it| it.path())).collect();
    let is_page = |it: &PathBuf| it.extension().is_some_and(|it| it == "md");
    pages.extend(docs?.into_iter().filter(is_page));
    let mut shown = Vec::new();
    for page in pages {
        let name = page
            .file_name()
            .context("a name")?
            .to_string_lossy()
            .into_owned();
        shown.extend(of_page(&name, &std::fs::read_to_string(&page)?));
    }
    Ok(shown)
}

fn of_page(name: &str, text: &str) -> Vec<Shown> {
    let mut found = Vec::new();
    let (mut is_code, mut whole) = (false, String::new());
    for (line, n) in text.lines().zip(1..) {
        let place = format!("{name}:{n}");
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            let line = line.trim();
            match line.strip_suffix('\\') {
                Some(part) => whole += part,
                None => {
                    found.extend(of_line(&place, &(std::mem::take(&mut whole) + line)));
                }
            }
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            let spans = spans.filter(|it| PROGRAMS.iter().any(|name| it.starts_with(name)));
            found.extend(spans.flat_map(|it| of_line(&place, it)));
        }
    }
    found
}

/// Returns the commands of one line of a shell.
fn of_line(place: &str, line: &str) -> Vec<Shown> {
    let line = line.split(" #").next().unwrap_or_default();
    if line.contains('…') {
        return Vec::new();
    }
    let line = line.replace("<(", ";").replace("$(", ";").replace(')', ";");
    let parts = line.split([';', '|', '>']).flat_map(|it| it.split("&&"));
    parts.filter_map(|it| of_part(place, it)).collect()
}

fn of_part(place: &str, part: &str) -> Option<Shown> {
    let words: Vec<_> = part.split_whitespace().collect();
    let is_variable = |it: &&str| {
        let name = it.split_once('=').map_or("", |(name, _)| name);
        !name.is_empty() && name.bytes().all(|it| it.is_ascii_uppercase() || it == b'_')
    };
    let n_variables = words.iter().take_while(|it| is_variable(it)).count();
    let (variables, words) = words.split_at(n_variables);
    let words = inner(words)?;
    let (first, words) = words.split_first()?;
    let program = first.rsplit('/').next()?;
    let is_ours = PROGRAMS.contains(&program) && (*first == program || first.contains('/'));
    // A line of a diagram or of output is no command.
    let is_command = words.first().is_none_or(|it| {
        it.starts_with('-') || it.bytes().all(|it| it.is_ascii_lowercase() || it == b'-')
    });
    if !is_ours || !is_command || words.is_empty() {
        return None;
    }
    let variables = variables.iter().filter_map(|it| it.split_once('='));
    Some(Shown {
        place: place.to_owned(),
        program: program.to_owned(),
        words: words.iter().map(|it| filled(it)).collect(),
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    })
}

/// Returns the command that another one runs.
fn inner<'a>(words: &'a [&'a str]) -> Option<&'a [&'a str]> {
    match words {
        ["kubectl", "heliograph", ..] => Some(&words[1..]),
        ["kubectl", ..] => {
            let at = words.iter().position(|it| *it == "--")?;
            words.contains(&"exec").then(|| &words[at + 1..])
        }
        _ => Some(words),
    }
}

fn filled(word: &str) -> String {
    let word = word.trim_matches(['\'', '"', ',']);
    let fill = |word: String, (name, value): &(&str, &str)| word.replace(name, value);
    PLACEHOLDERS.iter().fold(word.to_owned(), fill)
}
