//! A client that is made again when what it was made of changes.
//!
//! Nothing runs for it: a request looks whether the files are still those, and at most once a
//! second. An open watch continues; what follows it uses what is there then.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::service_fn;
use tracing::{info, warn};

use super::{Access, Made};
use crate::files::content;

// Reading a few files is cheap, but not next to each of a thousand writes a second.
const LOOK: Duration = Duration::from_secs(1);
// A plugin may take seconds, and its output may stay the same.
const ASK_AGAIN: Duration = Duration::from_secs(10);
// What cannot be used now can be in a moment, if at all.
const PAUSE: Duration = Duration::from_secs(5);

/// Settings to create a client again.
pub(super) struct Renewing {
    access: Access,
    user_agent: HeaderValue,
    now: Mutex<Now>,
}

struct Now {
    client: Client,
    files: Vec<PathBuf>,
    /// Hash of the content of the files.
    content: u64,
    looked: Instant,
    made: Instant,
    /// `true` if the server does not accept the credentials.
    is_refused: bool,
}

impl Renewing {
    pub(super) fn new(access: Access, user_agent: HeaderValue, made: Made) -> Self {
        let Made { client, files } = made;
        let now = Instant::now();
        Self {
            access,
            user_agent,
            now: Mutex::new(Now {
                client,
                content: content(&files),
                files,
                looked: now,
                made: now,
                is_refused: false,
            }),
        }
    }

    pub(super) fn into_client(self) -> Client {
        let namespace = self.now.lock().client.default_namespace().to_owned();
        let this = Arc::new(self);
        let service = service_fn(move |request| {
            let this = Arc::clone(&this);
            async move { this.send(request).await }
        });
        Client::new(service, namespace)
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        if let Some(content) = self.changed_hash() {
            self.renew(content).await;
        }
        let client = self.now.lock().client.clone();
        let response = client.send(request).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            self.now.lock().is_refused = true;
        }
        Ok(response)
    }

    /// Returns the hash of the files, if a new client is needed.
    fn changed_hash(&self) -> Option<u64> {
        let mut now = self.now.lock();
        if now.looked.elapsed() < LOOK {
            return None;
        }
        now.looked = Instant::now();
        let content = content(&now.files);
        let has_changed = content != now.content;
        // A plugin may have other credentials by now.
        let asks_again = now.is_refused && ASK_AGAIN <= now.made.elapsed();
        (has_changed || asks_again).then_some(content)
    }

    async fn renew(&self, content: u64) {
        let access = &self.access;
        let made = Made::of(access, &self.user_agent).await;
        let mut now = self.now.lock();
        now.made = Instant::now();
        now.is_refused = false;
        match made {
            Ok(Made { client, files }) => {
                if content != now.content {
                    info!(%access, "credentials changed: read again");
                }
                // Should a file have changed in the meantime, the next look sees it.
                now.content = if files == now.files { content } else { 0 };
                now.client = client;
                now.files = files;
            }
            // Half of it may be written by now; the rest is seen by the next look.
            Err(error) => {
                let why = crate::reasons(&error);
                warn!(%access, why, "credentials changed and cannot be used; the former ones are");
                now.looked += PAUSE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;
    use crate::client::connect;
    use crate::mock_server::{Answer, MockServer};

    struct Lab {
        directory: tempfile::TempDir,
        server: MockServer,
        client: Client,
    }

    impl Lab {
        /// A client by a kubeconfig with that user.
        async fn new(answers: Vec<Answer>, user: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let server = MockServer::start(answers).await;
            let path = directory.path().join("config");
            write(
                &path,
                &server,
                &user.replace("DIR", path.parent().unwrap().to_str().unwrap()),
            );
            let access = Access::Kubeconfig {
                path,
                context: None,
            };
            let client = connect(&access, "test").await.unwrap();
            Self {
                directory,
                server,
                client,
            }
        }

        fn user_becomes(&self, user: &str) {
            write(&self.directory.path().join("config"), &self.server, user);
        }

        /// Sends a request, and returns its client.
        async fn ask(&self) -> String {
            let request = Request::get("/").body(Body::empty()).unwrap();
            self.client.send(request).await.unwrap();
            let heads = self.server.requests();
            let mut lines = heads.last().unwrap().lines();
            let line = lines.find_map(|it| it.strip_prefix("authorization: Bearer "));
            line.unwrap_or_default().to_owned()
        }
    }

    fn write(path: &Path, server: &MockServer, user: &str) {
        let server = server.url("");
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: a, contexts: [{{name: a, context: \
             {{cluster: a, user: a}}}}], clusters: [{{name: a, cluster: {{server: '{server}'}}}}], \
             users: [{{name: a, user: {user}}}]}}"
        );
        std::fs::write(path, text).unwrap();
    }

    fn answers(n: usize) -> Vec<Answer> {
        (0..n).map(|_| Answer::ok("{}")).collect()
    }

    async fn pass(time: Duration) {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    }

    #[tokio::test]
    async fn a_kubeconfig_is_read_again_when_it_changed() {
        let lab = Lab::new(answers(4), "{token: first}").await;
        assert_eq!(lab.ask().await, "first");
        lab.user_becomes("{token: second}");
        assert_eq!(lab.ask().await, "first", "not with each request");
        pass(LOOK).await;
        assert_eq!(lab.ask().await, "second");

        lab.user_becomes("{token: [half");
        pass(LOOK).await;
        assert_eq!(
            lab.ask().await,
            "second",
            "what cannot be read changes nothing"
        );
    }

    #[tokio::test]
    async fn a_kubeconfigs_token_file_may_end_with_a_line_break() {
        let lab = Lab::new(Vec::new(), "{}").await;
        let token = lab.directory.path().join("token");
        std::fs::write(&token, "first\n").unwrap();
        let lab = Lab::new(answers(2), &format!("{{tokenFile: {}}}", token.display())).await;
        assert_eq!(lab.ask().await, "first");
        std::fs::write(&token, "second\n").unwrap();
        assert_eq!(lab.ask().await, "second");
    }

    #[tokio::test]
    async fn a_plugin_is_asked_again_when_its_token_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (plugin, token) = (directory.path().join("plugin"), directory.path().join("t"));
        let credential = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'$(cat TOKEN)'"}}"#;
        let credential = credential.replace("TOKEN", token.to_str().unwrap());
        std::fs::write(&plugin, format!("#!/bin/sh\necho '{credential}'\n")).unwrap();
        std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(&token, "first").unwrap();

        let refused = Answer::refusal("401 Unauthorized", "");
        let answers = vec![refused, Answer::ok("{}")];
        let exec = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: PLUGIN, \
                    interactiveMode: Never}}";
        let lab = Lab::new(answers, &exec.replace("PLUGIN", plugin.to_str().unwrap())).await;
        std::fs::write(&token, "second").unwrap();
        assert_eq!(lab.ask().await, "first");
        pass(ASK_AGAIN).await;
        assert_eq!(lab.ask().await, "second");
    }
}
