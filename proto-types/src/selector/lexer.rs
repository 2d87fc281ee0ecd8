//! Tokens of label selectors, cut as `k8s.io/apimachinery/pkg/labels` cuts them.

/// A token and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
    /// A key or value.
    Word(&'a str),
    /// Special symbols that make no token.
    Error(&'a str),
    End,
}

impl<'a> Token<'a> {
    /// The text, as error messages quote it.
    pub(super) fn text(self) -> String {
        match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Not => "!",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Word(word) => word,
            Self::Error(symbols) => return format!("error expected: keyword found '{symbols}'"),
            Self::End => "",
        }
        .to_owned()
    }

    /// Returns the token at a place where `in` and `notin` are ordinary values.
    pub(super) const fn as_value(self) -> Self {
        match self {
            Self::In => Self::Word("in"),
            Self::NotIn => Self::Word("notin"),
            other => other,
        }
    }

    fn symbol(text: &str) -> Option<Self> {
        Some(match text {
            "(" => Self::Open,
            ")" => Self::Close,
            "," => Self::Comma,
            "!" => Self::Not,
            "=" => Self::Equals,
            "==" => Self::DoubleEquals,
            "!=" => Self::NotEquals,
            ">" => Self::Greater,
            "<" => Self::Less,
            _ => return None,
        })
    }

    const fn word(text: &'a str) -> Self {
        match text.as_bytes() {
            b"in" => Self::In,
            b"notin" => Self::NotIn,
            _ => Self::Word(text),
        }
    }
}

/// Cuts a whole selector; the result ends with [`Token::End`].
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let (token, after) = if rest.starts_with(is_special) {
            longest_symbol(rest)
        } else {
            let end = rest
                .find(|c| is_special(c) || is_space(c))
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            (Token::word(word), after)
        };
        tokens.push(token);
        rest = after.trim_start_matches(is_space);
    }
    tokens.push(Token::End);
    tokens
}

/// The longest run of special characters that is a token.
fn longest_symbol(text: &str) -> (Token<'_>, &str) {
    let run = text.find(|c| !is_special(c)).unwrap_or(text.len());
    let longest = (1..=run.min(2)).rev().find_map(|end| {
        let (symbol, after) = text.split_at_checked(end)?;
        Token::symbol(symbol).map(|token| (token, after))
    });
    let (error, after) = text.split_at(run);
    longest.unwrap_or((Token::Error(error), after))
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

const fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}
