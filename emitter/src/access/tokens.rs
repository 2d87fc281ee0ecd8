//! A file of bearer tokens, as kube-apiserver's `--token-auth-file`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::User;

/// Tokens, and whose they are.
#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<String, User>);

/// Error of a token file.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It does not open.
    #[error("cannot read tokens {path} (--token-auth-file): {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// A line is invalid; its content is not printed.
    #[error(
        "tokens {path} (--token-auth-file), line {line}: write it as \
         TOKEN,USER,UID or TOKEN,USER,UID,\"GROUP,GROUP\""
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
}

impl Tokens {
    pub(super) fn read(path: &Path) -> Result<Self, TokensError> {
        let text = std::fs::read_to_string(path).map_err(|source| TokensError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|line| TokensError::Line {
            path: path.to_owned(),
            line,
        })
    }

    /// The number of the first line that is wrong is the error.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut tokens = HashMap::new();
        for (line, number) in text.lines().zip(1_usize..) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (token, user) = read_line(line).ok_or(number)?;
            tokens.insert(token, user);
        }
        Ok(Self(tokens))
    }

    pub(super) fn user(&self, token: &str) -> Option<&User> {
        self.0.get(token)
    }
}

fn read_line(line: &str) -> Option<(String, User)> {
    let fields = fields(line)?;
    let (token, user, uid, groups) = match fields.as_slice() {
        [token, user, uid] => (token, user, uid, ""),
        [token, user, uid, groups, ..] => (token, user, uid, groups.as_str()),
        _ => return None,
    };
    if token.is_empty() || user.is_empty() {
        return None;
    }
    let groups = groups.split(',').map(str::trim);
    let groups = groups.filter(|group| !group.is_empty());
    let mut user = User::known(user, groups.map(str::to_owned).collect());
    user.uid.clone_from(uid);
    Some((token.clone(), user))
}

/// The fields of a line; one in quotes may have commas, and doubled quotes.
fn fields(line: &str) -> Option<Vec<String>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.trim_start().strip_prefix(',') {
            Some(next) => rest = next,
            None if after.trim().is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// Splits a text at its closing quote.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Some((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Tokens, User};

    #[test]
    fn tokens_are_read_as_a_kube_apiserver_reads_them() {
        let text = "# readers\n\nt1,west,u1\nt2, north ,u2,\"a,b\"\nt3,south,u3,c\nt4,\"o \"\"x\"\"\",u4\n";
        let tokens = Tokens::parse(text).unwrap();
        let user = |token| tokens.user(token).unwrap();
        let groups = |names: &[&str]| names.iter().map(|&it| it.to_owned()).collect();
        let known = |name, names: &[&str], uid: &str| User {
            uid: uid.to_owned(),
            ..User::known(name, groups(names))
        };
        assert_eq!(*user("t1"), known("west", &[], "u1"));
        assert_eq!(*user("t2"), known("north", &["a", "b"], "u2"));
        assert_eq!(*user("t3"), known("south", &["c"], "u3"));
        assert_eq!(user("t4").name, "o \"x\"");
        assert!(tokens.user("t").is_none());
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        for (text, line) in [
            ("t,u", 1),
            ("a,b,c\n,u,i", 2),
            ("a,b,c\nt,u,i,\"x", 2),
            ("t,u,i,\"x\"y", 1),
        ] {
            assert_eq!(Tokens::parse(text).err(), Some(line), "{text}");
        }
    }
}
