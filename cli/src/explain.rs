//! `heliograph explain`: why a Service is mirrored as it is, with a last sentence that names
//! cause and remedy.

use std::process::ExitCode;

use anyhow::bail;
use proto_types::escape;
use reflector::explained::{Explained, explained};
use reflector_planner::Explanation;

use crate::PROBLEMS;
use crate::admin::Admin;
use crate::args::{self, Global};
use crate::output::Printer;

/// Runs the subcommand.
pub(crate) async fn run(
    global: &Global,
    asked: &args::Explain,
    printer: &Printer,
) -> anyhow::Result<ExitCode> {
    if asked.offline {
        let code = crate::plan::run_with(global, &asked.plan, Some(&asked.service)).await?;
        let is_problem = code == ExitCode::from(PROBLEMS);
        return Ok(match is_problem && !asked.exit_code {
            true => ExitCode::SUCCESS,
            false => code,
        });
    }
    let admin = Admin::of_reflector(global, &asked.server).await?;
    let services: Vec<Explanation> = admin.json(&format!("/explain/{}", asked.service)).await?;
    // A reflector of an earlier version has no answer.
    let import = admin.json(&format!("/imports/{}", asked.service)).await;
    let answers = explained(services, import.unwrap_or_default());
    if answers.is_empty() {
        bail!("no explanation of Service {}", asked.service);
    }
    printer.print(&answers, || text(&answers))?;
    let is_bad = !answers.iter().all(Explained::is_well);
    Ok(ExitCode::from(if asked.exit_code && is_bad {
        PROBLEMS
    } else {
        0
    }))
}

fn text(answers: &[Explained]) -> String {
    let texts = answers.iter().map(|answer| match answer {
        Explained::Service(it) => format!("{it}\n{}\n", conclusion(it)),
        Explained::Import(it) => it.to_string(),
    });
    let texts: Vec<_> = texts.collect();
    escape::lines(&texts.join("\n")).into_owned()
}

/// One sentence: the result, its cause and the remedy.
fn conclusion(explanation: &Explanation) -> String {
    let service = &explanation.service;
    if let Some(problem) = explanation.problems.first() {
        return format!("Conclusion: {problem}");
    }
    let is_claimed = explanation.sources.iter().any(|it| !it.claims.is_empty());
    let unknown = |it: &&reflector_planner::explain::SourceReport| it.services != "synced";
    if let Some(source) = explanation.sources.iter().find(unknown) {
        return format!(
            "Conclusion: source {} is {}, so Service {service} stays as it is; see its last error \
             in heliograph status",
            source.source, source.services
        );
    }
    if !is_claimed {
        return format!(
            "Conclusion: no source exports a Service for {service}; label it in the source \
             cluster with heliograph.dev/export=true, or check the selector and the import policy \
             of the source; mirrors of Heliograph and of the programs that it replaces \
             (label mirrored-svc) are never exported"
        );
    }
    let pending = explanation.objects.iter().find(|it| it.action != "nothing");
    match pending {
        Some(object) => format!(
            "Conclusion: {} {} is about to be written ({}); run the command again in a moment",
            object.kind, object.object, object.action
        ),
        None => format!(
            "Conclusion: Service {service} is mirrored as its source exports it; if connections \
             fail, check the route to the addresses of its endpoints and kube-proxy"
        ),
    }
}

#[cfg(test)]
mod tests {
    use reflector_planner::Explanation;
    use serde_json::json;

    use super::conclusion;

    fn explanation(state: &str, claims: &[&str], action: &str, problems: &[&str]) -> Explanation {
        let text = json!({
            "service": "mirrors/east-demo-73736d-web",
            "sources": [{"source": "east", "services": state, "slices": state, "claims": claims}],
            "reasons": [],
            "objects": [{"kind": "Service", "object": "mirrors/x", "verdict": "present",
                "exists": true, "action": action}],
            "problems": problems,
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn the_last_sentence_names_cause_and_remedy() {
        let said = |state, claims: &[&str], action, problems: &[&str]| {
            conclusion(&explanation(state, claims, action, problems))
        };
        let web = ["demo/web"];
        assert!(said("synced", &web, "nothing", &[]).contains("is mirrored as its source"));
        assert!(said("synced", &web, "update", &[]).contains("(update)"));
        assert!(said("synced", &[], "nothing", &[]).contains("heliograph.dev/export=true"));
        assert!(said("stale", &web, "nothing", &[]).contains("source east is stale"));
        assert!(said("synced", &web, "nothing", &["too long; shorten it"]).contains("shorten"));
    }
}
