//! Named flags that tasks raise, and the answer they add up to.

use std::fmt::Write;
use std::sync::{Arc, Weak};

use http::StatusCode;
use parking_lot::Mutex;

/// All flags of a program: it is ready when none is lowered.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    checks: Arc<Mutex<Vec<Weak<Check>>>>,
}

/// One task's say in readiness. Without it, after a drop, the task has none.
#[derive(Debug)]
pub struct Flag {
    check: Arc<Check>,
}

#[derive(Debug)]
struct Check {
    name: String,
    /// Missing condition; `None` when ready.
    missing: Mutex<Option<String>>,
}

impl Readiness {
    /// A new flag, lowered, for that reason.
    #[must_use]
    pub fn flag(&self, name: impl Into<String>, missing: impl Into<String>) -> Flag {
        let check = Arc::new(Check {
            name: name.into(),
            missing: Mutex::new(Some(missing.into())),
        });
        let mut checks = self.checks.lock();
        checks.retain(|it| it.strong_count() > 0);
        checks.push(Arc::downgrade(&check));
        Flag { check }
    }

    /// Returns whether every flag is raised.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let checks = self.checks.lock();
        let mut live = checks.iter().filter_map(Weak::upgrade);
        live.all(|check| check.missing.lock().is_none())
    }

    /// The status and body with which `/readyz` and its like answer.
    #[must_use]
    pub fn report(&self, endpoint: &str, verbose: bool) -> (StatusCode, String) {
        let (is_ready, mut lines) = self.lines();
        match (is_ready, verbose) {
            (true, false) => (StatusCode::OK, "ok".to_owned()),
            (true, true) => {
                let _ = writeln!(lines, "{endpoint} check passed");
                (StatusCode::OK, lines)
            }
            (false, _) => {
                let _ = writeln!(lines, "{endpoint} check failed");
                (StatusCode::INTERNAL_SERVER_ERROR, lines)
            }
        }
    }

    fn lines(&self) -> (bool, String) {
        let mut is_ready = true;
        let mut lines = "[+]ping ok\n".to_owned();
        for check in self.checks.lock().iter().filter_map(Weak::upgrade) {
            let _ = match &*check.missing.lock() {
                None => writeln!(lines, "[+]{} ok", check.name),
                Some(missing) => {
                    is_ready = false;
                    writeln!(lines, "[-]{} failed: {missing}", check.name)
                }
            };
        }
        (is_ready, lines)
    }
}

impl Flag {
    /// The task is ready.
    pub fn raise(&self) {
        *self.check.missing.lock() = None;
    }

    /// The task is not ready, for that reason.
    pub fn lower(&self, missing: impl Into<String>) {
        *self.check.missing.lock() = Some(missing.into());
    }

    /// Returns whether the flag is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.check.missing.lock().is_none()
    }
}

/// Returns whether the query of a probe has `verbose`, with any value.
#[must_use]
pub fn asks_for_details(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| pair.split('=').next() == Some("verbose"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_ready_when_every_flag_is_raised() {
        let readiness = Readiness::default();
        let services = readiness.flag("services", "not listed yet");
        let slices = readiness.flag("endpointslices", "not listed yet");
        services.raise();
        assert_eq!(
            readiness.report("readyz", false),
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "[+]ping ok\n[+]services ok\n[-]endpointslices failed: not listed yet\nreadyz check failed\n"
                    .to_owned()
            )
        );
        slices.raise();
        assert!(readiness.is_ready());
        assert_eq!(
            readiness.report("readyz", false),
            (StatusCode::OK, "ok".to_owned())
        );
        services.lower("the server is gone");
        assert!(!readiness.is_ready());
    }

    #[test]
    fn a_dropped_flag_has_no_say() {
        let readiness = Readiness::default();
        let flag = readiness.flag("source", "not listed yet");
        drop(flag);
        assert_eq!(
            readiness.report("readyz", true),
            (
                StatusCode::OK,
                "[+]ping ok\nreadyz check passed\n".to_owned()
            )
        );
    }

    #[test]
    fn details_are_asked_for_with_any_value() {
        for query in ["verbose", "verbose=", "verbose=false", "a=b&verbose=1"] {
            assert!(asks_for_details(Some(query)), "{query}");
        }
        for query in ["", "verbosely", "a=verbose"] {
            assert!(!asks_for_details(Some(query)), "{query}");
        }
        assert!(!asks_for_details(None));
    }
}
