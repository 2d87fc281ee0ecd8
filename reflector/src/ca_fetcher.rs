//! CAs that are fetched from a URL, as semaphore-service-mirror did: repeatedly, so that a rotation
//! needs no restart. A source waits for its own CA, and does not delay others.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use http::Uri;
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use runtime::{Access, Network};
use tempfile::TempDir;
use tokio::sync::watch;
use tracing::debug;

use crate::watch_target::{Progress, RETRY};

/// One source's authority.
pub(crate) struct Authority {
    url: Uri,
    file: PathBuf,
    progress: watch::Sender<Progress>,
    _directory: TempDir,
}

// A new authority is published well before it is needed.
const REFRESH: Duration = Duration::from_mins(1);
// While the cluster's certificate does not match, the right authority may come at any time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);
// A bundle of the whole web's authorities has a quarter of that.
const MAX_BYTES: usize = 1 << 20;

/// Creates a directory that no other user can write to.
fn directory() -> anyhow::Result<TempDir> {
    let created = TempDir::with_prefix("heliograph-");
    created.with_context(|| {
        let parent = std::env::temp_dir();
        format!("cannot write to {}: mount a volume there", parent.display())
    })
}

impl Authority {
    /// The one at a URL, and how far it is.
    pub(crate) fn new(url: Uri) -> anyhow::Result<(Self, watch::Receiver<Progress>)> {
        let directory = directory()?;
        let (progress, receiver) = watch::channel(Progress::Began);
        let authority = Self {
            url,
            file: directory.path().join("ca.pem"),
            progress,
            _directory: directory,
        };
        Ok((authority, receiver))
    }

    /// Returns the path of the file, which exists as long as this value does.
    pub(crate) fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// Fetches again and again, and opens the way that needs it.
    pub(crate) async fn run(self, access: Access) {
        // What the cluster needs to be reached, its authority needs too.
        let proxy = match &access {
            Access::Url { proxy, .. } => proxy.as_deref(),
            Access::InCluster
            | Access::Kubeconfig { .. }
            | Access::InlineKubeconfig { .. }
            | Access::Provided { .. } => None,
        };
        let mut has_it = false;
        let mut delay = FIRST_RETRY;
        loop {
            let fetched = tokio::time::timeout(TIMEOUT, self.fetch(proxy)).await;
            let fetched = fetched.map_err(anyhow::Error::from).flatten();
            match fetched {
                Ok(()) if has_it => {}
                Ok(()) => {
                    let now = Progress::of(&Network::System, &access).await;
                    has_it = matches!(now, Progress::Open(_));
                    self.progress.send_replace(now);
                }
                // What was fetched before still holds.
                Err(error) if has_it => {
                    let why = runtime::reasons(error.as_ref());
                    debug!(url = %self.url, why, "not fetched again");
                }
                Err(error) => {
                    let error = runtime::reasons(error.as_ref());
                    let why = format!("cannot fetch its authority from {}: {error}", self.url);
                    self.progress.send_replace(Progress::Failed(why));
                }
            }
            if !has_it {
                tokio::time::sleep(RETRY).await;
                continue;
            }
            if self.is_trusted(&access).await {
                delay = FIRST_RETRY;
                self.until_refresh(&access).await;
            } else {
                debug!(url = %self.url, "the fetched authority is not that of the cluster");
                tokio::time::sleep(delay).await;
                delay = (2 * delay).min(REFRESH);
            }
        }
    }

    /// Waits until it is time to fetch again, or until the cluster has another certificate.
    async fn until_refresh(&self, access: &Access) {
        let until = tokio::time::Instant::now() + REFRESH;
        loop {
            tokio::time::sleep(RETRY).await;
            if until <= tokio::time::Instant::now() || !self.is_trusted(access).await {
                return;
            }
        }
    }

    /// Returns whether the cluster's certificate matches. One that cannot be reached may match.
    async fn is_trusted(&self, access: &Access) -> bool {
        let request = http::Request::get("/version").body(Body::empty());
        let (Ok(client), Ok(request)) =
            (runtime::connect(access, crate::USER_AGENT).await, request)
        else {
            return true;
        };
        match tokio::time::timeout(TIMEOUT, client.send(request)).await {
            Ok(Err(error)) => !runtime::client::is_untrusted(&error),
            Ok(Ok(_)) | Err(_) => true,
        }
    }

    async fn fetch(&self, proxy: Option<&Uri>) -> anyhow::Result<()> {
        let mut parts = self.url.clone().into_parts();
        let path = parts.path_and_query.replace("/".parse()?);
        let access = Access::Url {
            url: Uri::from_parts(parts)?,
            authority: None,
            token: None,
            identity: None,
            proxy: proxy.cloned().map(Box::new),
        };
        let client = runtime::connect(&access, crate::USER_AGENT).await?;
        let path = path.map_or("/".to_owned(), |it| it.to_string());
        let request = http::Request::get(path).body(Body::empty())?;
        let response = client.send(request).await?;
        let code = response.status();
        let body = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        ensure!(code.is_success(), "the server answered {code}");
        ensure!(
            body.windows(10).any(|it| it == b"-----BEGIN"),
            "what the server answered is not in PEM format"
        );
        store(&self.file, &body)
    }
}

/// Replaces a file as a whole; no watcher sees half of it.
fn store(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    if fs::read(file).is_ok_and(|it| it == content) {
        return Ok(());
    }
    let new = file.with_extension("new");
    let mut writer = fs::File::create(&new)?;
    writer.write_all(content)?;
    writer.sync_all()?;
    Ok(fs::rename(&new, file)?)
}
