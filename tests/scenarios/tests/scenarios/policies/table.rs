//! The table of cases.

use std::collections::BTreeMap;
use std::fs;

use anyhow::ensure;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::manifests::repository;

/// `gatekeeper/mirror-name/cases.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub(super) parameters: BTreeMap<String, Parameters>,
    pub(super) cases: Vec<Case>,
}

/// What the policy is told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Parameters {
    pub(super) prefixes: Vec<String>,
    pub(super) match_labels: Option<Labels>,
}

/// A request, and what is wrong with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) parameters: String,
    pub(super) operation: Operation,
    pub(super) service: String,
    pub(super) labels: Labels,
    #[serde(default)]
    pub(super) old_labels: Labels,
    /// By prefix, the names that are.
    pub(super) too_long: BTreeMap<String, String>,
    pub(super) ambiguous: bool,
}

pub(super) type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
}

pub(super) const AMBIGUOUS: &str = "could be taken for another Service";

impl Table {
    pub(super) fn read() -> anyhow::Result<Self> {
        let text = fs::read(repository("gatekeeper/mirror-name/cases.json"))?;
        let table: Self = serde_json::from_slice(&text)?;
        for case in &table.cases {
            let known = table.parameters.contains_key(&case.parameters);
            ensure!(known, "{}: no parameters {}", case.name, case.parameters);
        }
        Ok(table)
    }
}

impl Case {
    pub(super) fn key(&self) -> (&str, &str) {
        self.service
            .split_once('/')
            .unwrap_or(("demo", &self.service))
    }

    pub(super) fn object(&self, labels: &Labels) -> Value {
        let (namespace, name) = self.key();
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"namespace": namespace, "name": name, "labels": labels},
            "spec": {"ports": [{"port": 80}]},
        })
    }

    /// What must be said, each in a violation of its own.
    pub(super) fn complaints(&self) -> Vec<&str> {
        let too_long = self.too_long.values().map(String::as_str);
        too_long
            .chain(self.ambiguous.then_some(AMBIGUOUS))
            .collect()
    }
}
