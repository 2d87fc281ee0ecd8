//! Explanations of one name: as a mirror or global Service, and as an import.

use std::fmt;

use reflector_clusterset::ImportExplanation;
use reflector_planner::Explanation;
use serde::{Deserialize, Serialize};

/// Explanation of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Explained {
    /// As a mirror or a global Service.
    Service(Explanation),
    /// As an import of the clusterset.
    Import(ImportExplanation),
}

/// Returns the explanations with content: that of an import only where a cluster has a
/// ServiceExport of the name, and then others only where something is mirrored under it.
#[must_use]
pub fn explained(services: Vec<Explanation>, import: Option<ImportExplanation>) -> Vec<Explained> {
    let import = import.filter(ImportExplanation::has_export);
    let is_alone = import.is_none();
    let services = services
        .into_iter()
        .filter(|it| is_alone || is_mirrored(it));
    let services = services.map(Explained::Service);
    services.chain(import.map(Explained::Import)).collect()
}

fn is_mirrored(explanation: &Explanation) -> bool {
    let is_claimed = explanation.sources.iter().any(|it| !it.claims.is_empty());
    is_claimed || !explanation.problems.is_empty() || explanation.objects.iter().any(|it| it.exists)
}

impl Explained {
    /// Returns whether no problem is reported.
    #[must_use]
    pub fn is_well(&self) -> bool {
        match self {
            Self::Service(it) => it.problems.is_empty(),
            Self::Import(it) => it.problems.is_empty(),
        }
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(it) => it.fmt(f),
            Self::Import(it) => it.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_import_is_told_where_there_is_an_export() {
        let service = |claims: &[&str]| -> Explanation {
            let text = json!({
                "service": "demo/web", "reasons": [], "objects": [], "problems": [],
                "sources": [
                    {"source": "east", "services": "synced", "slices": "synced", "claims": claims},
                ],
            });
            serde_json::from_value(text).unwrap()
        };
        let import = |exported: bool| -> Option<ImportExplanation> {
            let text = json!({
                "import": "demo/web", "host": "h", "due": [], "problems": [], "conclusion": "c",
                "clusters": [{"cluster": "east", "state": "synced", "exported": exported,
                    "says": "it", "slices": 1, "endpoints": 2}],
            });
            serde_json::from_value(text).unwrap()
        };
        let kinds = |answers: Vec<Explained>| -> Vec<&str> {
            let kind = |it: &Explained| match it {
                Explained::Service(_) => "service",
                Explained::Import(_) => "import",
            };
            answers.iter().map(kind).collect()
        };
        let mirrored = || vec![service(&["demo/web"])];
        let unknown = || vec![service(&[])];
        assert_eq!(kinds(explained(unknown(), None)), ["service"]);
        assert_eq!(kinds(explained(unknown(), import(false))), ["service"]);
        assert_eq!(kinds(explained(unknown(), import(true))), ["import"]);
        assert_eq!(
            kinds(explained(mirrored(), import(true))),
            ["service", "import"]
        );
        let text = serde_json::to_string(&explained(mirrored(), import(true))).unwrap();
        let read: Vec<Explained> = serde_json::from_str(&text).unwrap();
        assert_eq!(kinds(read), ["service", "import"]);
    }
}
