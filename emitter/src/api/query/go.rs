//! Texts as Go reads and writes them, whose words clients compare.

use std::fmt::Write as _;
use std::time::Duration;

use proto_types::ResourceVersion;
use proto_types::quote::quote;

/// Reason why a text is no number, in the words of `strconv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoNumber {
    /// It has something else than digits.
    #[error("invalid syntax")]
    Syntax,
    /// It has too many digits.
    #[error("value out of range")]
    Range,
}

/// Reads as `strconv.ParseUint(text, 10, 64)` does.
fn parse_uint(text: &str) -> Result<u64, NoNumber> {
    if text.is_empty() {
        return Err(NoNumber::Syntax);
    }
    let mut number = 0_u64;
    for byte in text.bytes() {
        if !byte.is_ascii_digit() {
            return Err(NoNumber::Syntax);
        }
        let longer = number.checked_mul(10);
        let longer = longer.and_then(|it| it.checked_add(u64::from(byte - b'0')));
        number = longer.ok_or(NoNumber::Range)?;
    }
    Ok(number)
}

/// Reads a resource version; the error is in Go's words.
pub(in super::super) fn revision(text: &str) -> Result<ResourceVersion, String> {
    parse_uint(text).map(ResourceVersion::new).map_err(|why| {
        let text = quote(text);
        format!("resourceVersion: Invalid value: {text}: strconv.ParseUint: parsing {text}: {why}")
    })
}

/// Reads as `strconv.ParseInt(text, 10, 64)` does.
pub(super) fn parse_int(text: &str) -> Result<i64, NoNumber> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = i128::from(parse_uint(digits)?);
    let number = if is_negative { -number } else { number };
    number.try_into().map_err(|_| NoNumber::Range)
}

/// Reads as `time.ParseDuration` does: `32s`, `-1.5h`, `1h15m`, `0`. What is negative is
/// zero: no time limit is. The error is in Go's words.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {}", quote_bytes(text));
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let is_unit = |it: char| it != '.' && !it.is_ascii_digit();
        let (number, after) = rest.split_at(rest.find(is_unit).unwrap_or(rest.len()));
        // A second point begins another number, and this one lacks its unit.
        let ends_early = number.matches('.').count() > 1;
        if !number.bytes().any(|it| it.is_ascii_digit()) || number.starts_with("..") {
            return Err(invalid());
        }
        let (unit, after) = after.split_at(after.find(|it| !is_unit(it)).unwrap_or(after.len()));
        let quoted = quote_bytes(text);
        if unit.is_empty() || ends_early {
            return Err(format!("time: missing unit in duration {quoted}"));
        }
        let length = UNITS.iter().find(|(name, _)| *name == unit);
        let Some((_, length)) = length else {
            let unit = quote_bytes(unit);
            return Err(format!("time: unknown unit {unit} in duration {quoted}"));
        };
        total += number.parse::<f64>().map_err(|_| invalid())? * length;
        rest = after;
    }
    // Go counts nanoseconds in 63 bits.
    if 9_223_372_036.854_775 < total {
        return Err(invalid());
    }
    let is_negative = text.starts_with('-');
    Ok(Duration::from_secs_f64(if is_negative {
        0.0
    } else {
        total
    }))
}

const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("\u{b5}s", 1e-6),
    ("\u{3bc}s", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Writes as the package `time` does, byte by byte.
fn quote_bytes(text: &str) -> String {
    let mut quoted = String::from('"');
    for byte in text.bytes() {
        let escaped = match byte {
            b'"' | b'\\' => write!(quoted, "\\{}", char::from(byte)),
            b' '..=b'~' | b'\x7f' => write!(quoted, "{}", char::from(byte)),
            _ => write!(quoted, "\\x{byte:02x}"),
        };
        escaped.expect("a String takes every text");
    }
    quoted.push('"');
    quoted
}

/// Splits a query as `net/url` does: a pair with a semicolon or with a broken escape is
/// dropped whole.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = query.split('&');
    let pairs = pairs.filter(|pair| !pair.is_empty() && !pair.contains(';') && !is_broken(pair));
    let decoded = pairs.filter_map(|pair| form_urlencoded::parse(pair.as_bytes()).next());
    decoded.map(|(name, value)| (name.into(), value.into()))
}

/// Returns whether a percent sign lacks its two digits.
fn is_broken(text: &str) -> bool {
    let mut escapes = text.split('%');
    escapes.next();
    escapes.any(|after| {
        let digits = after.as_bytes().get(..2);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::{Duration, NoNumber, duration, pairs, parse_int, parse_uint};

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        assert_eq!(parse_uint("007"), Ok(7));
        assert_eq!(parse_uint("+7"), Err(NoNumber::Syntax));
        assert_eq!(parse_uint("18446744073709551616"), Err(NoNumber::Range));
        assert_eq!(parse_uint("99999999999999999999x"), Err(NoNumber::Range));
        assert_eq!(parse_int("+7"), Ok(7));
        assert_eq!(parse_int("-9223372036854775808"), Ok(i64::MIN));
        assert_eq!(parse_int("9223372036854775808"), Err(NoNumber::Range));
        assert_eq!(parse_int(&"9".repeat(60)), Err(NoNumber::Range));
        for text in ["", "-", "+", "1 ", "--1", "0x1", "1_0"] {
            assert_eq!(parse_int(text), Err(NoNumber::Syntax), "{text}");
        }
    }

    #[test]
    fn a_duration_has_units() {
        assert_eq!(duration("1h1m1.5s"), Ok(Duration::from_millis(3_661_500)));
        assert_eq!(duration(".5s"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("-5s"), Ok(Duration::ZERO));
        for (text, why) in [
            ("5", r#"time: missing unit in duration "5""#),
            ("1.2.3s", r#"time: missing unit in duration "1.2.3s""#),
            (".s", r#"time: invalid duration ".s""#),
            ("s", r#"time: invalid duration "s""#),
            ("-", r#"time: invalid duration "-""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            (
                "1\u{e9}",
                r#"time: unknown unit "\xc3\xa9" in duration "1\xc3\xa9""#,
            ),
            ("9999999h", r#"time: invalid duration "9999999h""#),
        ] {
            assert_eq!(duration(text), Err(why.to_owned()));
        }
    }

    #[test]
    fn a_broken_escape_drops_its_pair() {
        let read: Vec<_> = pairs("a=%zz&b=1&c=%2&d=%25&e;f=2&%=3").collect();
        let expected = [("b", "1"), ("d", "%")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(read, expected);
    }
}
