//! Labels or annotations of an object, in one allocation.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// Labels or annotations of an object: texts by name, in the order of the names.
///
/// Programs hold many of them, and change few. A tree would take 20 times the bytes of a label. So
/// names and values stand one after another in one text, each after its length: `3:app3:web`.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Box<str>);

/// Names and values in order.
#[derive(Debug, Clone)]
pub struct Iter<'a>(&'a str);

impl Labels {
    /// Returns no labels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(it, value)| (it == name).then_some(value))
    }

    /// Returns whether there is a label.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns names and values in order.
    #[must_use]
    pub const fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// Returns the names in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// Returns the values in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(_, value)| value)
    }

    /// Returns the number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets a label. Returns its former value.
    pub fn insert(&mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Option<String> {
        let former = self.get(name.as_ref()).map(str::to_owned);
        self.extend([(name, value)]);
        former
    }

    /// Removes a label. Returns its former value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let former = self.get(name)?.to_owned();
        self.retain(|it, _| it != name);
        Some(former)
    }

    /// Keeps only the labels that a function returns `true` for.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&str, &str) -> bool) {
        *self = self
            .iter()
            .filter(|(name, value)| is_kept(name, value))
            .collect();
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = first(self.0)?;
        let (value, rest) = first(rest)?;
        self.0 = rest;
        Some((name, value))
    }
}

/// Returns the first text of several, and the others.
fn first(texts: &str) -> Option<(&str, &str)> {
    let (length, rest) = texts.split_once(':')?;
    rest.split_at_checked(length.parse().ok()?)
}

/// The last value counts where a name comes twice.
impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Labels {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(labels: T) -> Self {
        let mut all: Vec<(K, V)> = labels.into_iter().collect();
        // The order of equal names stays.
        all.sort_by(|(one, _), (other, _)| one.as_ref().cmp(other.as_ref()));
        let mut out = String::new();
        for (i, (name, value)) in all.iter().enumerate() {
            let (name, value) = (name.as_ref(), value.as_ref());
            if all
                .get(i + 1)
                .is_some_and(|(next, _)| next.as_ref() == name)
            {
                continue;
            }
            for text in [name, value] {
                let written = write!(out, "{}:{text}", text.len());
                debug_assert!(written.is_ok(), "a string takes every text");
            }
        }
        Self(out.into())
    }
}

impl<K: AsRef<str>, V: AsRef<str>, const N: usize> From<[(K, V); N]> for Labels {
    fn from(labels: [(K, V); N]) -> Self {
        labels.into_iter().collect()
    }
}

impl<K: AsRef<str>, V: AsRef<str>> Extend<(K, V)> for Labels {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, labels: T) {
        let more: Self = labels.into_iter().collect();
        *self = self.iter().chain(more.iter()).collect();
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = BTreeMap::<Text<'de>, Text<'de>>::deserialize(deserializer)?;
        Ok(all.into_iter().collect())
    }
}

/// A text that is borrowed where it has no escapes.
#[derive(serde::Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Labels;

    #[test]
    fn labels_are_a_map_of_texts() {
        let mut labels = Labels::from([("b", "2"), ("a", "1:x"), ("", "é"), ("b", "3")]);
        let all: Vec<_> = labels.iter().collect();
        assert_eq!(all, [("", "é"), ("a", "1:x"), ("b", "3")]);
        assert_eq!(labels.get("a"), Some("1:x"));
        assert_eq!(labels.get("1"), None);
        assert_eq!((labels.len(), labels.is_empty()), (3, false));
        assert_eq!(labels.insert("a", "4"), Some("1:x".to_owned()));
        assert_eq!(labels.insert("c", ""), None);
        assert_eq!(labels.remove(""), Some("é".to_owned()));
        assert_eq!(labels.remove(""), None);
        labels.extend([("c", "5"), ("d", "6")]);
        labels.retain(|name, _| name != "b");
        assert_eq!(labels, Labels::from([("d", "6"), ("c", "5"), ("a", "4")]));
        assert_eq!(format!("{labels:?}"), r#"{"a": "4", "c": "5", "d": "6"}"#);
    }

    #[test]
    fn labels_are_read_and_written_as_json() {
        let json = r#"{"z":"a\"b\u0000","app":"web","":""}"#;
        let labels: Labels = serde_json::from_str(json).unwrap();
        let map: BTreeMap<String, String> = serde_json::from_str(json).unwrap();
        assert_eq!(labels, map.iter().collect());
        let written = serde_json::to_string(&labels).unwrap();
        assert_eq!(written, serde_json::to_string(&map).unwrap());
        assert!(serde_json::from_str::<Labels>(r#"{"a":1}"#).is_err());
        let value = serde_json::json!({"a": "b"});
        assert_eq!(
            serde_json::from_value::<Labels>(value).unwrap().get("a"),
            Some("b")
        );
    }
}
