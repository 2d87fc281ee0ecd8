//! Parameters of a page's address.

use std::collections::BTreeMap;

/// Maximum length of a value in characters.
const MAX_VALUE: usize = 300;

/// Parameters of a page's address; the last of several with one name counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a query, without its question mark.
    #[must_use]
    pub fn read(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let pairs = pairs.map(|(name, value)| {
            let value: String = value.chars().take(MAX_VALUE).collect();
            (name.into_owned(), value.trim().to_owned())
        });
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    /// Returns a value, empty if there is none.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns a number of a page; the first one is 1.
    #[must_use]
    pub fn page(&self, name: &str) -> usize {
        self.text(name).parse().unwrap_or(1).max(1)
    }

    /// Returns a path with these parameters, of which one has another value. An empty value
    /// removes the parameter.
    #[must_use]
    pub fn link(&self, path: &str, name: &str, value: &str) -> String {
        let mut pairs = self.0.clone();
        pairs.insert(name.to_owned(), value.to_owned());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs.iter().filter(|(_, value)| !value.is_empty()));
        match query.finish().as_str() {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }
}
