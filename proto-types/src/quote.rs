//! Texts in messages, quoted as a kube-apiserver quotes them.

use std::fmt::Write as _;

/// Writes as Go's `strconv.Quote` does.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for it in text.chars() {
        let number = u32::from(it);
        let written = match it {
            '"' | '\\' => write!(quoted, "\\{it}"),
            '\u{7}' => write!(quoted, "\\a"),
            '\u{8}' => write!(quoted, "\\b"),
            '\u{c}' => write!(quoted, "\\f"),
            '\n' => write!(quoted, "\\n"),
            '\r' => write!(quoted, "\\r"),
            '\t' => write!(quoted, "\\t"),
            '\u{b}' => write!(quoted, "\\v"),
            '\0'..='\u{1f}' | '\u{7f}' => write!(quoted, "\\x{number:02x}"),
            _ if is_printed(it) => write!(quoted, "{it}"),
            '\0'..='\u{ffff}' => write!(quoted, "\\u{number:04x}"),
            _ => write!(quoted, "\\U{number:08x}"),
        };
        written.expect("a String takes every text");
    }
    quoted.push('"');
    quoted
}

/// Returns whether Go prints it as it is: what Rust prints, and characters that combine with
/// the one before them.
fn is_printed(it: char) -> bool {
    let mut debug = it.escape_debug();
    it.is_ascii() || debug.next() != Some('\\') || is_combining(it)
}

/// Marks, in the blocks that have nothing else.
const fn is_combining(it: char) -> bool {
    matches!(it, '\u{300}'..='\u{34e}' | '\u{350}'..='\u{36f}' | '\u{20d0}'..='\u{20f0}')
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        for (text, quoted) in [
            ("a\"\\\n\0'", r#""a\"\\\n\x00'""#),
            ("é\u{7f}\u{301}", "\"é\\x7f\u{301}\""),
            ("\u{2028}\u{ad}\u{a0}", r#""\u2028\u00ad\u00a0""#),
            ("\u{1f600}\u{e0001}", "\"\u{1f600}\\U000e0001\""),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }
}
