//! One line of a check: what was looked at, what was found, and the remedy.

use std::fmt::Write;

use serde::Serialize;

use crate::output::{Mark, Printer, one_line};

/// Result of one check, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Finding {
    /// Name of the check.
    pub(crate) check: &'static str,
    /// Result.
    #[serde(rename = "result")]
    pub(crate) mark: Mark,
    /// Sentence that names the object.
    pub(crate) message: String,
    /// Action that helps; empty where nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) remedy: String,
    /// Page with more about it, below `docs/`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) page: String,
}

impl Finding {
    /// Nothing to do.
    pub(crate) fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            mark: Mark::Ok,
            message: message.into(),
            remedy: String::new(),
            page: String::new(),
        }
    }

    /// A warning, which is no failure.
    pub(crate) fn warning(
        check: &'static str,
        message: impl Into<String>,
        (remedy, page): (&str, &str),
    ) -> Self {
        Self {
            mark: Mark::Warning,
            remedy: remedy.to_owned(),
            page: page.to_owned(),
            ..Self::ok(check, message)
        }
    }

    /// Something to repair.
    pub(crate) fn failed(
        check: &'static str,
        message: impl Into<String>,
        (remedy, page): (&str, &str),
    ) -> Self {
        Self {
            mark: Mark::Failed,
            ..Self::warning(check, message, (remedy, page))
        }
    }
}

/// Text of findings: a line each, remedies below.
pub(crate) fn text(findings: &[Finding], printer: &Printer) -> String {
    let mut text = String::new();
    for it in findings {
        let mark = printer.paint.mark(it.mark);
        let _ = writeln!(text, "{mark} {}: {}", it.check, one_line(&it.message));
        if !it.remedy.is_empty() {
            let _ = writeln!(text, "    Remedy: {}", one_line(&it.remedy));
        }
        if !it.page.is_empty() {
            let _ = writeln!(text, "    See docs/{}", it.page);
        }
    }
    let count = |mark| findings.iter().filter(|it| it.mark == mark).count();
    let (ok, warnings, failed) = (count(Mark::Ok), count(Mark::Warning), count(Mark::Failed));
    let _ = writeln!(text, "{ok} ok, {warnings} warnings, {failed} failed");
    text
}

#[cfg(test)]
mod tests {
    use super::{Finding, text};
    use crate::args::Output;
    use crate::output::{Paint, Printer};

    #[test]
    fn a_finding_is_a_line_with_its_remedy() {
        let findings = [
            Finding::ok("versions", "all are 0.1.0"),
            Finding::failed("ranges", "a\u{1b}b", ("renumber", "install.md")),
        ];
        let (output, paint) = (Output::Text, Paint::Plain);
        let text = text(&findings, &Printer { output, paint });
        let wanted = "✓ versions: all are 0.1.0\n✗ ranges: a\\u{1b}b\n    Remedy: renumber\n    \
            See docs/install.md\n1 ok, 0 warnings, 1 failed\n";
        assert_eq!(text, wanted);
        let json = serde_json::to_value(&findings).unwrap();
        assert_eq!(json[1]["result"], "failed");
        assert!(json[0].get("remedy").is_none());
    }
}
