//! Flags as Go programs read them.

/// Which flags there are, and how they are written.
pub(crate) struct Syntax {
    /// Those that take a value.
    pub(crate) values: &'static [&'static str],
    /// Those that are true when they are there, and take a value only after `=`.
    pub(crate) switches: &'static [&'static str],
    /// Whether one dash is enough (`flag`), or two are needed (`pflag`).
    pub(crate) one_dash: bool,
}

/// A flag that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// There is no such flag.
    #[error("flag provided but not defined: {0}")]
    Unknown(String),
    /// Its value is missing.
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    /// What is no flag at all.
    #[error("{0:?} is not a flag, and there is nothing else to say")]
    Stray(String),
}

impl Syntax {
    /// All flags with their values, in order.
    pub(crate) fn read(&self, words: &[String]) -> Result<Vec<(&'static str, String)>, FlagError> {
        let mut flags = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = self.name_of(word);
            let name = name.ok_or_else(|| FlagError::Stray(word.clone()))?;
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let known = |flags: &[&'static str]| flags.iter().find(|it| **it == name).copied();
            if let Some(name) = known(self.switches) {
                flags.push((name, value.unwrap_or_else(|| "true".to_owned())));
            } else if let Some(name) = known(self.values) {
                let value = value.or_else(|| words.next().cloned());
                let value = value.ok_or_else(|| FlagError::NoValue(word.clone()))?;
                flags.push((name, value));
            } else {
                return Err(FlagError::Unknown(word.clone()));
            }
        }
        Ok(flags)
    }

    /// What follows the dashes, if there are enough.
    pub(crate) fn name_of<'a>(&self, word: &'a str) -> Option<&'a str> {
        let long = word.strip_prefix("--");
        let short = if self.one_dash {
            word.strip_prefix('-')
        } else {
            None
        };
        long.or(short).filter(|name| !name.is_empty())
    }
}

/// The last of a flag's values, which is the one that counts.
pub(crate) fn last<'a>(flags: &'a [(&'static str, String)], name: &str) -> Option<&'a str> {
    let values = flags.iter().rev().filter(|(it, _)| *it == name);
    values.map(|(_, value)| value.as_str()).next()
}

/// A switch's value, as Go's `strconv.ParseBool` reads it.
pub(crate) fn switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
