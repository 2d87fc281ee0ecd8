//! Modes of Services while a workload moves from one cluster to another.

use proto_types::label;

use crate::problem::ProblemCause;
use crate::source::ServiceContent;

/// Role of a Service while a workload moves, as the annotation `vmware.com/syndicate-mode` states
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SyndicateMode {
    /// No annotation.
    #[default]
    Plain,
    /// Serves together with the others.
    Union,
    /// Destination of the workload.
    Source,
    /// Origin of the workload.
    Receiver,
    /// Not replicated.
    Singular,
}

impl SyndicateMode {
    /// Reads the value of the annotation; returns `None` for an unknown one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let all = [Self::Union, Self::Source, Self::Receiver, Self::Singular];
        all.into_iter().find(|it| it.as_str() == text)
    }

    /// Returns the value of the annotation.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Union => "union",
            Self::Source => "source",
            Self::Receiver => "receiver",
            Self::Singular => "singular",
        }
    }

    /// Returns whether others may serve beside it.
    pub(super) const fn shares(self) -> bool {
        matches!(self, Self::Union | Self::Source | Self::Receiver)
    }

    /// Returns whether it is handed over to a source that serves.
    pub(super) const fn yields(self) -> bool {
        matches!(self, Self::Union | Self::Receiver)
    }
}

/// Returns the mode of a Service, or the unknown value of its annotation.
pub(super) fn mode_of(content: &ServiceContent) -> Option<Result<SyndicateMode, Box<str>>> {
    let text = content.annotations.get(label::SYNDICATE_MODE);
    let text = text.filter(|it| !it.is_empty())?;
    Some(SyndicateMode::parse(text).ok_or_else(|| text.into()))
}

/// Returns the mode of a member. An unknown value is reported and counts as none.
pub(super) fn mode_or_plain(
    content: &ServiceContent,
    tell: impl FnOnce(ProblemCause),
) -> SyndicateMode {
    match mode_of(content) {
        None => SyndicateMode::Plain,
        Some(Ok(mode)) => mode,
        Some(Err(value)) => {
            tell(ProblemCause::InvalidSyndicateMode { value });
            SyndicateMode::Plain
        }
    }
}
