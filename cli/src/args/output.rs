//! The flag `--output`.

use std::ffi::OsStr;
use std::sync::Arc;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;

use crate::jsonpath::Template;

/// Format of the output.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Output {
    /// Short text.
    #[default]
    Text,
    /// Text with all details.
    Wide,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// Fields of the JSON, by a template of kubectl's JSONPath.
    JsonPath(Arc<Template>),
}

/// Parser of the values of `--output`.
#[derive(Debug, Clone)]
pub(crate) struct OutputParser;

/// Word before a template.
const JSONPATH: &str = "jsonpath=";

impl TypedValueParser for OutputParser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Output, clap::Error> {
        let value = value.to_string_lossy();
        parse(&value).map_err(|why| {
            clap::Error::raw(ErrorKind::InvalidValue, format!("{why}\n")).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values = [
            ("text", "Short text"),
            ("wide", "Text with all details"),
            ("json", "JSON"),
            ("yaml", "YAML"),
            (JSONPATH, "Fields of the JSON, by a template as of kubectl"),
        ];
        let values = values.map(|(name, help)| PossibleValue::new(name).help(help));
        Some(Box::new(values.into_iter()))
    }
}

fn parse(value: &str) -> Result<Output, String> {
    if let Some(template) = value.strip_prefix(JSONPATH) {
        return Ok(Output::JsonPath(Arc::new(Template::parse(template)?)));
    }
    match value {
        "text" => Ok(Output::Text),
        "wide" => Ok(Output::Wide),
        "json" => Ok(Output::Json),
        "yaml" => Ok(Output::Yaml),
        _ => Err(format!(
            "invalid value {value:?} for '--output': write text, wide, json, yaml or \
             jsonpath=TEMPLATE"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Output, parse};

    #[test]
    fn a_format_is_a_word_or_a_template() {
        assert_eq!(parse("wide"), Ok(Output::Wide));
        let template = parse("jsonpath={.sources[*].name}").unwrap();
        assert!(matches!(template, Output::JsonPath(_)));
        assert!(parse("jsonpath={.a").unwrap_err().contains("brace"));
        assert!(parse("table").unwrap_err().contains("jsonpath=TEMPLATE"));
    }
}
