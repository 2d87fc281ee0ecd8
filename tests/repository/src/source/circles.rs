//! Circles between the modules of a package.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, uses};

/// Modules and what each uses.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Returns the circles within each package as sets of modules, the largest first: those between
/// its files, and those between its top-level modules, each with all its children. A module and
/// its own children are no circle.
#[must_use]
pub fn circles(sources: &[Source]) -> BTreeMap<String, Vec<BTreeSet<String>>> {
    let mut packages: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|it| !it.is_test) {
        packages.entry(&source.package).or_default().push(source);
    }
    let circles = packages.into_iter().map(|(package, sources)| {
        let files = graph(&sources);
        let mut found = components(&files);
        found.extend(components(&top_level(&files)));
        found.sort_by_key(|it| std::cmp::Reverse(it.len()));
        (package.to_owned(), found)
    });
    circles.filter(|(_, found)| !found.is_empty()).collect()
}

/// Returns the graph of the top-level modules.
fn top_level(files: &Graph) -> Graph {
    let top = |it: &String| it.split("::").next().unwrap_or_default().to_owned();
    let mut graph = Graph::new();
    for (module, uses) in files.iter().filter(|(module, _)| !module.is_empty()) {
        let own = top(module);
        let others = uses.iter().map(top).filter(|it| *it != own);
        graph.entry(own.clone()).or_default().extend(others);
    }
    graph
}

/// Returns the module path of a file, such as `a::b` for `src/a/b.rs`.
fn module(source: &Source) -> Option<Vec<String>> {
    let (_, path) = source.path.split_once("/src/")?;
    let path = path.strip_suffix(".rs")?;
    let segments = path
        .split('/')
        .filter(|it| !["lib", "main", "mod"].contains(it));
    Some(segments.map(str::to_owned).collect())
}

fn graph(sources: &[&Source]) -> Graph {
    let modules: BTreeMap<String, &Source> = sources
        .iter()
        .filter_map(|it| Some((module(it)?.join("::"), *it)))
        .collect();
    let root = modules.get("");
    let names = root.map(|it| uses::names_of_root(&it.lines));
    let names = names.unwrap_or_default();
    let mut graph = Graph::new();
    for (name, source) in &modules {
        let own = module(source).unwrap_or_default();
        let edges = graph.entry(name.clone()).or_default();
        for path in uses::paths(&source.lines, &own) {
            let exported = path.first().filter(|it| !modules.contains_key(*it));
            let exported = exported.and_then(|it| names.get(it)).cloned();
            let path = exported.unwrap_or(path);
            // The longest beginning that is a file.
            let target = (1..=path.len()).rev().map(|n| path[..n].join("::"));
            if let Some(target) = target.into_iter().find(|it| modules.contains_key(it))
                && !are_related(name, &target)
            {
                edges.insert(target);
            }
        }
    }
    graph
}

/// Returns whether one of two modules is within the other.
fn are_related(one: &str, other: &str) -> bool {
    let is_within = |inner: &str, outer: &str| {
        inner == outer || outer.is_empty() || inner.starts_with(&format!("{outer}::"))
    };
    is_within(one, other) || is_within(other, one)
}

/// Returns the sets of modules that reach one another.
fn components(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<String>> =
        graph.keys().map(|it| (it, reached(graph, it))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (module, reached) in &reach {
        if !reached.contains(*module) || found.iter().any(|it| it.contains(*module)) {
            continue;
        }
        let is_mutual = |it: &&String| reach.get(it).is_some_and(|back| back.contains(*module));
        found.push(reached.iter().filter(is_mutual).cloned().collect());
    }
    found
}

/// Returns the modules that a module uses, directly or not.
fn reached(graph: &Graph, from: &String) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(module) = open.pop() {
        for next in graph.get(module).into_iter().flatten() {
            if found.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Source, circles};

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            package: "p".to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            n_lines: 1,
            is_test: false,
        }
    }

    #[test]
    fn modules_that_use_one_another_are_a_circle() {
        let sources = [
            source("p/src/lib.rs", "use self::a::A;"),
            source("p/src/a.rs", "use crate::b::B;\nuse self::inner::C;"),
            source("p/src/a/inner.rs", "use super::A;"),
            source("p/src/b.rs", "use crate::c::C;"),
            source("p/src/c.rs", "use crate::a::A;"),
            source("p/src/d.rs", "use crate::a::A;"),
        ];
        let found = circles(&sources);
        let circle: Vec<_> = found["p"][0].iter().map(String::as_str).collect();
        assert_eq!(circle, ["a", "b", "c"]);
    }

    #[test]
    fn a_name_of_the_root_leads_to_its_module() {
        let sources = [
            source("p/src/lib.rs", "pub use a::A;"),
            source("p/src/a.rs", "use crate::b::B;"),
            source("p/src/b.rs", "use crate::A;"),
        ];
        assert_eq!(circles(&sources)["p"][0].len(), 2);
    }

    #[test]
    fn children_belong_to_their_top_level_module() {
        let sources = [
            source("p/src/lib.rs", ""),
            source("p/src/a.rs", ""),
            source("p/src/a/inner.rs", "use crate::b::B;"),
            source("p/src/b.rs", "use crate::a::A;"),
        ];
        let found = circles(&sources);
        let circle: Vec<_> = found["p"][0].iter().map(String::as_str).collect();
        assert_eq!(circle, ["a", "b"]);
    }
}
