//! The recipe of docs/dns.md in the Corefile of CoreDNS.

use super::facts::Facts;
use super::finding::Finding;

const CHECK: &str = "CoreDNS";
const PAGE: &str = "dns.md";

/// Looks for a recipe for each source with a prefix.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let Ok((config, _)) = &facts.config else {
        return Vec::new();
    };
    let prefixes = config.sources.iter().filter_map(|it| it.prefix.as_ref());
    let prefixes: Vec<_> = prefixes.map(ToString::to_string).collect();
    let Some(namespace) = &config.mirror_namespace else {
        return Vec::new();
    };
    if prefixes.is_empty() {
        return Vec::new();
    }
    match &facts.corefile {
        Ok(Some(text)) => prefixes
            .iter()
            .map(|prefix| recipe(text, prefix, namespace.as_str()))
            .collect(),
        Ok(None) => vec![Finding::warning(
            CHECK,
            "there is no ConfigMap kube-system/coredns",
            (
                "mirrors have their own names; for short ones see the page",
                PAGE,
            ),
        )],
        Err(why) => vec![Finding::warning(
            CHECK,
            format!("its configuration is not known: {why}"),
            (
                "allow get of ConfigMap kube-system/coredns for this check",
                PAGE,
            ),
        )],
    }
}

/// Checks that the Corefile rewrites names to the mirrors of a prefix, and back.
fn recipe(text: &str, prefix: &str, namespace: &str) -> Finding {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|it| !it.starts_with('#'))
        .collect();
    let leads_there = |line: &&&str| {
        let escaped = format!(".{namespace}.svc.");
        let is_prefixed = [format!(" {prefix}-"), format!("{{1}}{prefix}-")];
        line.contains(&escaped) && is_prefixed.iter().any(|it| line.contains(it))
    };
    let names: Vec<_> = lines
        .iter()
        .filter(|it| it.contains("name regex"))
        .collect();
    let mentions = |line: &&&str| line.contains(&format!("{prefix}-"));
    if !names.iter().any(leads_there) {
        let elsewhere = names.iter().any(&mentions);
        let message = if elsewhere {
            format!("the recipe for prefix {prefix} does not lead to namespace {namespace}")
        } else {
            format!("there is no recipe for prefix {prefix}: only the names of mirrors resolve")
        };
        let remedy = (
            "copy the recipe with this prefix and mirror namespace",
            PAGE,
        );
        return if elsewhere {
            Finding::failed(CHECK, message, remedy)
        } else {
            Finding::warning(CHECK, message, remedy)
        };
    }
    let turns_back = |line: &&str| {
        line.starts_with("answer auto") || (line.starts_with("answer name ") && mentions(&line))
    };
    if !lines.iter().any(turns_back) {
        return Finding::failed(
            CHECK,
            format!(
                "the recipe for prefix {prefix} has no answer line: resolvers reject the answers"
            ),
            ("copy the line that begins with answer name", PAGE),
        );
    }
    Finding::ok(CHECK, format!("it has the recipe for prefix {prefix}"))
}

#[cfg(test)]
mod tests {
    use super::recipe;
    use crate::output::Mark;

    /// The first recipe of the page.
    fn page() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dns.md");
        let page = std::fs::read_to_string(path).unwrap();
        page.split("```").nth(1).unwrap().to_owned()
    }

    #[test]
    fn the_recipe_of_the_page_is_recognized() {
        assert_eq!(recipe(&page(), "east", "mirrors").mark, Mark::Ok);
    }

    #[test]
    fn a_wrong_recipe_is_found() {
        let other = recipe(&page(), "west", "mirrors");
        assert_eq!(other.mark, Mark::Warning);
        assert!(other.message.contains("no recipe for prefix west"));
        let elsewhere = recipe(&page(), "east", "other");
        assert_eq!(elsewhere.mark, Mark::Failed);
        assert!(
            elsewhere
                .message
                .contains("does not lead to namespace other")
        );
        let lines: Vec<_> = page()
            .lines()
            .filter(|it| !it.contains("answer"))
            .map(str::to_owned)
            .collect();
        let silent = recipe(&lines.join("\n"), "east", "mirrors");
        assert!(silent.message.contains("no answer line"), "{silent:?}");
        let commented = page()
            .replace("rewrite", "# rewrite")
            .replace("name regex", "# name");
        assert_ne!(recipe(&commented, "east", "mirrors").mark, Mark::Ok);
    }
}
