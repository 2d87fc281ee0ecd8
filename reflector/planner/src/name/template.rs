//! Templates of the names of mirrors.

use std::fmt;
use std::str::FromStr;

use proto_types::ObjectKey;
use proto_types::name::DnsLabel;

use super::{SEPARATOR, SourceName};

/// Separator of name and namespace in the names of kube-service-mirror, which begin with the name.
pub const OLD_SEPARATOR: &str = "6d6972726f720a";

/// A form of names: text, and variables in braces. Every Service has a name by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    Prefix,
    Source,
    Namespace,
    Name,
}

/// Error of an invalid template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A brace without its partner.
    #[error("{0:?} has a brace without its partner: write variables as {{name}}")]
    Brace(String),
    /// A variable that there is not.
    #[error("there is no variable {{{0}}}: use {{prefix}}, {{source}}, {{namespace}} and {{name}}")]
    Unknown(String),
    /// Without the name of the Service, all would have the same.
    #[error("{0:?} has no {{name}}, or more than one: write it once")]
    Name(String),
    /// Nor may the namespace come twice.
    #[error("{0:?} has more than one {{namespace}}: write it once")]
    Namespace(String),
    /// Characters that a name cannot have.
    #[error(
        "{0:?} is no part of a name: use lower case letters, digits and dashes, with a dash \
         between text and variable"
    )]
    Text(String),
    /// Namespace and name could not be separated again.
    #[error(
        "{0:?} does not tell namespace and name apart: write -{SEPARATOR}- or -{OLD_SEPARATOR}- \
         between them, since a dash may be part of both"
    )]
    Ambiguous(String),
}

impl Template {
    /// The form of kube-service-mirror's names.
    #[must_use]
    pub fn old() -> Self {
        let text = format!("{{prefix}}-{{name}}-{OLD_SEPARATOR}-{{namespace}}");
        text.parse().expect("a constant template parses")
    }

    /// Returns whether names of two namespaces differ.
    #[must_use]
    pub(crate) fn has_namespace(&self) -> bool {
        self.0.contains(&Piece::Variable(Variable::Namespace))
    }

    /// Returns the beginning that all names of a source share, without the dash after it.
    pub(crate) fn stem(&self, prefix: Option<&DnsLabel>, source: &SourceName) -> String {
        let mut stem = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => stem.push_str(text),
                Piece::Variable(Variable::Prefix) => {
                    stem.push_str(prefix.map_or("", DnsLabel::as_str));
                }
                Piece::Variable(Variable::Source) => stem.push_str(source.as_str()),
                Piece::Variable(Variable::Namespace | Variable::Name) => break,
            }
        }
        stem.trim_end_matches('-').to_owned()
    }

    /// Returns whether it begins with what it needs a prefix for.
    pub(crate) fn has_prefix(&self) -> bool {
        self.0.contains(&Piece::Variable(Variable::Prefix))
    }

    /// Returns the name of the mirror of a Service.
    pub(crate) fn name(
        &self,
        prefix: Option<&DnsLabel>,
        source: &SourceName,
        service: &ObjectKey,
    ) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Variable(Variable::Prefix) => prefix.map_or("", DnsLabel::as_str),
            Piece::Variable(Variable::Source) => source.as_str(),
            Piece::Variable(Variable::Namespace) => service.namespace(),
            Piece::Variable(Variable::Name) => service.name(),
        });
        pieces.collect()
    }

    fn check(self, text: &str) -> Result<Self, InvalidTemplate> {
        let count = |variable| {
            let pieces = self.0.iter();
            pieces
                .filter(|it| **it == Piece::Variable(variable))
                .count()
        };
        if count(Variable::Name) != 1 {
            return Err(InvalidTemplate::Name(text.to_owned()));
        }
        if 1 < count(Variable::Namespace) {
            return Err(InvalidTemplate::Namespace(text.to_owned()));
        }
        let n_pieces = self.0.len();
        for (i, piece) in self.0.iter().enumerate() {
            let is_legal = match piece {
                Piece::Text(text) => is_part(text, i == 0, i + 1 == n_pieces),
                // Two variables side by side.
                Piece::Variable(_) => !matches!(self.0.get(i + 1), Some(Piece::Variable(_))),
            };
            if !is_legal {
                return Err(InvalidTemplate::Text(text.to_owned()));
            }
        }
        if self.is_ambiguous() {
            return Err(InvalidTemplate::Ambiguous(text.to_owned()));
        }
        Ok(self)
    }

    fn is_ambiguous(&self) -> bool {
        let is_of_service =
            |it: &Piece| matches!(it, Piece::Variable(Variable::Namespace | Variable::Name));
        let first = self.0.iter().position(is_of_service);
        let last = self.0.iter().rposition(is_of_service);
        let (Some(first), Some(last)) = (first, last) else {
            return false;
        };
        let separates = |it: &Piece| match it {
            Piece::Text(text) => [SEPARATOR, OLD_SEPARATOR]
                .iter()
                .any(|separator| text.contains(&format!("-{separator}-"))),
            Piece::Variable(_) => false,
        };
        first != last && !self.0[first..last].iter().any(separates)
    }
}

/// A text is a whole number of words between dashes, so that where it ends is seen.
fn is_part(text: &str, is_first: bool, is_last: bool) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = if is_first {
        text.starts_with(|it: char| it.is_ascii_lowercase())
    } else {
        text.starts_with('-')
    };
    let ends = text.ends_with('-') != is_last;
    begins && ends && text.bytes().all(legal)
}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(['{', '}']).unwrap_or(rest.len());
            let (before, from) = rest.split_at(end);
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            if from.is_empty() {
                break;
            }
            let inner = from.strip_prefix('{').and_then(|it| it.split_once('}'));
            let Some((variable, behind)) = inner else {
                return Err(InvalidTemplate::Brace(text.to_owned()));
            };
            pieces.push(Piece::Variable(match variable {
                "prefix" => Variable::Prefix,
                "source" => Variable::Source,
                "namespace" => Variable::Namespace,
                "name" => Variable::Name,
                unknown => return Err(InvalidTemplate::Unknown(unknown.to_owned())),
            }));
            rest = behind;
        }
        Self(pieces).check(text)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => f.write_str(text)?,
                Piece::Variable(Variable::Prefix) => f.write_str("{prefix}")?,
                Piece::Variable(Variable::Source) => f.write_str("{source}")?,
                Piece::Variable(Variable::Namespace) => f.write_str("{namespace}")?,
                Piece::Variable(Variable::Name) => f.write_str("{name}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Template;
    use proto_types::ObjectKey;

    #[track_caller]
    fn check(template: &str, expected: &str) {
        let outcome = match template.parse::<Template>() {
            Ok(template) => {
                let (prefix, source) = ("p".parse().unwrap(), "east".parse().unwrap());
                let service = ObjectKey::new("demo", "web");
                template.name(Some(&prefix), &source, &service)
            }
            Err(error) => error.to_string(),
        };
        assert!(outcome.contains(expected), "{template}: {outcome}");
    }

    #[test]
    fn names_are_made_as_the_template_says() {
        check("{prefix}-{namespace}-73736d-{name}", "p-demo-73736d-web");
        check(&Template::old().to_string(), "p-web-6d6972726f720a-demo");
        check(
            "{source}-{namespace}-73736d-{name}-svc",
            "east-demo-73736d-web-svc",
        );
        check("{name}", "web");
        check("mirror-{name}", "mirror-web");
    }

    #[test]
    fn an_invalid_template_is_reported_with_its_remedy() {
        check("{name", "a brace without its partner");
        check("name}", "a brace without its partner");
        check("{cluster}-{name}", "there is no variable {cluster}");
        check("{prefix}", "has no {name}");
        check("{name}-{name}", "or more than one");
        check(
            "{namespace}-73736d-{name}-73736d-{namespace}",
            "more than one {namespace}",
        );
        check("{prefix}{name}", "is no part of a name");
        check("x{name}", "is no part of a name");
        check("{name}-", "is no part of a name");
        check("1-{name}", "is no part of a name");
        check("A-{name}", "is no part of a name");
        check(
            "{namespace}-{name}",
            "does not tell namespace and name apart",
        );
        check(
            "{name}-x-{namespace}",
            "does not tell namespace and name apart",
        );
    }
}
