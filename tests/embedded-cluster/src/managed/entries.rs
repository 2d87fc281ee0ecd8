//! `metadata.managedFields`: managers, and what each owns.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::set::Set;
use crate::Kind;

/// How a manager came to own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who owns fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    pub(super) api_version: String,
    pub(super) subresource: String,
}

/// As conflicts name it.
impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        match self.operation {
            Operation::Apply => Ok(()),
            Operation::Update => write!(f, " using {}", self.api_version),
        }
    }
}

/// What a manager owns, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) fields: Set,
    time: Option<String>,
}

/// All managers of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Entries(BTreeMap<Manager, Owned>);

impl Entries {
    /// Reads `managedFields`; nothing where one of them is none.
    pub(super) fn parse(json: &Value) -> Option<Self> {
        let entries = json.as_array().map_or(&[][..], Vec::as_slice);
        let parsed = entries.iter().map(|entry| {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            let operation = match entry["operation"].as_str()? {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            };
            let manager = Manager {
                name: text("manager"),
                operation,
                api_version: text("apiVersion"),
                subresource: text("subresource"),
            };
            if manager.api_version.is_empty() || entry["fieldsType"] != "FieldsV1" {
                return None;
            }
            let owned = Owned {
                fields: match &entry["fieldsV1"] {
                    Value::Null => Set::default(),
                    fields => Set::parse(fields)?,
                },
                time: entry["time"].as_str().map(str::to_owned),
            };
            Some((manager, owned))
        });
        parsed.collect::<Option<_>>().map(Self)
    }

    /// Writes `managedFields`, those who apply first, and then by time.
    pub(super) fn to_json(&self) -> Value {
        let mut entries: Vec<(&Manager, &Owned)> = self.0.iter().collect();
        entries.sort_by_key(|(manager, owned)| (manager.operation, &owned.time, &manager.name));
        let written = entries.into_iter().map(|(manager, owned)| {
            let mut entry = json!({
                "manager": manager.name,
                "operation": manager.operation.as_str(),
                "apiVersion": manager.api_version,
                "fieldsType": "FieldsV1",
                "fieldsV1": owned.fields.to_json(),
            });
            if let Some(time) = &owned.time {
                entry["time"] = json!(time);
            }
            if !manager.subresource.is_empty() {
                entry["subresource"] = json!(manager.subresource);
            }
            entry
        });
        written.collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same without times.
    pub(super) fn without_times(mut self) -> Self {
        for owned in self.0.values_mut() {
            owned.time = None;
        }
        self
    }

    /// Who owns what.
    pub(super) fn owners(&self) -> impl Iterator<Item = (&Manager, &Set)> {
        self.0
            .iter()
            .map(|(manager, owned)| (manager, &owned.fields))
    }

    /// Says what one owns from now on, and returns what it was.
    pub(super) fn set(&mut self, manager: Manager, fields: Set, time: Option<&str>) -> Option<Set> {
        let last = self.0.remove(&manager);
        let time = time.map(str::to_owned);
        let time = time.or_else(|| last.as_ref().and_then(|it| it.time.clone()));
        if !fields.is_empty() {
            self.0.insert(manager, Owned { fields, time });
        }
        last.map(|it| it.fields)
    }

    /// Gives fields to one, beside what it owns.
    pub(super) fn give(&mut self, manager: Manager, fields: &Set, time: &str) {
        let had = self.0.get(&manager).map(|it| it.fields.union(fields));
        self.set(manager, had.unwrap_or_else(|| fields.clone()), Some(time));
    }

    /// Takes fields from all who speak of the same version of that kind, but from one.
    pub(super) fn take(&mut self, fields: &Set, kind: Kind, spared: Option<&Manager>) {
        for (manager, owned) in &mut self.0 {
            let is_spared = spared.is_some_and(|it| it == manager);
            if manager.api_version == kind.names().api_version && !is_spared {
                owned.fields = owned.fields.difference(fields);
            }
        }
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Makes one of the oldest who updated, where there are more than so many.
    pub(super) fn bound(&mut self, max: usize) {
        let mut updaters: Vec<(Option<String>, Manager)> = self
            .0
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update)
            .map(|(manager, owned)| (owned.time.clone(), manager.clone()))
            .collect();
        let n_over = updaters.len().saturating_sub(max);
        if n_over == 0 {
            return;
        }
        updaters.sort();
        // What becomes one is one more than what is over.
        let oldest = updaters.into_iter().take(n_over + 1);
        let mut all: BTreeMap<String, (Set, Option<String>)> = BTreeMap::new();
        for (time, manager) in oldest {
            let Some(owned) = self.0.remove(&manager) else {
                continue;
            };
            let (fields, latest) = all.entry(manager.api_version).or_default();
            *fields = fields.union(&owned.fields);
            *latest = time;
        }
        for (api_version, (fields, time)) in all {
            let manager = Manager {
                name: "ancient-changes".to_owned(),
                operation: Operation::Update,
                api_version,
                subresource: String::new(),
            };
            self.0.insert(manager, Owned { fields, time });
        }
    }
}
