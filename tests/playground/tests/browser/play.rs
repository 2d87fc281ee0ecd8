//! A playground with its page, and changes of its first source.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// A zone that is an element if it is not escaped.
pub(crate) const HOSTILE: &str = "<img src=x onerror=window.owned=1>";

const NAMESPACE: &str = "demo";

/// A playground. Ends when dropped.
pub(crate) struct Playground {
    process: Child,
    /// Address of the reflector's page.
    pub(crate) page: String,
    kubeconfig: PathBuf,
    /// Another emitter of the first source, whose page has a known address.
    emitter: Child,
    emitter_page: String,
    runtime: tokio::runtime::Runtime,
}

impl Playground {
    pub(crate) fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_playground"))
            .args(["--plain", "--churn", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = process.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let mut after = |mark: &str| {
            let found = lines.find_map(|it| Some(it.split_once(mark)?.1.trim().to_owned()));
            found.unwrap_or_else(|| panic!("the playground does not print {mark}"))
        };
        let page = after("page: ");
        let kubeconfig = PathBuf::from(after("export KUBECONFIG="));
        // It goes on printing, and would stop if nobody read.
        std::thread::spawn(move || lines.for_each(drop));
        let [port, admin] = [(); 2].map(|()| control_plane::free_port().unwrap());
        let emitter = Command::new(env!("CARGO_BIN_EXE_playground"))
            .args([
                "emitter",
                "--context=east",
                "--selector=heliograph.dev/export=true",
            ])
            .arg(format!("--kubeconfig={}", kubeconfig.display()))
            .args(["--insecure-bind-address=127.0.0.1", "--secure-port=0"])
            .arg(format!("--insecure-port={port}"))
            .arg(format!("--admin-bind-address=127.0.0.1:{admin}"))
            .spawn()
            .unwrap();
        Self {
            process,
            page,
            kubeconfig,
            emitter,
            emitter_page: format!("http://127.0.0.1:{admin}/"),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    /// Address of an emitter's page.
    pub(crate) fn emitter_page(&self) -> String {
        self.emitter_page.clone()
    }

    async fn source(&self) -> kube::Client {
        let access = runtime::Access::Kubeconfig {
            path: self.kubeconfig.clone(),
            context: Some("east".to_owned()),
        };
        runtime::connect(&access, "browser-test").await.unwrap()
    }

    /// Exports a Service of the first source.
    pub(crate) fn exports(&self, name: &str) {
        self.runtime.block_on(async {
            let services: Api<Service> = Api::namespaced(self.source().await, NAMESPACE);
            let service = json!({
                "metadata": {"name": name, "labels": {"heliograph.dev/export": "true"}},
                "spec": {"ports": [{"name": "http", "port": 80}]},
            });
            let service: Service = serde_json::from_value(service).unwrap();
            services
                .create(&PostParams::default(), &service)
                .await
                .unwrap();
        });
    }

    /// Gives the endpoints of Service web a zone that is not harmless, and waits for it.
    pub(crate) fn exports_hostile_names(&self) {
        self.runtime.block_on(async {
            let slices: Api<EndpointSlice> = Api::namespaced(self.source().await, NAMESPACE);
            // Dated, as an endpoint controller does: the page has a time of propagation.
            let now = k8s_openapi::jiff::Timestamp::now().to_string();
            let zones = json!({
                "metadata": {"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": now}},
                "endpoints": [
                    {"addresses": ["10.99.0.1"], "zone": HOSTILE, "conditions": {"ready": true}},
                    {"addresses": ["10.99.0.2"], "zone": "b", "conditions": {"ready": false}},
                ],
            });
            let params = PatchParams::default();
            slices
                .patch("web-1", &params, &Patch::Merge(zones))
                .await
                .unwrap();
        });
        std::thread::sleep(Duration::from_secs(1));
    }
}

impl Drop for Playground {
    fn drop(&mut self) {
        let _ = self.emitter.kill();
        let _ = self.emitter.wait();
        // It removes its processes and files when it is told to end.
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
    }
}
