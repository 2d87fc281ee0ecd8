//! Services that may choose the name of their mirror.

use proto_types::label;
use proto_types::name::DnsLabel;

use super::{Policy, Rank, names};
use crate::import::ImportViolation;
use crate::mirror::Role;
use crate::name::{Aliases, RESERVED_PREFIX};
use crate::source::ServiceContent;

impl Policy {
    /// The name that a Service chose for its mirror, if it did; else why it cannot have
    /// it.
    pub(crate) fn alias(
        &self,
        rank: Rank,
        service: &ServiceContent,
    ) -> Result<Option<DnsLabel>, ImportViolation> {
        let alias = service.annotations.get(label::ALIAS);
        let (Some(alias), Role::Mirror) = (alias, self.role(rank)) else {
            return Ok(None);
        };
        let refused = |why| ImportViolation::Alias {
            alias: alias.into(),
            why,
        };
        match self.source(rank).naming.aliases {
            Aliases::Ignored => Err(refused("naming.allowAliases is not set for the source")),
            Aliases::Followed => {
                let parsed = alias.parse().ok().filter(DnsLabel::begins_with_letter);
                let alias = parsed.ok_or_else(|| refused("it is not the name of a Service"))?;
                if self.is_others(rank, &alias) {
                    return Err(refused("names of other mirrors begin so"));
                }
                Ok(Some(alias))
            }
        }
    }

    /// Returns whether a name begins as those of another source's mirrors do.
    fn is_others(&self, rank: Rank, alias: &DnsLabel) -> bool {
        let begins = |stem: &str| {
            let rest = alias.as_str().strip_prefix(stem);
            rest.is_some_and(|it| it.is_empty() || it.starts_with('-'))
        };
        let others = self.sources().iter().enumerate();
        let others = others.filter(|(i, _)| *i != rank.index());
        let mut stems = others.filter_map(|(_, it)| names::stem(it).ok().flatten());
        begins(RESERVED_PREFIX) || stems.any(|it| begins(it.as_str()))
    }
}
