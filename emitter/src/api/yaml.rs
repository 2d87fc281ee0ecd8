//! The same document in YAML, for people.

use serde_json::Value;

/// Writes JSON that we wrote as YAML, with its keys sorted.
pub(super) fn of_json(json: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(json).expect("what we wrote is JSON");
    // A folded text reads worse than a long one.
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(&value, options);
    text.expect("all JSON can be written as YAML").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::of_json;

    #[test]
    fn what_looks_like_something_else_is_quoted() {
        let json = br#"{"b":{"port":80,"text":"80","yes":"yes","at":"2026-01-01T00:00:00Z"},"a":["",null,"x: y","- z"]}"#;
        let yaml = String::from_utf8(of_json(json)).unwrap();
        let expected = "a:\n- \"\"\n- null\n- \"x: y\"\n- \"- z\"\nb:\n  at: \"2026-01-01T00:00:00Z\"\n  port: 80\n  text: \"80\"\n  \"yes\": \"yes\"\n";
        assert_eq!(yaml, expected);
    }
}
