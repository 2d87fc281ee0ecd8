//! The order of the members of a global Service. Where they differ, the first one decides.
//!
//! 1. Clusters that the configuration names, in its order.
//! 2. Members that the global Service was written with, in the order of that time: a member
//!    that joins later cannot outrank them, whatever age it claims.
//! 3. The others by age, as each reports its own, then by name. A text that is no time of an
//!    API server is no age.

use proto_types::label;

use crate::mirror::{GLOBAL_CLUSTERS, MirrorService, Observed};
use crate::name::SourceName;
use crate::policy::Policy;

use super::record;

/// Order of the members of one global Service.
pub(super) struct Order<'a> {
    configured: &'a [SourceName],
    recorded: Vec<Box<str>>,
    /// Names of members whose order was not written down.
    seen: Vec<&'a str>,
}

/// Sort key of members; the least is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SortKey<'a> {
    configured: usize,
    recorded: usize,
    seen: FirstSeen,
    has_no_age: bool,
    created: Option<&'a str>,
    name: &'a SourceName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FirstSeen {
    Before,
    Never,
}

impl<'a> Order<'a> {
    /// Order by the configuration, and by what is written on the global Service.
    pub(super) fn of(policy: &'a Policy, observed: Option<&'a Observed<MirrorService>>) -> Self {
        // While workloads move, members that the operator trusts with that decide by age.
        let observed = observed.filter(|_| !policy.is_by_mode());
        let shows = observed.and_then(|it| it.shows.as_ref());
        let annotation = |name: &str| shows.and_then(|it| it.marks.annotations.get(name));
        let record = annotation(label::MEMBERS);
        let seen = annotation(GLOBAL_CLUSTERS).into_iter();
        Self {
            configured: policy.global().map_or(&[], |it| &it.precedence),
            recorded: record.map(record::clusters).unwrap_or_default(),
            seen: seen.flat_map(|it| it.split(',')).collect(),
        }
    }

    /// Returns the place of a member.
    pub(super) fn place<'m>(&self, name: &'m SourceName, created: Option<&'m str>) -> SortKey<'m> {
        let created = created.filter(|it| is_time(it));
        let position = |mut names: Box<dyn Iterator<Item = &str> + '_>| {
            let position = names.position(|it| it == name.as_str());
            position.unwrap_or(usize::MAX)
        };
        let is_seen = self.seen.iter().any(|it| *it == name.as_str());
        SortKey {
            configured: position(Box::new(self.configured.iter().map(SourceName::as_str))),
            recorded: position(Box::new(self.recorded.iter().map(|it| &**it))),
            seen: if is_seen {
                FirstSeen::Before
            } else {
                FirstSeen::Never
            },
            has_no_age: created.is_none(),
            created,
            name,
        }
    }
}

/// Returns whether a text is a time as API servers write it, such as
/// `2026-01-31T12:00:00Z`: texts of that one form order as the times do.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(form, byte): (&u8, u8)| match form {
        b'd' => byte.is_ascii_digit(),
        other => *other == byte,
    };
    text.len() == FORM.len() && FORM.iter().zip(text.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn only_what_an_api_server_writes_is_an_age() {
        assert!(is_time("2026-01-31T12:00:00Z"));
        for text in [
            "",
            "0",
            "!",
            "2026-01-31",
            "2026-01-31T12:00:00+00:00",
            "-026-01-31T12:00:00Z",
        ] {
            assert!(!is_time(text), "{text}");
        }
    }
}
