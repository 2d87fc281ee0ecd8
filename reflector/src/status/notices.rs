//! Sentences of a status, the same on every surface: text, command line, page.

use super::{SOURCE_DISCONNECTED, Status};

/// Reason for which no plan is written.
pub const NO_WRITES: &str = "the local API server takes no writes; trying again";

/// Effect of an invalid configuration.
pub const REFUSED: &str = "the configuration changed and is wrong; the former one goes on";

/// Sources that have a sentence of their own.
const MAX_LINES: usize = 5;

/// A sentence about the process or a source as a whole; problems are about single objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `true` for a failure, `false` for a note.
    pub is_failure: bool,
    /// The sentence, without an end.
    pub text: String,
}

impl Status {
    /// Returns the notices beside tables and problems, the most urgent first.
    pub fn notices(&self) -> Vec<Notice> {
        let refused = self.configuration.refused.iter();
        let refused = refused.map(|why| format!("{}: {why}", capitalized(REFUSED)));
        let writes = self.write_error.iter();
        let writes = writes.map(|why| format!("{}: {why}", capitalized(NO_WRITES)));
        let clusters = self.cluster_set.iter().flat_map(|it| it.failures());
        let lease = self.lease_error.iter().map(|why| self.without_lease(why));
        let failures = lease.chain(self.lost()).chain(clusters);
        let failures = failures.chain(refused).chain(writes).map(|text| Notice {
            is_failure: true,
            text,
        });

        let unknown = self.sources.iter().filter_map(|it| {
            let why = it.cluster_unknown.as_deref()?;
            Some(format!(
                "Source {} does not tell which cluster it is: {why}",
                it.name
            ))
        });
        let is_standby = !self.leads && self.lease_error.is_none();
        let standby = is_standby.then(|| {
            let writer = self.writer.as_deref().unwrap_or("another replica");
            format!(
                "This replica is a standby: {writer} is the leader, and only it knows the problems \
                 of Services"
            )
        });
        let configured = self.configuration.notes.iter();
        let configured = configured.map(|note| format!("Configuration: {note}"));
        let others = unknown.chain(standby).chain(configured);
        let others = others.map(|text| Notice {
            is_failure: false,
            text,
        });
        failures.chain(others).collect()
    }

    /// Returns the effect of an unavailable Lease.
    fn without_lease(&self, why: &str) -> String {
        let why = capitalized(why);
        match (self.leads, &self.writer) {
            (true, _) => format!("{why}. This replica writes until its Lease ends"),
            (false, Some(writer)) => {
                format!("{why}. This replica does not write; {writer} was the last known leader")
            }
            (false, None) => format!("{why}. This replica does not write"),
        }
    }

    /// The sources that are not followed, in one sentence where there are many.
    fn lost(&self) -> Vec<String> {
        let lost = self.sources.iter().filter(|it| it.is_lost());
        let names: Vec<_> = lost.map(|it| it.name.as_str()).collect();
        if names.len() <= MAX_LINES {
            let lines = names
                .iter()
                .map(|name| format!("Source {name} is {SOURCE_DISCONNECTED}"));
            return lines.collect();
        }
        let shown = names[..MAX_LINES].join(", ");
        let n_more = names.len() - MAX_LINES;
        vec![format!(
            "Sources {shown} and {n_more} more are {SOURCE_DISCONNECTED}"
        )]
    }
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
