//! Logging: to standard error, so that standard output is for results.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use proto_types::escape;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

/// Level of the log, or directives as `tracing` reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// Error of an invalid format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a log format: use text or json")]
pub struct InvalidFormat(String);

/// Error of an invalid filter.
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
    // Colors are escape sequences, which nothing that is logged may have.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.directives()))
        .with_ansi(false);
    let _ = match format {
        LogFormat::Text => {
            let writer = || Escaping(std::io::stderr(), escape::text);
            builder.with_writer(writer).try_init()
        }
        LogFormat::Json => {
            let writer = || Escaping(std::io::stderr(), escape::json_line);
            builder
                .json()
                .flatten_event(true)
                .with_writer(writer)
                .try_init()
        }
    };
}

/// Writes each record as one line that is safe to print, whatever is in its fields.
struct Escaping<W>(W, fn(&str) -> Cow<'_, str>);

impl<W: Write> Write for Escaping<W> {
    /// A record comes whole, with its line break.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let Self(writer, escape) = self;
        let text = String::from_utf8_lossy(record);
        let (line, end) = match text.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (&*text, ""),
        };
        writer.write_all(format!("{}{end}", escape(line)).as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl LogFilter {
    /// A bare level is about this program. Libraries repeat at `error` what we report with more
    /// context, and at `debug` log every byte.
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
    fn a_record_is_one_line_without_escape_sequences() {
        for (escape, is_json) in [
            (escape::text as fn(&str) -> Cow<'_, str>, false),
            (escape::json_line, true),
        ] {
            let mut logged = Vec::new();
            let message = "gone\n2026 ERROR forged\x1b[2J\u{9b}31m\u{202e}";
            let record = if is_json {
                serde_json::json!({"message": message}).to_string() + "\n"
            } else {
                format!("INFO {message}\n")
            };
            let mut writer = Escaping(&mut logged, escape);
            writer.write_all(record.as_bytes()).unwrap();
            let logged = String::from_utf8(logged).unwrap();
            assert_eq!(logged.matches('\n').count(), 1, "{logged}");
            assert!(
                !logged.trim_end().chars().any(escape::is_hidden),
                "{logged}"
            );
        }
    }

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
