//! Whose flags they are: the same flag may mean more where another program had it.

use proto_types::LabelSelector;

use super::Error;

/// Whose flags were typed.
#[derive(Debug, Default)]
pub(crate) enum Spelling {
    /// This program's.
    #[default]
    Ours,
    /// service-reflector's; whoever spells as it did is served as it served.
    ServiceReflector {
        /// Whether no flag of ours stands among them.
        is_whole: bool,
        /// What people should know of flags that do nothing here.
        notes: Vec<String>,
    },
}

impl Spelling {
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

    /// What is exported if no selector is said: as service-reflector did, if nothing shows
    /// that somebody means another program.
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
