//! Files that are replaced while the program runs.
//!
//! Their content is compared, not their times: a mounted Secret or ConfigMap is changed by the
//! exchange of a link, and its files have old times.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::metrics::Metrics;

/// Interval in which files are checked; a kubelet updates a mounted file within about a minute.
const LOOK: Duration = Duration::from_secs(2);

/// Files that belong together, and what they held when they were last looked at.
///
/// Made before the files are used for the first time, so that no change is missed.
#[derive(Debug)]
pub struct Files {
    what: &'static str,
    paths: Vec<PathBuf>,
    /// `None` for one that could not be read.
    last: Vec<Option<Vec<u8>>>,
}

impl Files {
    /// Files, and what they are in logs and metrics.
    #[must_use]
    pub fn new(what: &'static str, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let paths: Vec<PathBuf> = paths.into_iter().collect();
        let mut files = Self {
            what,
            last: Vec::new(),
            paths,
        };
        files.has_changed();
        files
    }

    /// Returns whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    fn has_changed(&mut self) -> bool {
        let read = |path: &PathBuf| std::fs::read(path).ok();
        let now = self.paths.iter().map(read).collect();
        let is_same = self.last == now;
        self.last = now;
        !is_same
    }

    /// Reloads the files after every change, without end. An invalid content is logged and counted,
    /// and the former one stays in use.
    pub async fn follow<E: std::error::Error>(
        mut self,
        metrics: Arc<Metrics>,
        mut load: impl FnMut() -> Result<(), E>,
    ) {
        let what = self.what;
        loop {
            tokio::time::sleep(LOOK).await;
            if !self.has_changed() {
                continue;
            }
            let loaded = load();
            metrics.reloaded(what, loaded.is_ok());
            match loaded {
                Ok(()) => info!(what, "changed files are in use"),
                Err(why) => warn!(what, %why, "changed files cannot be used, the old are kept"),
            }
        }
    }
}
