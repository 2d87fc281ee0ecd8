//! Problems by reason, with remedies.

use std::collections::BTreeMap;

use runtime::page::{Paging, Params};

use crate::status::{ProblemStatus, by_reason};

/// Number of problems of a group that the overview shows.
const EXAMPLES: usize = 3;

/// Number of problems of a page.
const PAGE: usize = 50;

/// The page with a section for each reason.
const SECTIONS: &str = include_str!("../../../docs/troubleshooting.md");

/// Problems of one reason.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group<'a> {
    /// The reason.
    pub(super) reason: &'a str,
    /// Remedy, from the documentation.
    pub(super) remedy: Option<String>,
    /// Number of problems by source.
    pub(super) sources: BTreeMap<&'a str, usize>,
    /// Problems that are shown.
    pub(super) shown: Vec<&'a ProblemStatus>,
    /// Page of the problems that are shown; its total is that of the group.
    pub(super) paging: Paging,
}

/// Returns the groups, the largest first. A group that the parameters select is shown alone,
/// page by page.
pub(super) fn groups<'a>(problems: &'a [ProblemStatus], params: &Params) -> Vec<Group<'a>> {
    let selected = params.text("reason");
    let is_selected = |it: &&ProblemStatus| selected.is_empty() || it.reason == selected;
    let mut groups: Vec<_> = by_reason(problems.iter().filter(is_selected))
        .into_iter()
        .map(|(reason, problems)| group(reason, &problems, params))
        .collect();
    groups.sort_by_key(|it| std::cmp::Reverse(it.paging.total));
    groups
}

fn group<'a>(reason: &'a str, problems: &[&'a ProblemStatus], params: &Params) -> Group<'a> {
    let size = match params.text("reason") {
        "" => EXAMPLES,
        _ => PAGE,
    };
    let paging = Paging::of(params, "page", size, problems.len());
    let mut sources = BTreeMap::new();
    for problem in problems {
        *sources.entry(problem.source.as_str()).or_default() += 1;
    }
    let shown = problems.iter().skip(paging.skipped()).take(size);
    Group {
        reason,
        remedy: remedy(reason),
        sources,
        shown: shown.copied().collect(),
        paging,
    }
}

/// Returns the remedy of a reason, without marks of Markdown.
fn remedy(reason: &str) -> Option<String> {
    let heading = format!("### {reason}");
    let mut lines = SECTIONS.lines().skip_while(|line| **line != heading);
    let heading = lines.next()?;
    let mut section = lines.take_while(|line| !line.starts_with('#') && *line != heading);
    let first = section.find_map(|line| line.strip_prefix("Remedy: "))?;
    let rest = section.take_while(|line| !line.is_empty());
    let text = std::iter::once(first).chain(rest).collect::<Vec<_>>();
    Some(plain(&text.join(" ")))
}

/// Returns text without code marks, and of links their text only.
fn plain(markdown: &str) -> String {
    let mut text = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        let Some((name, (_, after))) = link
            .split_once("](")
            .and_then(|(name, target)| Some((name, target.split_once(')')?)))
        else {
            text.push('[');
            rest = link;
            continue;
        };
        text.push_str(name);
        rest = after;
    }
    text.push_str(rest);
    text.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::{groups, plain, remedy};
    use crate::status::ProblemStatus;
    use runtime::page::Params;

    fn problem(reason: &str, i: usize) -> ProblemStatus {
        ProblemStatus {
            reason: reason.to_owned(),
            object: format!("demo/s{i}"),
            source: if i.is_multiple_of(2) { "east" } else { "west" }.to_owned(),
            message: format!("message {i}"),
        }
    }

    #[test]
    fn problems_are_grouped_and_paged() {
        let mut all: Vec<_> = (0..2).map(|i| problem("NameConflict", i)).collect();
        all.extend((0..10_000).map(|i| problem("NamespaceNotFound", i)));
        let overview = groups(&all, &Params::default());
        assert_eq!(
            overview.iter().map(|it| it.reason).collect::<Vec<_>>(),
            ["NamespaceNotFound", "NameConflict"]
        );
        assert_eq!(
            (overview[0].shown.len(), overview[0].paging.total),
            (3, 10_000)
        );
        assert_eq!(overview[0].sources["west"], 5_000);
        let last = groups(&all, &Params::read("reason=NamespaceNotFound&page=9999"));
        assert_eq!(last.len(), 1);
        assert_eq!((last[0].paging.page, last[0].shown.len()), (200, 50));
        assert_eq!(last[0].shown[49].message, "message 9999");
    }

    #[test]
    fn remedies_come_from_the_documentation() {
        assert_eq!(
            remedy("NamespaceNotFound").unwrap(),
            "Create it, or set createNamespace: true for the source."
        );
        assert_eq!(remedy("NoSuchReason"), None);
        assert_eq!(plain("see [a page](x.md), `b` [c"), "see a page, b [c");
    }
}
