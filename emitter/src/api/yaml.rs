//! The same document in YAML, for people.

use serde_json::Value;

/// Writes JSON as YAML, with its keys sorted. Objects may have what no number type holds,
/// as a server sent it: that JSON is YAML as it is.
pub(super) fn of_json(json: &[u8]) -> Vec<u8> {
    let Ok(value) = serde_json::from_slice::<Value>(json) else {
        return json.to_vec();
    };
    // A folded text reads worse than a long one.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(&value, options);
    text.map_or_else(|_| json.to_vec(), String::into_bytes)
}

#[cfg(test)]
mod tests {
    use super::of_json;

    #[test]
    fn json_that_no_value_holds_stays_json() {
        let nested = [b"[".repeat(1000), b"]".repeat(1000)].concat();
        for json in [&nested[..], br#"{"a":1e999}"#] {
            assert_eq!(of_json(json), json);
        }
    }

    #[test]
    fn ambiguous_values_are_quoted() {
        let json = br#"{"b":{"port":80,"text":"80","yes":"yes","at":"2026-01-01T00:00:00Z"},"a":["",null,"x: y","- z"]}"#;
        let yaml = String::from_utf8(of_json(json)).unwrap();
        let expected = "a:\n- \"\"\n- null\n- \"x: y\"\n- \"- z\"\nb:\n  at: \"2026-01-01T00:00:00Z\"\n  port: 80\n  text: \"80\"\n  \"yes\": \"yes\"\n";
        assert_eq!(yaml, expected);
    }
}
