//! Questions to the controller of the clusterset.

use proto_types::ObjectKey;
use reflector_clusterset::ImportExplanation;
use tokio::sync::oneshot;

use crate::status::{ClusterSetStatus, HeldStatus, ProblemStatus};

/// Status of the clusterset, with the parts that stand beside those of mirrors.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: ClusterSetStatus,
    pub(crate) held: Vec<HeldStatus>,
    pub(crate) problems: Vec<ProblemStatus>,
}

/// Question to the controller of the clusterset.
#[derive(Debug)]
pub(crate) enum Question {
    /// Status of the clusterset.
    Status(oneshot::Sender<Answered>),
    /// Explanation of an import; `None` while the local cluster is not listed.
    Explain(ObjectKey, oneshot::Sender<Option<ImportExplanation>>),
}
