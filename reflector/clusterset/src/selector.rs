//! Cluster selectors of an export (KEP-5939): which of the exporting clusters serve first.
//!
//! A ServiceExport has them in `spec.clusterSelectors`, or, as long as the installed
//! CustomResourceDefinition has no such field, in the annotation
//! `heliograph.dev/cluster-selectors`.

use std::collections::BTreeMap;

use proto_types::name::is_subdomain;
use serde::Deserialize;
use serde_json::Value;

/// Properties of a cluster (KEP-2149), by name.
pub type Properties = BTreeMap<Box<str>, Box<str>>;

/// Ordered cluster selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSelectors {
    /// As they were written, to compare exports and to write the import.
    pub written: Value,
    selectors: Vec<PropertySelector>,
}

/// Cluster selectors of an export, as they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selectors {
    /// They can be evaluated.
    Valid(ClusterSelectors),
    /// They cannot, and why.
    Invalid(Box<str>),
}

/// Value of a property, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known<'a> {
    /// The cluster has the property.
    Is(&'a str),
    /// The cluster does not have it.
    Absent,
    /// The properties of the cluster were never read.
    Unread,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PropertySelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: Box<str>,
    operator: Operator,
    values: Vec<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    property_selector: Option<EntrySelector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EntrySelector {
    #[serde(default)]
    match_properties: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    match_expressions: Vec<Expression>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expression {
    key: Box<str>,
    operator: Operator,
    #[serde(default)]
    values: Vec<Box<str>>,
}

/// Stands for the value that the importing cluster has.
const SAME: &str = "@SameAsImporter@";

/// Maximum number of selectors of an export.
const MAX_SELECTORS: usize = 16;

/// Maximum length of the annotation, in bytes.
const MAX_TEXT: usize = 16 << 10;

/// Maximum number of YAML events of the annotation.
const MAX_EVENTS: usize = 4000;

/// Maximum depth of flow collections in it.
const MAX_DEPTH: usize = 16;

impl Selectors {
    /// Reads `spec.clusterSelectors`. An empty list is none.
    #[must_use]
    pub fn of_field(written: &Value) -> Option<Self> {
        if written.is_null() || written.as_array().is_some_and(Vec::is_empty) {
            return None;
        }
        Some(match ClusterSelectors::read(written) {
            Ok(selectors) => Self::Valid(selectors),
            Err(why) => Self::Invalid(why),
        })
    }

    /// Reads the annotation: the list as YAML or JSON.
    #[must_use]
    pub fn of_annotation(text: &str) -> Option<Self> {
        if MAX_TEXT < text.len() {
            let why = format!("the annotation is longer than {MAX_TEXT} bytes");
            return Some(Self::Invalid(why.into()));
        }
        // Lists of selectors need no aliases, which multiply what they name.
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! {
                max_events: MAX_EVENTS,
                max_aliases: 0,
                flow_nesting_limit: MAX_DEPTH,
            },
        };
        match serde_saphyr::from_str_with_options::<Value>(text, options) {
            Ok(written) => Self::of_field(&written),
            Err(_) => Some(Self::Invalid("the annotation is not YAML or JSON".into())),
        }
    }

    /// Returns the selectors, if they can be evaluated.
    #[must_use]
    pub const fn valid(&self) -> Option<&ClusterSelectors> {
        match self {
            Self::Valid(selectors) => Some(selectors),
            Self::Invalid(_) => None,
        }
    }
}

impl ClusterSelectors {
    fn read(written: &Value) -> Result<Self, Box<str>> {
        let entries = Vec::<Entry>::deserialize(written).map_err(|why| why.to_string())?;
        if MAX_SELECTORS < entries.len() {
            return Err(format!("there are more than {MAX_SELECTORS} selectors").into());
        }
        let selectors = entries.into_iter().map(PropertySelector::read);
        Ok(Self {
            written: written.clone(),
            selectors: selectors.collect::<Result<_, _>>()?,
        })
    }

    /// Returns for each selector the clusters that it matches, in the order of the selectors.
    /// `None` while properties that decide are not read.
    pub fn matches<'a, C: Copy>(
        &self,
        importer: impl Fn(&str) -> Known<'a>,
        clusters: &[C],
        property: impl Fn(C, &str) -> Known<'a>,
    ) -> Option<Vec<Vec<C>>> {
        let all = self.selectors.iter().map(|selector| {
            let mut matched = Vec::new();
            for cluster in clusters {
                if selector.matches(&importer, |key| property(*cluster, key))? {
                    matched.push(*cluster);
                }
            }
            Some(matched)
        });
        all.collect()
    }
}

impl PropertySelector {
    fn read(Entry { property_selector }: Entry) -> Result<Self, Box<str>> {
        let selector = property_selector.ok_or("a selector has no propertySelector")?;
        let EntrySelector {
            match_properties,
            match_expressions,
        } = selector;
        let of_map = match_properties
            .into_iter()
            .map(|(key, value)| Requirement {
                key,
                operator: Operator::In,
                values: vec![value],
            });
        let of_list = match_expressions.into_iter().map(|it| Requirement {
            key: it.key,
            operator: it.operator,
            values: it.values,
        });
        let requirements: Vec<_> = of_map.chain(of_list).collect();
        if requirements.is_empty() {
            return Err("a propertySelector is empty".into());
        }
        for it in &requirements {
            it.check()?;
        }
        Ok(Self(requirements))
    }

    fn matches<'a>(
        &self,
        importer: &impl Fn(&str) -> Known<'a>,
        property: impl Fn(&str) -> Known<'a>,
    ) -> Option<bool> {
        let mut is_known = true;
        for requirement in &self.0 {
            match requirement.matches(importer, property(&requirement.key)) {
                // One that fails decides, whatever the others are.
                Some(false) => return Some(false),
                Some(true) => {}
                None => is_known = false,
            }
        }
        is_known.then_some(true)
    }
}

impl Requirement {
    fn check(&self) -> Result<(), Box<str>> {
        let key = &self.key;
        if !is_subdomain(key) {
            return Err(format!("{key:?} cannot be the name of a ClusterProperty").into());
        }
        let needs_values = matches!(self.operator, Operator::In | Operator::NotIn);
        match (needs_values, self.values.is_empty()) {
            (true, true) => Err(format!("the expression of {key} needs values").into()),
            (false, false) => Err(format!("the expression of {key} must not have values").into()),
            (true, false) | (false, true) => Ok(()),
        }
    }

    /// Returns whether a cluster with this value matches; `None` while that is not known.
    fn matches<'a>(
        &self,
        importer: impl Fn(&str) -> Known<'a>,
        property: Known<'_>,
    ) -> Option<bool> {
        let has_value = |value: &str| {
            let expected = match value {
                SAME => importer(&self.key),
                value => return Some(property == Known::Is(value)),
            };
            match expected {
                Known::Is(expected) => Some(property == Known::Is(expected)),
                Known::Absent => Some(false),
                Known::Unread => None,
            }
        };
        // Without a value of its own, an importer selects no cluster by it.
        let names_importer = self.values.iter().any(|it| **it == *SAME);
        if names_importer && importer(&self.key) == Known::Absent {
            return Some(false);
        }
        if property == Known::Unread {
            return None;
        }
        let is_in = || {
            let all: Option<Vec<_>> = self.values.iter().map(|it| has_value(it)).collect();
            all.map(|it| it.contains(&true))
        };
        match self.operator {
            Operator::In => is_in(),
            Operator::NotIn => is_in().map(|it| !it),
            Operator::Exists => Some(property != Known::Absent),
            Operator::DoesNotExist => Some(property == Known::Absent),
        }
    }
}

#[cfg(test)]
mod tests;
