//! What is logged, and how: to standard error, so that standard output stays an answer's.

use std::fmt;
use std::io::IsTerminal;
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// How a line of log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

/// Which lines are logged: a level, or directives as `tracing` knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// Why a text is not a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a log format: use text or json")]
pub struct InvalidFormat(String);

/// Why a text is not a filter.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is not a log level: use error, warn, info, debug or trace, \
     or directives such as info,runtime=debug"
)]
pub struct InvalidFilter {
    text: String,
    #[source]
    source: Option<ParseError>,
}

/// Begins to log. Only the first call in a process counts, so that tests may call it too.
pub fn init(format: LogFormat, filter: &LogFilter) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.directives()))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

impl LogFilter {
    /// A bare level is about this program. Libraries repeat at `error` what we
    /// report with more context, and at `debug` tell of every byte.
    fn directives(&self) -> String {
        match self.0.parse::<LevelFilter>() {
            Ok(LevelFilter::TRACE) => "trace".to_owned(),
            Ok(level) => {
                format!("{level},kube_client=off,hyper=warn,hyper_util=warn,rustls=warn,tower=warn")
            }
            Err(_) => self.0.clone(),
        }
    }
}

impl FromStr for LogFilter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = |source| InvalidFilter {
            text: text.to_owned(),
            source,
        };
        // A word that is no level would be taken for the name of a module, and nothing be logged.
        let is_word = !text.contains(['=', ',', '[']);
        if text.is_empty() || is_word && text.parse::<LevelFilter>().is_err() {
            return Err(invalid(None));
        }
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(source) => Err(invalid(Some(source))),
        }
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogFormat {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(InvalidFormat(text.to_owned())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_filters() {
        for text in [
            "error",
            "warn",
            "info",
            "debug",
            "trace",
            "off",
            "info,runtime=debug",
        ] {
            assert_eq!(text.parse::<LogFilter>().unwrap().to_string(), text);
        }
        for text in ["", "loud", "runtime=loud", "info,="] {
            let why = text.parse::<LogFilter>().unwrap_err().to_string();
            assert!(why.contains("is not a log level: use error, warn"), "{why}");
        }
    }

    #[test]
    fn a_bare_level_is_about_this_program() {
        let info: LogFilter = "info".parse().unwrap();
        assert!(info.directives().starts_with("info,kube_client=off"));
        let directives: LogFilter = "info,kube_client=debug".parse().unwrap();
        assert_eq!(directives.directives(), "info,kube_client=debug");
    }

    #[test]
    fn formats_are_printed_as_they_are_written() {
        for text in ["text", "json"] {
            assert_eq!(text.parse::<LogFormat>().unwrap().to_string(), text);
        }
        assert_eq!(
            "xml".parse::<LogFormat>().unwrap_err().to_string(),
            "\"xml\" is not a log format: use text or json"
        );
    }
}
