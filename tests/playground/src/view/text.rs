//! Text that fits, as terminals count: some characters take two columns, some none.

use proto_types::escape;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text without what would move the cursor, change colors or hide something.
pub(crate) fn harmless(text: &str) -> String {
    let replace = |it: char| if escape::is_hidden(it) { '·' } else { it };
    text.chars().map(replace).collect()
}

/// The text, or its beginning and a mark that it goes on; at most so wide.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let text = harmless(text);
    if width(&text) <= columns {
        return text;
    }
    let (mut fitted, mut used) = (String::new(), 0);
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if columns <= used {
            break;
        }
        fitted.push(character);
    }
    if 0 < columns {
        fitted.push('…');
    }
    fitted
}

/// The text and spaces, exactly so wide.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let mut text = fit(text, columns);
    text.extend(std::iter::repeat_n(' ', columns - width(&text)));
    text
}

/// The text in lines of at most that width, broken between words where that can be; the
/// last of so many lines says if there is more.
pub(crate) fn wrap(text: &str, columns: usize, max_lines: usize) -> Vec<String> {
    let text = harmless(text);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is a line to begin with");
        let joint = usize::from(!line.is_empty());
        if width(line) + joint + width(word) <= columns || line.is_empty() {
            line.extend(std::iter::repeat_n(' ', joint));
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    let has_more = max_lines < lines.len();
    lines.truncate(max_lines);
    if has_more && let Some(last) = lines.last_mut() {
        last.push_str(" …");
    }
    lines.iter().map(|line| fit(line, columns)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_fits_as_terminals_count() {
        for (text, columns, fitted) in [
            ("east", 4, "east"),
            ("east", 3, "ea…"),
            ("east", 1, "…"),
            ("east", 0, ""),
            // Two columns each.
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            // A letter and what is written over it.
            ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
            ("a\x1b[2Jb", 9, "a·[2Jb"),
            ("a\nb", 9, "a·b"),
            ("a\u{202e}b\u{200b}c", 9, "a·b·c"),
        ] {
            assert_eq!(fit(text, columns), fitted, "{text} in {columns}");
            assert!(width(&fit(text, columns)) <= columns, "{text} in {columns}");
            assert_eq!(width(&pad(text, columns)), columns, "{text} in {columns}");
        }
    }

    #[test]
    fn lines_break_between_words() {
        for (text, columns, n_lines, lines) in [
            ("", 5, 2, &[""][..]),
            ("one two three", 7, 3, &["one two", "three"]),
            ("one two three", 5, 2, &["one", "two …"]),
            ("one two three", 4, 2, &["one", "two…"]),
            ("incomprehensible it is", 6, 9, &["incom…", "it is"]),
        ] {
            assert_eq!(wrap(text, columns, n_lines), lines, "{text} in {columns}");
        }
    }
}
