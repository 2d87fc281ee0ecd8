//! Names that the import policy allows.

use std::fmt;
use std::str::FromStr;

/// Allowed and denied names. Denied ones take precedence; without allowed ones, all are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameRules {
    /// Only these, if there are any.
    pub allow: Vec<Pattern>,
    /// Never these.
    pub deny: Vec<Pattern>,
}

/// A name, or the beginning of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    is_open: bool,
}

/// Error of an invalid pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a pattern: write a name, or the beginning of names and an asterisk, as in shop-*"
)]
pub struct InvalidPattern(String);

impl NameRules {
    /// Returns whether only one name may come in.
    pub(crate) fn is_one(&self) -> bool {
        matches!(&*self.allow, [Pattern { is_open: false, .. }])
    }

    /// Returns whether a name is allowed as it is, and not by a pattern.
    pub(crate) fn allow_exactly(&self, name: &str) -> bool {
        self.allow.iter().any(|it| it.is_exactly(name)) && self.admit(name)
    }

    /// Returns whether a name may come in.
    #[must_use]
    pub fn admit(&self, name: &str) -> bool {
        let matches = |pattern: &Pattern| pattern.matches(name);
        !self.deny.iter().any(matches) && (self.allow.is_empty() || self.allow.iter().any(matches))
    }
}

impl fmt::Display for NameRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::join(&self.allow))?;
        if self.deny.is_empty() {
            return Ok(());
        }
        f.write_str(if self.allow.is_empty() { "all" } else { "" })?;
        write!(f, " but {}", super::join(&self.deny))
    }
}

impl Pattern {
    /// Returns whether exactly this name is meant.
    #[must_use]
    pub fn is_exactly(&self, name: &str) -> bool {
        !self.is_open && *name == *self.text
    }

    /// Returns whether the domain of a label's or annotation's name is written out.
    pub(super) fn names_domain(&self) -> bool {
        !self.is_open || self.text.contains('/')
    }

    /// Returns whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.is_open {
            name.starts_with(&*self.text)
        } else {
            *name == *self.text
        }
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (beginning, is_open) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
        if beginning.bytes().all(legal) && (is_open || !beginning.is_empty()) {
            Ok(Self {
                text: beginning.into(),
                is_open,
            })
        } else {
            Err(InvalidPattern(text.to_owned()))
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asterisk = if self.is_open { "*" } else { "" };
        write!(f, "{}{asterisk}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{NameRules, Pattern};

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|it| it.parse().unwrap()).collect()
    }

    #[test]
    fn denial_goes_before_allowance_and_nothing_said_allows_all() {
        let admits = |allow: &[&str], deny: &[&str], name: &str| {
            let (allow, deny) = (patterns(allow), patterns(deny));
            NameRules { allow, deny }.admit(name)
        };
        assert!(admits(&[], &[], "demo"));
        assert!(admits(&["demo"], &[], "demo"));
        assert!(!admits(&["demo"], &[], "demo2"));
        assert!(admits(&["demo*"], &[], "demo2"));
        assert!(!admits(&[], &["kube-*"], "kube-system"));
        assert!(!admits(&["*"], &["demo"], "demo"));
        assert!(admits(&["a", "b"], &[], "b"));
    }

    #[test]
    fn an_asterisk_stands_at_the_end_or_nowhere() {
        for bad in ["", "*-a", "a*b", "a**", "a b", "a,b"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad:?}");
        }
    }
}
