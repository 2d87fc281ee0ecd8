//! Chromium without a screen, driven by its DevTools protocol over two pipes.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use base64::Engine;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::text;

const PATIENCE: Duration = Duration::from_secs(60);

/// Names of the program in the packages of distributions.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// A browser with one window. Ends when dropped.
pub(crate) struct Browser {
    process: Child,
    input: ChildStdin,
    answers: Receiver<Value>,
    n_calls: u64,
    session: Option<String>,
    complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

/// Returns the program, if there is one.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let files = NAMES
        .iter()
        .flat_map(|name| folders.iter().map(move |it| it.join(name)));
    files.into_iter().find(|it| it.is_file())
}

impl Browser {
    pub(crate) fn start(binary: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // Chromium reads commands from descriptor 3 and writes answers to descriptor 4.
        let line = "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null";
        let mut process = Command::new("sh")
            .args(["-c", line])
            .arg(binary)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
            ])
            .args([
                "--disable-dev-shm-usage",
                "--remote-debugging-pipe",
                "--no-first-run",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (
            process.stdin.take().unwrap(),
            process.stdout.take().unwrap(),
        );
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in BufReader::new(output).split(0).map_while(Result::ok) {
                let answer = serde_json::from_slice(&answer).unwrap();
                if sender.send(answer).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            process,
            input,
            answers,
            n_calls: 0,
            session: None,
            complaints: Vec::new(),
            _profile: profile,
        };
        browser.open_window();
        browser
    }

    fn open_window(&mut self) {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}));
        let target = text(&target, "targetId");
        let attach = json!({"targetId": target, "flatten": true});
        let attached = self.call("Target.attachToTarget", attach);
        self.session = Some(text(&attached, "sessionId"));
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(domain, json!({}));
        }
    }

    /// Sends a command, and returns its answer.
    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.n_calls += 1;
        let mut command = json!({"id": self.n_calls, "method": method});
        command["params"] = params;
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&command).unwrap();
        bytes.push(0);
        self.input.write_all(&bytes).unwrap();
        self.input.flush().unwrap();
        loop {
            let answer = self.answers.recv_timeout(PATIENCE);
            let answer = answer.unwrap_or_else(|it| panic!("no answer to {method}: {it}"));
            if answer["id"] == json!(self.n_calls) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.note(&answer);
        }
    }

    /// Remembers what the browser complains about: refused files, and errors of scripts.
    fn note(&mut self, event: &Value) {
        let entry = &event["params"]["entry"];
        let is_error = entry["level"] == json!("error");
        // The end of a stream of events is not an error of the page.
        let is_network = entry["source"] == json!("network");
        if (is_error && !is_network) || event["method"] == json!("Runtime.exceptionThrown") {
            self.complaints.push(event["params"].to_string());
        }
    }

    /// Returns what the browser complained about.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.complaints.clone()
    }

    /// Sets theme and size of the window.
    pub(crate) fn looks_like(&mut self, theme: &str, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Opens a page, and waits until it is live.
    #[track_caller]
    pub(crate) fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": url}));
        let is_live = "document.readyState === 'complete' && \
             document.getElementById('connection')?.dataset.state === 'live' && location.href";
        let started = Instant::now();
        while self.evaluate(is_live) != json!(url) {
            assert!(started.elapsed() < PATIENCE, "not live: {url}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Evaluates an expression in the page.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true,
            "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{answer}");
        answer["result"]["value"].clone()
    }

    /// Returns the window as PNG.
    pub(crate) fn screenshot(&mut self) -> Vec<u8> {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let engine = base64::engine::general_purpose::STANDARD;
        engine.decode(text(&answer, "data")).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
