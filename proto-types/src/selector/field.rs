//! Field selectors: comparisons of a few named fields.

use std::fmt;
use std::str::FromStr;

/// A conjunction of comparisons; without any, it matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FieldSelector {
    terms: Vec<FieldTerm>,
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldTerm {
    /// The field's path, such as `metadata.name`.
    pub field: String,
    /// The value to compare with.
    pub value: String,
    /// `true` for `=`, `false` for `!=`.
    pub equal: bool,
}

/// Error of an invalid field selector, with the message of a kube-apiserver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFieldSelector(String);

impl FieldSelector {
    /// The comparisons, sorted.
    #[must_use]
    pub fn terms(&self) -> &[FieldTerm] {
        &self.terms
    }

    /// Returns whether it has no comparison.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Returns whether all comparisons hold for the values that `value_of` returns.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> &'a str) -> bool {
        self.terms
            .iter()
            .all(|term| (value_of(&term.field) == term.value) == term.equal)
    }

    /// The one value that a field must have, if the selector requires one.
    #[must_use]
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.terms
            .iter()
            .find(|term| term.equal && term.field == field)
            .map(|term| term.value.as_str())
    }

    /// The same, with one more comparison.
    #[must_use]
    pub fn with(mut self, field: &str, value: &str) -> Self {
        self.terms.push(FieldTerm {
            field: field.to_owned(),
            value: value.to_owned(),
            equal: true,
        });
        self.terms.sort();
        self.terms.dedup();
        self
    }
}

impl FromStr for FieldSelector {
    type Err = InvalidFieldSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut terms = Vec::new();
        for term in split_unescaped(text).filter(|term| !term.is_empty()) {
            let Some((field, equal, value)) = split_operator(term) else {
                return Err(InvalidFieldSelector(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                )));
            };
            terms.push(FieldTerm {
                field: field.to_owned(),
                value: unescape(value)?,
                equal,
            });
        }
        terms.sort();
        terms.dedup();
        Ok(Self { terms })
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let operator = if term.equal { "=" } else { "!=" };
            write!(f, "{comma}{}{operator}{}", term.field, escape(&term.value))?;
        }
        Ok(())
    }
}

/// The parts between commas that no backslash protects.
fn split_unescaped(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let is_separator = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        is_separator
    })
}

/// Cuts at the first operator that no backslash protects.
fn split_operator(term: &str) -> Option<(&str, bool, &str)> {
    let mut escaped = false;
    for (i, c) in term.char_indices() {
        let rest = &term[i..];
        if !escaped {
            for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
                if let Some(value) = rest.strip_prefix(operator) {
                    return Some((&term[..i], equal, value));
                }
            }
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn unescape(value: &str) -> Result<String, InvalidFieldSelector> {
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(InvalidFieldSelector(format!(
                        "invalid field selector: invalid escape sequence: {sequence}"
                    )));
                }
            },
            ',' | '=' => {
                return Err(InvalidFieldSelector(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(c)
                )));
            }
            _ => plain.push(c),
        }
    }
    Ok(plain)
}

fn escape(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace(',', r"\,")
        .replace('=', r"\=")
}

#[cfg(test)]
mod tests {
    use super::FieldSelector;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<FieldSelector, String> {
        text.parse::<FieldSelector>().map_err(|why| why.to_string())
    }

    #[test]
    fn fields_are_compared_by_value() {
        let value_of = |field: &str| if field == "metadata.name" { "web" } else { "" };
        for (text, expected) in [
            ("", true),
            ("metadata.name=web", true),
            ("metadata.name==web", true),
            ("metadata.name!=web", false),
            ("metadata.name=web,metadata.name=db", false),
        ] {
            assert_eq!(parse(text).unwrap().matches(value_of), expected, "{text:?}");
        }
    }

    #[test]
    fn a_term_without_operator_is_named() {
        assert_eq!(
            parse("a=b,x").unwrap_err(),
            "invalid selector: 'a=b,x'; can't understand 'x'"
        );
    }

    proptest! {
        #[test]
        fn printed_text_parses_to_the_same(value in "[a,=\\\\]{0,6}") {
            let selector = FieldSelector::default().with("metadata.name", &value);
            prop_assert_eq!(parse(&selector.to_string()), Ok(selector));
        }
    }
}
