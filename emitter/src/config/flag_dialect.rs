//! Dialect of the flags: a flag can have another meaning in a predecessor.

use proto_types::LabelSelector;

use super::Error;

/// Program for which the flags were written.
#[derive(Debug, Default)]
pub(crate) enum FlagDialect {
    /// This program's.
    #[default]
    Ours,
    /// The flags of service-reflector, which get its defaults.
    ServiceReflector {
        /// `true` if no flag of this program is among them.
        is_whole: bool,
        /// Warnings about flags without effect.
        notes: Vec<String>,
    },
}

impl FlagDialect {
    /// Returns what labels export; nothing where ServiceExports alone decide.
    pub(super) fn selector(
        &mut self,
        selector: Option<LabelSelector>,
        service_exports: bool,
    ) -> Result<Option<LabelSelector>, Error> {
        match selector.filter(|it| !it.is_empty()) {
            None if !service_exports => self.everything().map(Some),
            selector => Ok(selector),
        }
    }

    /// Returns the selector of an export without `--selector`: everything, as service-reflector
    /// did, if no flag is one of this program alone.
    fn everything(&mut self) -> Result<LabelSelector, Error> {
        match self {
            Self::ServiceReflector {
                is_whole: true,
                notes,
            } => {
                notes.push(
                    "--emitter.selector is missing, and so everything is exported, as \
                     service-reflector did; name the label that exported objects carry"
                        .to_owned(),
                );
                Ok(LabelSelector::default())
            }
            Self::Ours | Self::ServiceReflector { .. } => Err(Error::EmptySelector),
        }
    }

    pub(super) fn notes(self) -> Vec<String> {
        match self {
            Self::Ours => Vec::new(),
            Self::ServiceReflector { notes, .. } => notes,
        }
    }
}
