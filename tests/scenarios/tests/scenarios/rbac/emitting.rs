//! All that an emitter does, with the rights that it has at the time.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use control_plane::Keeper;
use serde_json::{Value, json};

use super::{Account, Run, is_ready, within};
use crate::lab::{Cluster, EXPORT, Lab, Program, free_port, get, program};
use crate::manifests::flags;

const AUTHORITY: &str = "/api/v1/namespaces/heliograph/configmaps/heliograph-emitter-ca";

/// An emitter in `east`.
pub(super) struct Emitting<'a> {
    lab: &'a Lab,
    east: &'a Cluster,
    kubeconfig: PathBuf,
    flags: Vec<String>,
    certificates: PathBuf,
}

impl<'a> Emitting<'a> {
    pub(super) async fn prepare(
        lab: &'a Lab,
        account: &Account<'a>,
        keeper: &Keeper,
    ) -> anyhow::Result<Self> {
        let east = account.cluster;
        // Consumers are another test's.
        let places = [
            "--admin-bind-address",
            "--insecure-port",
            "--secure-port",
            "--cert-dir",
            "--access-config",
        ];
        Ok(Self {
            lab,
            east,
            kubeconfig: account.kubeconfig(keeper).await?,
            flags: flags(east, "emitter", &places).await?,
            certificates: keeper.directory().join("certificates"),
        })
    }

    pub(super) async fn works(&self, run: Run) -> anyhow::Result<()> {
        self.forget_authority().await?;
        let port = free_port()?;
        let mut command = Command::new(program("emitter")?);
        command
            .args(&self.flags)
            .args(["--anonymous-auth", "--insecure-bind-address=127.0.0.1"])
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--secure-port={}", free_port()?))
            .arg(format!("--insecure-port={port}"))
            .arg("--cert-dir")
            .arg(&self.certificates)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig);
        let emitter = self.lab.start(&run.name, command, Some(port))?;
        let outcome = self.exercise(&emitter, run.patience).await;
        emitter.kill().await?;
        outcome
    }

    /// Empties what the emitter has filled, so that it does it again.
    async fn forget_authority(&self) -> anyhow::Result<()> {
        let nothing = r#"{"data":null}"#;
        for secret in ["heliograph-emitter-ca", "heliograph-emitter-ca-next"] {
            let path = format!("/api/v1/namespaces/heliograph/secrets/{secret}");
            self.east.patch(&path, nothing).await?;
        }
        self.east.patch(AUTHORITY, nothing).await
    }

    async fn exercise(&self, emitter: &Program, patience: Duration) -> anyhow::Result<()> {
        is_ready(patience, emitter).await?;
        for document in ["/version", "/openapi/v3"] {
            let answer = get(&emitter.url, document).await?;
            ensure!(!answer.contains("\"Failure\""), "{document}: {answer}");
        }
        within(patience, "its CA certificates are published", async || {
            let map = self.east.read(AUTHORITY).await?;
            let published = map["data"]["ca.crt"].as_str().unwrap_or_default();
            ensure!(published.matches("BEGIN").count() == 2, "{map}");
            Ok(())
        })
        .await?;
        let system = "/api/v1/namespaces/kube-system";
        within(patience, "it tells which cluster it is", async || {
            let answer: Value = serde_json::from_str(&get(&emitter.url, system).await?)?;
            let uid = &answer["metadata"]["uid"];
            ensure!(uid.is_string(), "{answer}");
            let upstream = self.east.read(system).await?;
            ensure!(*uid == upstream["metadata"]["uid"], "{answer}");
            Ok(())
        })
        .await?;
        let core = "/api/v1/namespaces/default";
        let discovery = "/apis/discovery.k8s.io/v1/namespaces/default";
        let object = |more: Value| {
            let mut object = json!({"metadata": {"name": "seen", "labels": {EXPORT: "true"}}});
            if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
                object.extend(more);
            }
            object.to_string()
        };
        for (collection, more) in [
            (
                format!("{core}/services"),
                json!({"spec": {"ports": [{"port": 80}]}}),
            ),
            (format!("{core}/endpoints"), json!({"subsets": []})),
            (
                format!("{discovery}/endpointslices"),
                json!({"addressType": "IPv4", "endpoints": []}),
            ),
        ] {
            self.east.post(&collection, &object(more)).await?;
            let what = format!("{collection} has it");
            let seen = within(patience, &what, async || {
                let answer = get(&emitter.url, &collection).await?;
                ensure!(answer.contains("\"seen\""), "{answer}");
                Ok(())
            });
            let seen = seen.await;
            self.east.delete(&format!("{collection}/seen")).await?;
            seen?;
        }
        // A list now and then would also find everything, only later.
        let failures = emitter
            .metric("heliograph_emitter_upstream_failures_total", "")
            .await?;
        ensure!(failures == 0.0, "the API server was lost {failures} times");
        Ok(())
    }
}
