//! Changes to objects, their writes, and the report about them.

use std::fmt::Write;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Writes};
use crate::output::{Mark, Printer, one_line, yaml};

/// An object as it is, and as it is to be.
pub(crate) struct Changed {
    cluster: Cluster,
    /// Path of the object.
    path: String,
    before: Value,
    /// As it is to be.
    pub(crate) after: Value,
    /// Purposes of the change.
    what: Vec<String>,
}

/// Completed changes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    dry_run: bool,
    changes: Vec<Done>,
    /// Notes for the operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// Command to run next.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) next: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    cluster: String,
    object: String,
    what: String,
    action: &'static str,
    manifest: Value,
}

impl Changed {
    /// An object as it is.
    pub(crate) fn new(cluster: &Cluster, path: String, object: Value) -> Self {
        Self {
            cluster: cluster.clone(),
            path,
            after: object.clone(),
            before: object,
            what: Vec::new(),
        }
    }

    /// Changes what the object is to be.
    pub(crate) fn set(&mut self, after: Value, what: String) {
        self.after = after;
        self.what.push(what);
    }

    fn action(&self) -> &'static str {
        if self.before == self.after {
            "unchanged"
        } else {
            "update"
        }
    }

    /// Writes the object with the resource version that was read: another writer's change is not
    /// undone.
    async fn write(&self, writes: Writes) -> anyhow::Result<()> {
        if self.before != self.after {
            let replaced = self.cluster.replace(&self.path, &self.after, writes);
            replaced.await?;
        }
        Ok(())
    }
}

impl Report {
    pub(crate) fn new(writes: Writes) -> Self {
        Self {
            dry_run: writes == Writes::DryRun,
            changes: Vec::new(),
            notes: Vec::new(),
            next: String::new(),
        }
    }

    /// Writes objects, in this order.
    pub(crate) async fn apply(
        &mut self,
        objects: &[&Changed],
        writes: Writes,
    ) -> anyhow::Result<()> {
        for object in objects {
            let written = object.write(writes).await;
            let is_part = self.changes.iter().any(|it| it.action == "update");
            written.map_err(|error| match is_part && writes == Writes::Stored {
                true => error.context("not all objects are written; the command can be run again"),
                false => error,
            })?;
            let metadata = &object.after["metadata"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
            let kind = text(&object.after["kind"]);
            self.changes.push(Done {
                cluster: object.cluster.name.clone(),
                object: format!("{kind} {namespace}/{name}"),
                action: object.action(),
                what: object.what.join(", "),
                manifest: manifest(&object.after),
            });
        }
        Ok(())
    }

    /// Prints the report; in YAML the manifests of both sides.
    pub(crate) fn print(&mut self, printer: &Printer) -> anyhow::Result<ExitCode> {
        self.notes.sort();
        self.notes.dedup();
        if printer.output == crate::args::Output::Yaml {
            crate::output::write(&self.manifests()?)?;
        } else {
            printer.print(&self, || self.text(printer))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn manifests(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for done in &self.changes {
            let _ = writeln!(
                text,
                "---\n# Cluster {}: {}",
                one_line(&done.cluster),
                done.what
            );
            text.push_str(&yaml(&done.manifest)?);
        }
        Ok(text)
    }

    fn text(&self, printer: &Printer) -> String {
        let paint = printer.paint;
        let mut text = String::new();
        for done in &self.changes {
            let said = match (done.action, self.dry_run) {
                ("unchanged", _) => "unchanged",
                (_, false) => "updated",
                (_, true) => "would be updated",
            };
            let (cluster, object) = (one_line(&done.cluster), one_line(&done.object));
            let mark = paint.mark(Mark::Ok);
            let _ = writeln!(text, "{mark} {cluster}: {object} {said}: {}", done.what);
        }
        for note in &self.notes {
            let _ = writeln!(text, "{} {}", paint.mark(Mark::Warning), one_line(note));
        }
        if self.dry_run {
            let _ = writeln!(text, "Dry run: nothing was written");
        } else if !self.next.is_empty() {
            let _ = writeln!(text, "Next: {}", self.next);
        }
        text
    }
}

/// An object without what the API server adds.
fn manifest(object: &Value) -> Value {
    let mut object = object.clone();
    let of_server = [
        "managedFields",
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "generation",
        "selfLink",
    ];
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|key, _| !of_server.contains(&key.as_str()));
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            annotations.retain(|key, _| {
                !key.starts_with("kubectl.kubernetes.io/")
                    && !key.starts_with("deployment.kubernetes.io/")
            });
        }
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    object
}

/// A ConfigMap with other values; an absent value removes its key.
pub(crate) fn with_data(map: &Value, values: &[(&str, Option<String>)]) -> Value {
    let mut map = map.clone();
    if !map["data"].is_object() {
        map["data"] = json!({});
    }
    if let Some(data) = map["data"].as_object_mut() {
        for (key, value) in values {
            match value {
                Some(value) => data.insert((*key).to_owned(), value.as_str().into()),
                None => data.remove(*key),
            };
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{manifest, with_data};
    use crate::cluster::data;

    #[test]
    fn manifests_have_nothing_of_the_server() {
        let object = json!({"kind": "ConfigMap", "status": {}, "metadata": {"name": "x", "uid": "1",
            "resourceVersion": "2", "managedFields": [],
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}}});
        let wanted =
            json!({"kind": "ConfigMap", "metadata": {"name": "x", "annotations": {"a": "b"}}});
        assert_eq!(manifest(&object), wanted);
    }

    #[test]
    fn other_keys_of_a_config_map_stay() {
        let map = json!({"data": {"a": "1", "b": "2"}});
        let new = with_data(&map, &[("a", None), ("c", Some("3".to_owned()))]);
        assert_eq!(new, json!({"data": {"b": "2", "c": "3"}}));
        assert_eq!(data(&new, "b"), "2");
        assert_eq!(data(&with_data(&json!({}), &[]), "x"), "");
    }
}
