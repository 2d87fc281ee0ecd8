//! What the reflector answers about imports.

use anyhow::ensure;

use super::ClusterSet;
use crate::lab::{eventually, program};

impl ClusterSet {
    /// The reflector of east reports this problem, or none, in its status; and `heliograph
    /// explain` ends with that conclusion.
    pub(super) async fn says_why(&self, problem: &str, conclusion: &str) -> anyhow::Result<()> {
        let [reflector, _] = &self.reflectors;
        eventually("status and explain agree", async || {
            let status = reflector.status().await?;
            let problems = status["problems"].as_array();
            let reasons = problems.into_iter().flatten();
            let reasons: Vec<_> = reasons.filter_map(|it| it["reason"].as_str()).collect();
            ensure!(reasons.join(",") == problem, "{status}");
            ensure!(
                status["clusterSet"]["clusters"][1]["state"] == "synced",
                "{status}"
            );
            let mut explain = tokio::process::Command::new(program("heliograph")?);
            explain.args([
                "explain",
                "demo/web",
                "--exit-code",
                "--server",
                &reflector.url,
            ]);
            let output = explain.output().await?;
            let text = String::from_utf8_lossy(&output.stdout);
            let last = text.lines().last().unwrap_or_default();
            ensure!(
                last.starts_with("Conclusion: ") && last.contains(conclusion),
                "{text}"
            );
            let code = if problem.is_empty() { 0 } else { 2 };
            ensure!(output.status.code() == Some(code), "{}", output.status);
            Ok(())
        })
        .await
    }
}
