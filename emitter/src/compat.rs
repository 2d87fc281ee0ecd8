//! service-reflector's command line, for the emitter that it had within.
//!
//! Its flags for an emitter are ours behind `emitter.`. What is for its reflector is left alone and
//! noted, what is empty is as if it were not there, and words that are no flags are passed over, as
//! it did. Flags of this program may stand among them.

use runtime::flags::former::deprecated;
use runtime::flags::service_reflector::{SYNTAX, is_its, log_level};
use runtime::flags::{self, address, switch};

use crate::config::{Args, FlagDialect};

/// Error of a command line of service-reflector.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The value of a flag is missing.
    #[error("flag needs an argument: {0}")]
    NoValue(String),
    /// The value of a flag is none.
    #[error("{flag}: {why}")]
    Value {
        /// The flag.
        flag: String,
        /// Error of its value.
        why: String,
    },
    /// No emitter is wanted.
    #[error(
        "--emitter=false: this program is the emitter; the reflector is a program of its own, \
         which takes the same flags"
    )]
    NoEmitter,
    /// Its own words, or what is wrong in ours.
    #[error("{0}")]
    Words(String),
}

/// Parses a command line of this program or of a predecessor. Exits, as clap does, if a flag of
/// this program is invalid.
pub fn parse(words: &[String]) -> Result<Args, Error> {
    let line = CommandLine::read(words)?;
    let warnings = match line.spelling {
        FlagDialect::Ours => deprecated::<Args>(&line.words),
        // It had these names itself.
        FlagDialect::ServiceReflector { .. } => Vec::new(),
    };
    let name = std::iter::once("emitter".to_owned());
    let args: Args = flags::parsed(name.chain(line.words));
    Ok(args.spelled(line.spelling).warned(warnings))
}

/// The same as flags of this program.
#[derive(Debug, Default)]
pub(crate) struct CommandLine {
    pub(crate) words: Vec<String>,
    pub(crate) spelling: FlagDialect,
}

impl CommandLine {
    pub(crate) fn read(words: &[String]) -> Result<Self, Error> {
        if !words.iter().any(|word| is_its(word)) {
            return Ok(Self {
                words: words.to_vec(),
                spelling: FlagDialect::Ours,
            });
        }
        let mut line = Self::default();
        let (mut notes, mut is_whole) = (Vec::new(), true);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some(flag) = SYNTAX.has(word) else {
                if word.starts_with('-') {
                    is_whole = false;
                }
                // Behind a flag of ours it may be its value.
                match is_whole {
                    true => notes.push(format!("ignored, as it always was: {word:?}")),
                    false => line.words.push(word.clone()),
                }
                continue;
            };
            let given = word.split_once('=').map(|(_, value)| value);
            let value = match (given, SYNTAX.switches.contains(&flag)) {
                (Some(value), _) => value,
                (None, true) => "true",
                (None, false) => words.next().ok_or_else(|| Error::NoValue(word.clone()))?,
            };
            line.words.extend(translate(flag, value, &mut notes)?);
        }
        line.spelling = FlagDialect::ServiceReflector { is_whole, notes };
        Ok(line)
    }
}

/// One flag as a flag of this program, if it is of use here.
fn translate(
    flag: &'static str,
    value: &str,
    notes: &mut Vec<String>,
) -> Result<Option<String>, Error> {
    let wrong = |why: String| Error::Value {
        flag: format!("--{flag}"),
        why,
    };
    let not_here = format!("--{flag} is not for the emitter: run `reflector` with the same flags");
    if SYNTAX.switches.contains(&flag) {
        let is_on =
            switch(value).ok_or_else(|| wrong(format!("{value:?} is not true or false")))?;
        return match (flag, is_on) {
            ("emitter", false) => Err(Error::NoEmitter),
            ("version", true) => Ok(Some("--version".to_owned())),
            ("reflector", true) => {
                notes.push(not_here);
                Ok(None)
            }
            _ => Ok(None),
        };
    }
    if value.is_empty() {
        return Ok(None);
    }
    let value = match flag {
        "listen" | "admin-bind-address" => address(value).map_err(wrong)?.to_string(),
        "log-level" => {
            let level = log_level(value).or_else(|why| value.parse().map_err(|_| why));
            level.map_err(Error::Words)?.to_string()
        }
        // Go's own default, which ours takes the place of.
        "emitter.http2-max-streams-per-connection" if value == "0" => return Ok(None),
        _ => value.to_owned(),
    };
    match (
        flag.strip_prefix("emitter."),
        flag.starts_with("reflector."),
    ) {
        (Some(name), _) => Ok(Some(format!("--{name}={value}"))),
        (None, false) => Ok(Some(format!("--{flag}={value}"))),
        (None, true) => {
            notes.push(not_here);
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
