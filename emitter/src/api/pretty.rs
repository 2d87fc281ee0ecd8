//! Indented JSON, for people: the same tokens, as Go's `MarshalIndent` lays them out.

/// Indents compact JSON by two spaces, leaving every token as it is.
pub(super) fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut previous = 0;
    for &byte in json {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        let opened = matches!(previous, b'{' | b'[');
        match byte {
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !opened {
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b' ' | b'\n' | b'\t' | b'\r' => continue,
            _ => {
                if opened {
                    line(&mut out, depth);
                }
                out.push(byte);
                match byte {
                    b'{' | b'[' => depth += 1,
                    b',' => line(&mut out, depth),
                    b':' => out.push(b' '),
                    b'"' => in_string = true,
                    _ => {}
                }
            }
        }
        previous = byte;
    }
    out
}

fn line(out: &mut Vec<u8>, depth: usize) {
    out.push(b'\n');
    out.resize(out.len() + 2 * depth, b' ');
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn json_is_laid_out_as_go_does() {
        let json = br#"{"a":[1,{"b":"x{,\"\\"}],"c":{},"d":[],"e":[[]]}"#;
        let pretty = indent(json);
        let expected = "{\n  \"a\": [\n    1,\n    {\n      \"b\": \"x{,\\\"\\\\\"\n    }\n  ],\n  \"c\": {},\n  \"d\": [],\n  \"e\": [\n    []\n  ]\n}";
        assert_eq!(String::from_utf8(pretty).unwrap(), expected);
    }
}
