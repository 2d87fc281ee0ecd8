//! Text from outside, made safe to print.
//!
//! A source, a client or an API server may send any characters. A terminal obeys some of
//! them, and others change what a reader sees: escape sequences, line breaks, characters that
//! turn the direction of text, and characters without width. All of them are printed as
//! escapes such as `\u{1b}`. Text that is escaped already stays as it is.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

/// Characters that are printed as escapes, beside control characters, as ranges.
const HIDDEN: [(char, char); 20] = [
    // Soft hyphen, joiners and fillers without width.
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    // Zero width, and marks of direction.
    ('\u{200b}', '\u{200f}'),
    // Line and paragraph separators, embeddings and overrides of direction.
    ('\u{2028}', '\u{202e}'),
    // Invisible operators, isolates of direction, deprecated format characters.
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    // Tags and variation selectors.
    ('\u{e0000}', '\u{e0fff}'),
    ('\u{f0000}', '\u{10ffff}'),
];

/// Returns whether a character is printed as an escape.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    let is_in = |range: &(char, char)| (range.0..=range.1).contains(&character);
    character.is_control() || HIDDEN.iter().any(is_in)
}

/// Returns a text in one line, as it can be printed.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden, |it| it.escape_default().to_string())
}

/// Returns a URL without the user name and the password that it may have, for messages.
#[must_use]
pub fn without_user_info(url: &str) -> Cow<'_, str> {
    let start = url.find("://").map_or(0, |it| it + "://".len());
    let rest = &url[start..];
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may have an at sign that is not encoded.
    match rest[..end].rfind('@') {
        None => Cow::Borrowed(url),
        Some(at) => Cow::Owned(format!("{}xxxxx{}", &url[..start], &rest[at..])),
    }
}

/// Returns a text of several lines, as it can be printed. Each value within it that came from
/// outside is to be one [`text`].
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    let is_escaped = |it| it != '\n' && is_hidden(it);
    escaped(text, is_escaped, |it| it.escape_default().to_string())
}

/// Returns JSON in one line that means the same and can be printed.
#[must_use]
pub fn json_line(json: &str) -> Cow<'_, str> {
    escaped(json, is_hidden, |it| {
        let (mut units, mut escape) = ([0; 2], String::new());
        for unit in it.encode_utf16(&mut units) {
            let _ = write!(escape, "\\u{unit:04x}");
        }
        escape
    })
}

/// Returns something as JSON in which all texts are escaped.
pub fn json<T: Serialize>(it: &T) -> serde_json::Result<Value> {
    let mut json = serde_json::to_value(it)?;
    value(&mut json);
    Ok(json)
}

/// Escapes all texts within a value.
pub fn value(json: &mut Value) {
    match json {
        Value::String(it) => {
            if let Cow::Owned(escaped) = text(it) {
                *it = escaped;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(value),
        Value::Object(entries) => {
            entries.values_mut().for_each(value);
            if entries.keys().any(|it| it.chars().any(is_hidden)) {
                let renamed = std::mem::take(entries).into_iter();
                *entries = renamed
                    .map(|(key, value)| (text(&key).into_owned(), value))
                    .collect();
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn escaped(
    text: &str,
    is_escaped: impl Fn(char) -> bool,
    escape: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            escaped.push_str(&escape(character));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{is_hidden, json_line, lines, text, value, without_user_info};

    /// C0, DEL, C1, marks of direction, and characters without width.
    fn harmful() -> impl Iterator<Item = char> {
        let ranges = [
            '\0'..='\u{1f}',
            '\u{7f}'..='\u{9f}',
            '\u{200b}'..='\u{200f}',
            '\u{2028}'..='\u{202e}',
            '\u{2060}'..='\u{206f}',
            '\u{e0000}'..='\u{e007f}',
            '\u{fe00}'..='\u{fe0f}',
        ];
        let others = [
            '\u{ad}', '\u{61c}', '\u{180e}', '\u{feff}', '\u{3164}', '\u{fff9}',
        ];
        ranges.into_iter().flatten().chain(others)
    }

    #[test]
    fn no_harmful_character_is_printed() {
        for character in harmful() {
            let raw = format!("a{character}b");
            for printed in [text(&raw), lines(&raw.replace('\n', "")), json_line(&raw)] {
                assert!(
                    !printed.chars().any(is_hidden),
                    "{character:?}: {printed:?}"
                );
            }
            let mut json = json!({&raw: [raw, {"x": raw}]});
            value(&mut json);
            assert!(!json.to_string().chars().any(is_hidden), "{character:?}");
            assert_eq!(
                text(&text(&raw)),
                text(&raw),
                "{character:?} is escaped once"
            );
        }
    }

    #[test]
    fn every_character_that_stays_is_one_that_is_seen() {
        for code in 0..=u32::from(char::MAX) {
            let Some(character) = char::from_u32(code) else {
                continue;
            };
            let raw = character.to_string();
            let is_kept = text(&raw) == raw;
            assert_eq!(is_kept, !is_hidden(character), "{character:?}");
        }
        for legible in ["demo/web", "日本語", "e\u{301}", "ü — “x” \\ \"", "😀"] {
            assert_eq!(text(legible), legible);
        }
    }

    #[test]
    fn a_line_of_json_means_what_it_meant() {
        let raw = json!({"message": "a\u{202e}b\u{9b}c\u{e0041}d"});
        let line = serde_json::to_string(&raw).unwrap();
        let printed = json_line(&line);
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), raw);
    }

    #[test]
    fn only_lines_keep_their_breaks() {
        assert_eq!(text("a\nb\x1b[2J\tc"), "a\\nb\\u{1b}[2J\\tc");
        assert_eq!(lines("a\nb\x1b[2J\n"), "a\nb\\u{1b}[2J\n");
    }

    #[test]
    fn a_url_is_printed_without_user_and_password() {
        for (url, printed) in [
            ("https://east", "https://east"),
            (
                "https://me:secret@east:8443/a@b",
                "https://xxxxx@east:8443/a@b",
            ),
            ("https://me:se@cret@east", "https://xxxxx@east"),
            ("me:secret@east?x", "xxxxx@east?x"),
            ("https://east/?to=me@x", "https://east/?to=me@x"),
            ("", ""),
        ] {
            assert_eq!(without_user_info(url), printed);
        }
    }
}
