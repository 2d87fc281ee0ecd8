//! Sets of fields, as `fieldsV1` writes them, and their algebra.
//!
//! A set is a tree of steps from the root of an object. A node tells whether the field
//! itself is in the set; its children tell what of the field's inside is.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A field, or a key of a map.
    Field(String),
    /// The element of a list that has these keys, as JSON.
    Key(String),
    /// The element of a list that is this, as JSON.
    Value(String),
    /// The element of a list at this place.
    Index(usize),
}

impl Step {
    /// A field.
    pub(crate) fn field(name: &str) -> Self {
        Self::Field(name.to_owned())
    }

    fn parse(text: &str) -> Option<Self> {
        let (form, rest) = text.split_once(':')?;
        let canonical = |json: &str| {
            let value: Value = serde_json::from_str(json).ok()?;
            Some(value.to_string())
        };
        match form {
            "f" => Some(Self::field(rest)),
            "k" => canonical(rest).map(Self::Key),
            "v" => canonical(rest).map(Self::Value),
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }

    fn written(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(json) => format!("k:{json}"),
            Self::Value(json) => format!("v:{json}"),
            Self::Index(at) => format!("i:{at}"),
        }
    }
}

/// As conflicts name it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(json) => {
                let keys: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
                let keys: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "[{}]", keys.join(","))
            }
            Self::Value(json) => write!(f, "[={json}]"),
            Self::Index(at) => write!(f, "[{at}]"),
        }
    }
}

/// A set of fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Set {
    is_member: bool,
    children: BTreeMap<Step, Self>,
}

impl Set {
    /// The field itself, and nothing of its inside.
    pub(crate) fn member() -> Self {
        Self {
            is_member: true,
            children: BTreeMap::new(),
        }
    }

    /// One field, by its path of names.
    pub(crate) fn of_path(path: &[&str]) -> Self {
        let mut set = Self::member();
        for name in path.iter().rev() {
            let inner = std::mem::take(&mut set);
            set.put(Step::field(name), inner);
        }
        set
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_member && self.children.is_empty()
    }

    /// Whether the root of it is in it.
    pub(crate) const fn is_member(&self) -> bool {
        self.is_member
    }

    /// Puts its root into it.
    pub(crate) const fn join(&mut self) {
        self.is_member = true;
    }

    /// What of it is behind a step.
    pub(crate) fn behind(&self, step: &Step) -> Option<&Self> {
        self.children.get(step)
    }

    /// Says what is behind a step.
    pub(crate) fn put(&mut self, step: Step, inner: Self) {
        if !inner.is_empty() {
            self.children.insert(step, inner);
        }
    }

    /// All steps from its root.
    pub(crate) fn steps(&self) -> impl Iterator<Item = (&Step, &Self)> {
        self.children.iter()
    }

    /// What is in one or the other.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.is_member |= other.is_member;
        for (step, theirs) in &other.children {
            let both = match self.children.get(step) {
                Some(ours) => ours.union(theirs),
                None => theirs.clone(),
            };
            union.put(step.clone(), both);
        }
        union
    }

    /// What is in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            is_member: self.is_member && other.is_member,
            children: BTreeMap::new(),
        };
        for (step, ours) in &self.children {
            if let Some(theirs) = other.children.get(step) {
                both.put(step.clone(), ours.intersection(theirs));
            }
        }
        both
    }

    /// What is in this, and not in the other.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut rest = Self {
            is_member: self.is_member && !other.is_member,
            children: BTreeMap::new(),
        };
        for (step, ours) in &self.children {
            let left = match other.children.get(step) {
                Some(theirs) => ours.difference(theirs),
                None => ours.clone(),
            };
            rest.put(step.clone(), left);
        }
        rest
    }

    /// What is in this, and neither in the other nor inside of what is in the other.
    pub(crate) fn outside(&self, other: &Self) -> Self {
        if other.is_member {
            return Self::default();
        }
        let mut rest = Self {
            is_member: self.is_member,
            children: BTreeMap::new(),
        };
        for (step, ours) in &self.children {
            let left = match other.children.get(step) {
                Some(theirs) => ours.outside(theirs),
                None => ours.clone(),
            };
            rest.put(step.clone(), left);
        }
        rest
    }

    /// The paths of all members, as conflicts name them.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, path: &str, paths: &mut Vec<String>) {
        if self.is_member {
            paths.push(path.to_owned());
        }
        for (step, inner) in &self.children {
            inner.collect(&format!("{path}{step}"), paths);
        }
    }

    /// Writes it as `fieldsV1`.
    pub(crate) fn to_json(&self) -> Value {
        let mut fields = Map::new();
        if self.is_member && !self.children.is_empty() {
            fields.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for (step, inner) in &self.children {
            fields.insert(step.written(), inner.to_json());
        }
        Value::Object(fields)
    }

    /// Reads `fieldsV1`; nothing where it is none.
    pub(crate) fn parse(json: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (name, inner) in json.as_object()? {
            if name == "." {
                set.is_member = true;
                continue;
            }
            let mut inner = Self::parse(inner)?;
            inner.is_member |= inner.children.is_empty();
            set.put(Step::parse(name)?, inner);
        }
        Some(set)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Set, Step};
    use proptest::prelude::*;
    use serde_json::json;

    pub(crate) fn any_set() -> impl Strategy<Value = Set> {
        let step = prop_oneof![
            "[ab]".prop_map(Step::Field),
            "[12]".prop_map(|port| Step::Key(format!(r#"{{"port":{port}}}"#))),
            "[xy]".prop_map(|text| Step::Value(format!("{text:?}"))),
        ];
        let leaf = Just(Set::member());
        let tree = leaf.prop_recursive(3, 12, 3, move |inner| {
            let children = proptest::collection::btree_map(step.clone(), inner, 1..3);
            (any::<bool>(), children).prop_map(|(is_member, children)| Set {
                is_member,
                children,
            })
        });
        tree.prop_map(|mut set| {
            set.is_member = false;
            set
        })
    }

    proptest! {
        #[test]
        fn a_written_value_is_read(set in any_set()) {
            prop_assert_eq!(Set::parse(&set.to_json()), Some(set));
        }

        #[test]
        fn sets_are_sets(a in any_set(), b in any_set(), c in any_set()) {
            let same = |x: &Set, y: &Set| -> Result<(), TestCaseError> {
                prop_assert_eq!(x, y);
                Ok(())
            };
            same(&a.union(&b), &b.union(&a))?;
            same(&a.union(&b).union(&c), &a.union(&b.union(&c)))?;
            same(&a.intersection(&b), &b.intersection(&a))?;
            same(&a.intersection(&b), &a.difference(&a.difference(&b)))?;
            same(&a.difference(&b).union(&a.intersection(&b)), &a)?;
            same(&a.difference(&b.union(&c)), &a.difference(&b).difference(&c))?;
            same(&a.union(&a), &a)?;
            prop_assert!(a.difference(&a).is_empty());
            prop_assert!(a.difference(&b).intersection(&b).is_empty());
        }

        #[test]
        fn paths_are_those_of_members(a in any_set(), b in any_set()) {
            let (a_paths, b_paths) = (a.paths(), b.paths());
            let mut both = a.intersection(&b).paths();
            both.sort();
            let mut wanted: Vec<_> = a_paths.into_iter().filter(|it| b_paths.contains(it)).collect();
            wanted.sort();
            prop_assert_eq!(both, wanted);
        }

        #[test]
        fn objects_in_a_namespace_are_deleted_with_it(a in any_set(), b in any_set()) {
            let rest = a.outside(&b);
            let gone = b.paths();
            let kept = |path: &String| !gone.iter().any(|it| path.starts_with(it.as_str()));
            prop_assert!(rest.paths().iter().all(kept), "{:?} {:?}", rest, gone);
            prop_assert!(rest.difference(&a).is_empty());
        }
    }

    #[test]
    fn steps_are_written_as_kubernetes_writes_them() {
        let fields = json!({
            "f:metadata": {"f:finalizers": {".": {}, "v:\"a/b\"": {}}},
            "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
        });
        let set = Set::parse(&fields).unwrap();
        assert_eq!(set.to_json(), fields);
        assert_eq!(
            set.paths(),
            [
                ".metadata.finalizers",
                ".metadata.finalizers[=\"a/b\"]",
                ".spec.ports[port=80,protocol=\"TCP\"]",
                ".spec.ports[port=80,protocol=\"TCP\"].port",
            ]
        );
        for wrong in [
            json!(1),
            json!({"x": {}}),
            json!({"k:{": {}}),
            json!({"i:x": {}}),
        ] {
            assert_eq!(Set::parse(&wrong), None, "{wrong}");
        }
    }
}
