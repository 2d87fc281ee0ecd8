//! Modules of a package that a file names in its `use` items.

use std::collections::BTreeMap;

/// Returns the paths of all `use` items, from the root of the package.
pub(super) fn paths(lines: &[String], module: &[String]) -> Vec<Vec<String>> {
    let items = items(lines);
    let paths = items.iter().flat_map(|it| expand(it));
    paths.filter_map(|it| absolute(&it, module)).collect()
}

/// Returns the names that the root of a package imports or re-exports, with their paths.
pub(super) fn names_of_root(lines: &[String]) -> BTreeMap<String, Vec<String>> {
    let items = items(lines);
    let paths = items.iter().flat_map(|it| expand(it));
    let names = paths.map(|path| {
        let path = path
            .trim_start_matches("self::")
            .trim_start_matches("crate::");
        let path: Vec<_> = path.split("::").map(|it| it.trim().to_owned()).collect();
        (path.last().cloned().unwrap_or_default(), path)
    });
    names.collect()
}

/// Returns the trees of all `use` items.
fn items(lines: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut item: Option<String> = None;
    for line in lines.iter().map(|it| it.trim()) {
        let start = line.strip_prefix("pub ").unwrap_or(line);
        let start = start.strip_prefix("pub(crate) ").unwrap_or(start);
        let start = start.strip_prefix("pub(super) ").unwrap_or(start);
        match (&mut item, start.strip_prefix("use ")) {
            (Some(text), _) => text.push_str(line),
            (None, Some(rest)) => item = Some(rest.to_owned()),
            (None, None) => continue,
        }
        if let Some(text) = item.take_if(|it| it.ends_with(';')) {
            found.push(text.trim_end_matches(';').to_owned());
        }
    }
    found
}

/// Expands braces: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let parts = split(inner)
        .into_iter()
        .flat_map(|part| expand(part.trim()));
    parts
        .map(|part| format!("{}{part}", prefix.trim()))
        .collect()
}

/// Splits at commas outside of braces.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (i, it) in text.char_indices() {
        match it {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|it| !it.trim().is_empty());
    parts
}

/// Resolves `crate`, `self` and `super`; other packages have no path here.
fn absolute(path: &str, module: &[String]) -> Option<Vec<String>> {
    let mut base: Vec<String> = Vec::new();
    let mut segments = path.split("::").map(str::trim).peekable();
    match *segments.peek()? {
        "crate" => {
            segments.next();
        }
        "self" => {
            segments.next();
            base = module.to_vec();
        }
        "super" => {
            base = module.to_vec();
            while segments.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
        _ => return None,
    }
    base.extend(segments.map(str::to_owned));
    Some(base)
}

#[cfg(test)]
mod tests {
    use super::{names_of_root, paths};

    #[test]
    fn use_items_are_expanded_and_resolved() {
        let text = "use std::fmt;\npub use self::x::Y;\nuse crate::{a::B, c::{d, e::F}};\n    use super::\n    g::H;";
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let module = ["m".to_owned(), "n".to_owned()];
        let found = paths(&lines, &module);
        let found: Vec<_> = found.iter().map(|it| it.join("::")).collect();
        assert_eq!(found, ["m::n::x::Y", "a::B", "c::d", "c::e::F", "m::g::H"]);
    }

    #[test]
    fn names_of_the_root_have_paths() {
        let lines = ["pub use a::{B, c::D};".to_owned()];
        let names = names_of_root(&lines);
        assert_eq!(names["B"], ["a", "B"]);
        assert_eq!(names["D"], ["a", "c", "D"]);
    }
}
