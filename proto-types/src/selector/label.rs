//! Label selectors.

use std::fmt;
use std::str::FromStr;

use super::lexer::{Token, tokens};
use crate::Labels;

/// A conjunction of requirements; without any, it matches everything.
///
/// Requirements are kept sorted, so that selectors with the same meaning in another order are equal
/// and share what is computed for them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

/// One term of a [`LabelSelector`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    /// The label's name.
    pub key: String,
    /// Condition on its value.
    pub operator: Operator,
}

/// Condition of a [`Requirement`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// The value is one of these; an empty set matches nothing.
    In(Vec<String>),
    /// The label is absent, or its value is none of these.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is not there.
    Absent,
    /// The value is an integer above this.
    GreaterThan(i64),
    /// The value is an integer below this.
    LessThan(i64),
}

/// Error of an invalid label selector, with the message of a kube-apiserver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSelector(String);

const BINARY_OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

impl LabelSelector {
    /// Returns whether all requirements hold.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(labels))
    }

    /// Returns whether it has no requirement.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements, sorted.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Returns the number of values of all requirements.
    #[must_use]
    pub fn n_values(&self) -> usize {
        let n_values = |it: &Requirement| match &it.operator {
            Operator::In(values) | Operator::NotIn(values) => values.len(),
            Operator::GreaterThan(_) | Operator::LessThan(_) => 1,
            Operator::Exists | Operator::Absent => 0,
        };
        self.requirements.iter().map(n_values).sum()
    }

    /// Returns the selector that matches if both match.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.requirements.extend(other.requirements);
        self.sorted()
    }

    fn sorted(mut self) -> Self {
        self.requirements.sort();
        self.requirements.dedup();
        self
    }
}

impl Requirement {
    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.operator {
            Operator::In(values) => value.is_some_and(|value| values.iter().any(|it| it == value)),
            Operator::NotIn(values) => {
                value.is_none_or(|value| values.iter().all(|it| it != value))
            }
            Operator::Exists => value.is_some(),
            Operator::Absent => value.is_none(),
            Operator::GreaterThan(bound) => number().is_some_and(|number| *bound < number),
            Operator::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

impl FromStr for LabelSelector {
    type Err = InvalidSelector;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parser = Parser {
            tokens: tokens(text),
            next: 0,
        };
        let requirements = parser.requirements()?;
        Ok(Self { requirements }.sorted())
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            if 0 < i {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.operator {
            Operator::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Operator::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Operator::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0]),
            Operator::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Operator::Exists => f.write_str(key),
            Operator::Absent => write!(f, "!{key}"),
            Operator::GreaterThan(bound) => write!(f, "{key}>{bound}"),
            Operator::LessThan(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn requirements(&mut self) -> Result<Vec<Requirement>, InvalidSelector> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                Token::Word(_) | Token::Not => {
                    let requirement = self.requirement().map_err(|InvalidSelector(why)| {
                        InvalidSelector(format!("unable to parse requirement: {why}"))
                    })?;
                    requirements.push(requirement);
                    match self.take() {
                        Token::End => return Ok(requirements),
                        Token::Comma => match self.peek() {
                            Token::Word(_) | Token::Not => {}
                            other => return Err(found(other, "identifier after ','")),
                        },
                        other => return Err(found(other, "',' or 'end of string'")),
                    }
                }
                Token::End => return Ok(requirements),
                other => return Err(found(other, "!, identifier, or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, InvalidSelector> {
        let negated = self.peek() == Token::Not;
        if negated {
            self.take();
        }
        let key = match self.take() {
            Token::Word(word) => word.to_owned(),
            other => return Err(found(other, "identifier")),
        };
        check_key(&key)?;
        let operator = match self.peek() {
            _ if negated => Operator::Absent,
            Token::End | Token::Comma => Operator::Exists,
            _ => self.comparison(&key)?,
        };
        Ok(Requirement { key, operator })
    }

    fn comparison(&mut self, key: &str) -> Result<Operator, InvalidSelector> {
        // The one place where `in` and `notin` are operators.
        let operator = self.tokens[self.next];
        self.take();
        Ok(match operator {
            Token::In => Operator::In(self.values(key)?),
            Token::NotIn => Operator::NotIn(self.values(key)?),
            Token::Equals | Token::DoubleEquals => Operator::In(vec![self.exact_value(key)?]),
            Token::NotEquals => Operator::NotIn(vec![self.exact_value(key)?]),
            Token::Greater => Operator::GreaterThan(self.bound(key)?),
            Token::Less => Operator::LessThan(self.bound(key)?),
            other => return Err(found(other, BINARY_OPERATORS)),
        })
    }

    fn exact_value(&mut self, key: &str) -> Result<String, InvalidSelector> {
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.take() {
            Token::Word(word) => check_value(key, word, 0),
            other => Err(found(other, "identifier")),
        }
    }

    fn bound(&mut self, key: &str) -> Result<i64, InvalidSelector> {
        let value = self.exact_value(key)?;
        value.parse().map_err(|_| {
            InvalidSelector(format!(
                "values[0]: Invalid value: {value:?}: \
                 for 'Gt', 'Lt' operators, the value must be an integer"
            ))
        })
    }

    /// `(a,b)`, where blank values are legal: `(a,,b)`, `(,)`, `()`.
    fn values(&mut self, key: &str) -> Result<Vec<String>, InvalidSelector> {
        match self.take() {
            Token::Open => {}
            other => {
                let text = other.text();
                return Err(InvalidSelector(format!("found '{text}' expected: '('")));
            }
        }
        if self.peek() == Token::Close {
            self.take();
            return Ok(Vec::new());
        }
        let mut values = Vec::new();
        loop {
            let value = match self.peek() {
                Token::Word(word) => {
                    self.take();
                    check_value(key, word, values.len())?
                }
                Token::Comma | Token::Close => String::new(),
                other => return Err(found(other, "',', ')' or identifier")),
            };
            values.push(value);
            match self.take() {
                Token::Comma => {}
                Token::Close => break,
                other => return Err(found(other, "',' or ')'")),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn peek(&self) -> Token<'a> {
        self.tokens[self.next].as_value()
    }

    /// The next token; the last one, [`Token::End`], is never passed.
    fn take(&mut self) -> Token<'a> {
        let token = self.peek();
        if token != Token::End {
            self.next += 1;
        }
        token
    }
}

fn found(token: Token<'_>, expected: &str) -> InvalidSelector {
    InvalidSelector(format!("found '{}', expected: {expected}", token.text()))
}

const NAME_RULE: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', \
     and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  \
     or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

const KEY_RULE: &str = "a valid label key must consist of alphanumeric characters, '-', '_' \
     or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or \
     'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix \
     and '/' (e.g. 'example.com/MyName')";

const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric \
     characters, '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const PREFIX_RULE: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case \
     alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character \
     (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Checks a qualified name: `[prefix/]name`.
fn check_key(key: &str) -> Result<(), InvalidSelector> {
    let mut broken = Vec::new();
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        [name] => check_name(name, &mut broken),
        [prefix, name] => {
            match *prefix {
                "" => broken.push("prefix part must be non-empty"),
                _ if !is_subdomain(prefix) => broken.push(PREFIX_RULE),
                _ => {}
            }
            check_name(name, &mut broken);
        }
        _ => broken.push(KEY_RULE),
    }
    if broken.is_empty() {
        return Ok(());
    }
    // A kube-apiserver has no field path for this error, and its message states that.
    let rules = broken.join("; ");
    Err(InvalidSelector(format!(
        "<nil>: Invalid value: {key:?}: {rules}"
    )))
}

fn check_name(name: &str, broken: &mut Vec<&'static str>) {
    match name {
        "" => broken.push("name part must be non-empty"),
        _ if 63 < name.len() => broken.push("name part must be no more than 63 bytes"),
        _ => {}
    }
    if !is_word(name) {
        broken.push(NAME_RULE);
    }
}

fn check_value(key: &str, value: &str, index: usize) -> Result<String, InvalidSelector> {
    let rule = match value {
        _ if 63 < value.len() => "must be no more than 63 bytes",
        _ if !value.is_empty() && !is_word(value) => VALUE_RULE,
        _ => return Ok(value.to_owned()),
    };
    Err(InvalidSelector(format!(
        "values[{index}][{key}]: Invalid value: {value:?}: {rule}"
    )))
}

fn is_word(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253
        && text
            .split('.')
            .all(|part| part.parse::<crate::name::DnsLabel>().is_ok())
}

#[cfg(test)]
mod tests;
