//! What a reader is told, in words that all readers share.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use proto_types::Resource;
use serde::Deserialize;
use serde_json::Value;

/// One thing that a reader is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Change {
    #[serde(rename = "type")]
    pub(super) what: What,
    #[serde(default)]
    pub(super) key: String,
    pub(super) revision: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum What {
    Added,
    Modified,
    Deleted,
    /// From here on the whole state was known.
    Listed,
}

/// Objects by their keys, as they stand in a list.
pub(super) type Objects = BTreeMap<String, Value>;

/// What one reader knows, and how it came to know it.
pub(super) struct Report {
    pub(super) name: String,
    /// Nothing for what upstream has no equal of.
    pub(super) resource: Option<Resource>,
    pub(super) objects: Objects,
    /// What it was told after the state with which it began.
    pub(super) changes: Vec<Change>,
    /// How often it asked for a whole state.
    pub(super) n_lists: usize,
    /// What nobody may tell it.
    pub(super) wrongs: Vec<String>,
    /// For people, if it is not as it should be.
    pub(super) told: String,
    /// What it keeps of an object.
    pub(super) keeps: fn(&Value) -> anyhow::Result<Value>,
    /// Whether it can tell what is new from what was changed.
    pub(super) tells_new: bool,
}

/// What it takes for a reader to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It has listed once, and was told every change since, each of them once.
    EveryChange,
    /// It knows what is.
    State,
}

impl Report {
    /// Whether it is as upstream is, and was told what upstream told.
    pub(super) fn check(
        &self,
        changes: &[Change],
        objects: &Objects,
        due: Due,
    ) -> anyhow::Result<()> {
        let check = || {
            self.knows(objects)?;
            if due == Due::State {
                return Ok(());
            }
            self.is_sound()?;
            let changes: Vec<Change> = changes.iter().map(|it| self.hears(it)).collect();
            same(&changes, &self.changes)
        };
        check().with_context(|| format!("{}\n{}", self.name, self.told))
    }

    /// Whether it listed once and was told nothing that nobody may tell.
    pub(super) fn is_sound(&self) -> anyhow::Result<()> {
        ensure!(self.wrongs.is_empty(), "{:#?}", self.wrongs);
        ensure!(self.n_lists == 1, "it listed {} times", self.n_lists);
        Ok(())
    }

    fn hears(&self, change: &Change) -> Change {
        let mut change = change.clone();
        if change.what == What::Added && !self.tells_new {
            change.what = What::Modified;
        }
        change
    }

    fn knows(&self, objects: &Objects) -> anyhow::Result<()> {
        let (theirs, ours): (Vec<_>, Vec<_>) =
            (objects.keys().collect(), self.objects.keys().collect());
        ensure!(theirs == ours, "there are {theirs:?}, it knows {ours:?}");
        for (key, object) in objects {
            let object = (self.keeps)(object)?;
            let known = &self.objects[key];
            ensure!(object == *known, "{key} is\n{object}\nit knows\n{known}");
        }
        Ok(())
    }
}

/// Whether both are the same. If not, the first difference is shown.
fn same(theirs: &[Change], ours: &[Change]) -> anyhow::Result<()> {
    let differs = |i: &usize| theirs.get(*i) != ours.get(*i);
    let Some(first) = (0..theirs.len().max(ours.len())).find(differs) else {
        return Ok(());
    };
    let around = |all: &[Change]| {
        let from = first.saturating_sub(2).min(all.len());
        let until = (first + 4).min(all.len());
        format!("{:?}", &all[from..until])
    };
    anyhow::bail!(
        "it was told {} changes of {}, and otherwise from the {first}th on:\n{}\nbut upstream\n{}",
        ours.len(),
        theirs.len(),
        around(ours),
        around(theirs),
    )
}

/// As it stands in a list, where objects do not say what they are.
pub(super) fn without_type(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}

/// The key and the resource version of an object.
pub(super) fn identity(object: &Value) -> anyhow::Result<(String, u64)> {
    let metadata = &object["metadata"];
    let name = metadata["name"].as_str().context("it has a name")?;
    let revision = metadata["resourceVersion"].as_str();
    let revision = revision.context("it has a revision")?.parse()?;
    let key = match metadata["namespace"].as_str() {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    };
    Ok((key, revision))
}
