//! Questions to the controller of the clusterset.

use proto_types::ObjectKey;
use reflector_clusterset::ImportExplanation;
use tokio::sync::oneshot;

use crate::status::{ClusterSetStatus, ProblemStatus};

/// Question to the controller of the clusterset.
#[derive(Debug)]
pub(crate) enum Question {
    /// Status of the clusterset, and its problems.
    Status(oneshot::Sender<(ClusterSetStatus, Vec<ProblemStatus>)>),
    /// Explanation of an import; `None` while the local cluster is not listed.
    Explain(ObjectKey, oneshot::Sender<Option<ImportExplanation>>),
}
