//! Flags as Go programs read them.

pub mod former;
pub mod service_reflector;

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Reads a command line of this program. If it is invalid or requests help, prints that and ends
/// the process: with 1, and not with clap's 2, which is the code of an answer.
#[expect(
    clippy::exit,
    clippy::disallowed_methods,
    reason = "as clap's own parse does, with another code"
)]
pub fn parsed<T: clap::Parser>(words: impl Iterator<Item = String>) -> T {
    T::try_parse_from(words).unwrap_or_else(|error| {
        // A reader that has closed its end needs no message.
        let _ = error.print();
        std::process::exit(i32::from(error.use_stderr()))
    })
}

/// Known flags, and their syntax.
pub struct Syntax {
    /// Those that take a value.
    pub values: &'static [&'static str],
    /// Those that are true when they are there, and take a value only after `=`.
    pub switches: &'static [&'static str],
    /// Number of dashes before a flag.
    pub dashes: Dashes,
}

/// Go's two ways to read flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dashes {
    /// `flag`: one dash is as good as two, and the first word that is no flag ends them.
    OneOrTwo,
    /// `pflag`: two dashes, and words that are no flags may stand between them.
    Two,
}

/// Parsed flags.
#[derive(Debug, Default)]
pub struct Flags {
    given: Vec<(&'static str, String)>,
    /// Words that programs in Go ignore.
    pub ignored: Vec<String>,
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
    /// The word begins like a flag and is none.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// The list of flags was requested.
    #[error("{0}")]
    Help(String),
}

impl Syntax {
    /// All flags with their values, in order.
    pub fn read(&self, words: &[String]) -> Result<Flags, FlagError> {
        let mut flags = Flags::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                flags.ignored.extend(words.cloned());
                break;
            }
            let Some(name) = self.name_of(word) else {
                if self.dashes == Dashes::Two && word.len() > 1 && word.starts_with('-') {
                    return Err(FlagError::Unknown(word.clone()));
                }
                flags.ignored.push(word.clone());
                if self.dashes == Dashes::OneOrTwo {
                    flags.ignored.extend(words.cloned());
                    break;
                }
                continue;
            };
            if name.starts_with(['-', '=']) {
                return Err(FlagError::Syntax(word.clone()));
            }
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            if let Some(name) = known(self.switches, name) {
                let value = value.unwrap_or_else(|| "true".to_owned());
                flags.given.push((name, value));
            } else if let Some(name) = known(self.values, name) {
                let value = value.or_else(|| words.next().cloned());
                let value = value.ok_or_else(|| FlagError::NoValue(word.clone()))?;
                flags.given.push((name, value));
            } else if matches!(name, "h" | "help") {
                return Err(FlagError::Help(self.usage()));
            } else {
                return Err(FlagError::Unknown(word.clone()));
            }
        }
        Ok(flags)
    }

    /// Returns the text after the dashes, if there are enough.
    pub fn name_of<'a>(&self, word: &'a str) -> Option<&'a str> {
        let long = word.strip_prefix("--");
        let short = match self.dashes {
            Dashes::OneOrTwo => word.strip_prefix('-'),
            Dashes::Two => word.strip_prefix('-').filter(|it| *it == "h"),
        };
        long.or(short).filter(|name| !name.is_empty())
    }

    /// Returns the flag that a word names, if it names one.
    pub fn has(&self, word: &str) -> Option<&'static str> {
        let name = self.name_of(word)?.split('=').next()?;
        known(self.switches, name).or_else(|| known(self.values, name))
    }

    fn usage(&self) -> String {
        let dashes = match self.dashes {
            Dashes::OneOrTwo => "-",
            Dashes::Two => "--",
        };
        let mut usage = "usage, in place of the program that had these flags:".to_owned();
        for name in self.values {
            let _ = write!(usage, "\n  {dashes}{name} value");
        }
        for name in self.switches {
            let _ = write!(usage, "\n  {dashes}{name}[=true|false]");
        }
        usage
    }
}

impl Flags {
    /// The last of a flag's values, which is the one that counts.
    pub fn last(&self, name: &str) -> Option<&str> {
        let values = self.given.iter().rev().filter(|(it, _)| *it == name);
        values.map(|(_, value)| value.as_str()).next()
    }

    /// All that was typed, in order.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.given.iter().map(|(name, value)| (*name, &**value))
    }
}

fn known(flags: &[&'static str], name: &str) -> Option<&'static str> {
    flags.iter().find(|it| **it == name).copied()
}

/// A switch's value, as Go's `strconv.ParseBool` reads it.
pub fn switch(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// An address as Go's programs listen on it: without a host it is every one.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = match host {
        "" => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.parse(),
    };
    let ip = ip.map_err(|why| format!("{text:?}: {why}"))?;
    let port = port.parse().map_err(|why| format!("{text:?}: {why}"))?;
    Ok(SocketAddr::new(ip, port))
}

/// Returns whether Go's `time.ParseDuration` reads a text.
pub fn is_duration(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    if text == "0" {
        return true;
    }
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let digits = &rest[..rest.len() - number.len()];
        let is_number = digits.matches('.').count() < 2 && digits.contains(char::is_numeric);
        let units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
        let unit = number.trim_start_matches(|c: char| !c.is_ascii_digit() && c != '.');
        if !is_number || !units.contains(&&number[..number.len() - unit.len()]) {
            return false;
        }
        rest = unit;
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::{Dashes, FlagError, Syntax, address, is_duration};

    const GO: Syntax = Syntax {
        values: &["config", "mirror-ns"],
        switches: &["svc-sync"],
        dashes: Dashes::OneOrTwo,
    };

    fn read(syntax: &Syntax, line: &str) -> Result<String, FlagError> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let flags = syntax.read(&words)?;
        let given: Vec<_> = flags
            .all()
            .map(|(name, it)| format!("{name}={it}"))
            .collect();
        Ok(format!("{} | {}", given.join(" "), flags.ignored.join(" ")))
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let cases = [
            ("-config x", "config=x | "),
            ("--config=x -config= y", "config=x config= | y"),
            ("-config -svc-sync", "config=-svc-sync | "),
            ("-svc-sync -mirror-ns=a=b", "svc-sync=true mirror-ns=a=b | "),
            ("-svc-sync=false", "svc-sync=false | "),
            (
                "-svc-sync false -config x",
                "svc-sync=true | false -config x",
            ),
            ("-config x -- -nonsense", "config=x | -nonsense"),
            ("- -config x", " | - -config x"),
        ];
        for (line, expected) in cases {
            assert_eq!(read(&GO, line).unwrap(), expected, "{line}");
        }
        let refused = |line: &str| read(&GO, line).unwrap_err().to_string();
        assert_eq!(refused("-conf x"), "flag provided but not defined: -conf");
        assert_eq!(refused("-config"), "flag needs an argument: -config");
        assert_eq!(refused("---config=x"), "bad flag syntax: ---config=x");
        assert_eq!(refused("-=x"), "bad flag syntax: -=x");
        for help in ["-h", "-help", "--help"] {
            assert!(refused(help).contains("\n  -mirror-ns value"), "{help}");
        }
    }

    #[test]
    fn flags_are_read_as_pflag_reads_them() {
        const PFLAG: Syntax = Syntax {
            values: &["listen"],
            switches: &["emitter"],
            dashes: Dashes::Two,
        };
        let cases = [
            ("x --listen :1 y", "listen=:1 | x y"),
            ("--emitter=false --emitter", "emitter=false emitter=true | "),
        ];
        for (line, expected) in cases {
            assert_eq!(read(&PFLAG, line).unwrap(), expected, "{line}");
        }
        assert!(read(&PFLAG, "-y").is_err());
        for help in ["-h", "--help"] {
            let refused = read(&PFLAG, help).unwrap_err().to_string();
            assert!(refused.contains("\n  --listen value"), "{refused}");
        }
    }

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for good in ["0", "60m", "1h30m", "1.5h", ".5s", "300ms", "-1s", "1µs"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["", "60", "soon", "1d", "1.2.3s", "h", ".s", "-"] {
            assert!(!is_duration(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_read_as_go_listens_on_them() {
        for (text, read) in [
            (":9090", "0.0.0.0:9090"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::1]:80", "[::1]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(address(text).unwrap().to_string(), read);
        }
        for wrong in ["", ":", "a:1", ":70000", "10.0.0.1"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
