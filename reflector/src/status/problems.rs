//! Problems for people: one line for each cause, however many objects have it.

use std::collections::BTreeMap;

use super::ProblemStatus;

/// Objects that a line names.
const EXAMPLES: usize = 3;

/// Causes of one reason and source that have a line each.
const CAUSES: usize = 3;

/// Groups problems by reason.
pub fn by_reason<'a>(
    problems: impl IntoIterator<Item = &'a ProblemStatus>,
) -> BTreeMap<&'a str, Vec<&'a ProblemStatus>> {
    let mut groups: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for problem in problems {
        groups.entry(&problem.reason).or_default().push(problem);
    }
    groups
}

/// Returns the lines, each with a reason, the objects and the cause, those of most objects first
/// within a reason.
pub(super) fn lines(problems: &[ProblemStatus]) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &str), BTreeMap<&str, Vec<&ProblemStatus>>> = BTreeMap::new();
    for problem in problems {
        let group = groups
            .entry((&problem.reason, &problem.source))
            .or_default();
        group.entry(cause(problem)).or_default().push(problem);
    }
    let groups = groups.into_iter();
    groups
        .flat_map(|((reason, source), causes)| {
            let mut causes: Vec<_> = causes.into_iter().collect();
            causes.sort_by_key(|(_, problems)| std::cmp::Reverse(problems.len()));
            let rest = causes.split_off(causes.len().min(CAUSES));
            let lines = causes.into_iter();
            let mut lines: Vec<_> = lines
                .map(|(cause, problems)| line(reason, source, cause, &problems))
                .collect();
            let rest: Vec<_> = rest
                .into_iter()
                .flat_map(|(_, problems)| problems)
                .collect();
            if !rest.is_empty() {
                let (n, names) = (rest.len(), names(&rest));
                lines.push(format!(
                    "{reason}: {n} more objects of source {source} ({names}), each for a cause of \
                     its own; --output json has them all"
                ));
            }
            lines
        })
        .collect()
}

fn line(reason: &str, source: &str, cause: &str, problems: &[&ProblemStatus]) -> String {
    match problems {
        [problem] => format!("{reason}: {}", problem.message),
        problems => {
            let n = problems.len();
            format!(
                "{reason}: {n} Services of source {source} ({}): {cause}",
                names(problems)
            )
        }
    }
}

/// Returns the part of a message about its object.
fn cause(problem: &ProblemStatus) -> &str {
    let object = format!("Service {} of source {}: ", problem.object, problem.source);
    let message = problem.message.as_str();
    message.strip_prefix(&object).unwrap_or(message)
}

/// Returns the first objects, and how many others there are.
fn names(problems: &[&ProblemStatus]) -> String {
    let shown = problems.iter().take(EXAMPLES).map(|it| it.object.as_str());
    let shown: Vec<_> = shown.collect();
    match problems.len().saturating_sub(EXAMPLES) {
        0 => shown.join(", "),
        n => format!("{} and {n} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(reason: &str, i: usize, cause: &str) -> ProblemStatus {
        ProblemStatus {
            reason: reason.to_owned(),
            object: format!("demo/s{i}"),
            source: "east".to_owned(),
            message: format!("Service demo/s{i} of source east: {cause}"),
        }
    }

    #[test]
    fn one_cause_is_one_line() {
        let all: Vec<_> = (0..2000)
            .map(|i| problem("NamespaceNotFound", i, "namespace demo does not exist"))
            .collect();
        assert_eq!(
            lines(&all),
            [
                "NamespaceNotFound: 2000 Services of source east (demo/s0, demo/s1, demo/s2 and \
                 1997 more): namespace demo does not exist"
            ]
        );
    }

    #[test]
    fn many_causes_of_one_reason_are_a_few_lines_and_a_count() {
        let all: Vec<_> = (0..50)
            .map(|i| problem("WriteRejected", i, &format!("mirror {i} is refused")))
            .collect();
        let lines = lines(&all);
        assert_eq!(lines.len(), CAUSES + 1, "{lines:?}");
        assert!(lines[CAUSES].contains("47 more objects"), "{lines:?}");
    }

    #[test]
    fn a_problem_alone_is_told_as_it_is() {
        let all = [problem("NameTooLong", 1, "too long")];
        assert_eq!(
            lines(&all),
            ["NameTooLong: Service demo/s1 of source east: too long"]
        );
    }
}
