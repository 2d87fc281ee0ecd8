//! A body as text that can be compared and shown, whatever it is written in, without the resource
//! versions in which two servers may differ and both be right.

use anyhow::Context;
use serde_json::Value;

/// JSON and YAML for people to read, protobuf with its bytes escaped.
pub(super) fn readable(media_type: &str, body: &[u8]) -> anyhow::Result<String> {
    let text = || String::from_utf8_lossy(body).into_owned();
    if body.starts_with(MAGIC) {
        return masked_envelope(body).map(|it| it.escape_ascii().to_string());
    }
    Ok(match media_type {
        "application/yaml" => {
            let value: Value = serde_saphyr::from_slice(body)?;
            masked(&without_list_revision(value).to_string())
        }
        "application/vnd.kubernetes.protobuf;stream=watch" => frames(body)?,
        _ => masked(&text()),
    })
}

/// A list's metadata, whose keys YAML sorts.
fn without_list_revision(mut document: Value) -> Value {
    let is_list = document.get("items").is_some() || document.get("rows").is_some();
    if let Some(revision) = document.pointer_mut("/metadata/resourceVersion")
        && is_list
    {
        *revision = Value::Null;
    }
    document
}

/// The resource versions of lists and bookmarks may differ: both servers are right. So may the
/// resource version that a message or a continue token tells.
fn masked(body: &str) -> String {
    let mut body = body.to_owned();
    for before in [
        "\"metadata\":{\"resourceVersion\":\"",
        "\"metadata\": {\n    \"resourceVersion\": \"",
        "\"metadata\": {\n      \"resourceVersion\": \"",
        "current: ",
        "too old resource version: 1 (",
    ] {
        body = without_number(&body, before);
    }
    without_token(&body)
}

fn without_number(text: &str, before: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split(before);
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str(before);
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

fn without_token(text: &str) -> String {
    let found = ["\"continue\":\"", "\"continue\": \""]
        .into_iter()
        .find_map(|before| Some((before, text.split_once(before)?)));
    let Some((before, (head, rest))) = found else {
        return text.to_owned();
    };
    let (token, tail) = rest.split_once('"').unwrap_or((rest, ""));
    let decoded = super::question::decode(token);
    let decoded = without_number(&decoded, "\"rv\":");
    format!("{head}{before}{decoded}\"{tail}")
}

const MAGIC: &[u8] = b"k8s\0";

/// One frame a line.
fn frames(mut body: &[u8]) -> anyhow::Result<String> {
    let mut lines = String::new();
    while let Some((length, rest)) = body.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length))?;
        let (event, rest) = rest.split_at_checked(length).context("a frame is cut")?;
        body = rest;
        let is_bookmark = event.starts_with(b"\x0a\x08BOOKMARK");
        let event = match is_bookmark {
            true => replaced(event, &[2, 1], |object| {
                let envelope = object.strip_prefix(MAGIC).context("no magic")?;
                replaced(envelope, &[2, 1, 6], |_| Ok(Vec::new()))
            })?,
            false => event.to_vec(),
        };
        lines.push_str(&event.escape_ascii().to_string());
        lines.push('\n');
    }
    Ok(lines)
}

/// Lists and their pages without resource version and token.
fn masked_envelope(body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let envelope = body.strip_prefix(MAGIC).context("no magic")?;
    let mut kind = Vec::new();
    replaced(envelope, &[1, 2], |it| {
        kind = it.to_vec();
        Ok(Vec::new())
    })?;
    if !kind.ends_with(b"List") {
        return Ok(body.to_vec());
    }
    let masked = replaced(envelope, &[2, 1, 2], |_| Ok(Vec::new()))?;
    replaced(&masked, &[2, 1, 3], |_| Ok(Vec::new()))
}

/// A message with one of its fields, or of its fields' fields, replaced.
fn replaced(
    message: &[u8],
    path: &[u64],
    mut with: impl FnMut(&[u8]) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Vec<u8>> {
    replace(message, path, &mut with)
}

fn replace(
    mut message: &[u8],
    path: &[u64],
    with: &mut dyn FnMut(&[u8]) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Vec<u8>> {
    let Some((first, rest)) = path.split_first() else {
        return with(message);
    };
    let mut out = Vec::with_capacity(message.len());
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        put_varint(tag, &mut out);
        let number = varint(&mut message)?;
        if tag & 7 == 0 {
            put_varint(number, &mut out);
            continue;
        }
        anyhow::ensure!(tag & 7 == 2, "a field of wire type {}", tag & 7);
        let (value, tail) = message
            .split_at_checked(usize::try_from(number)?)
            .context("a field is cut")?;
        message = tail;
        let value = match tag >> 3 == *first {
            true => replace(value, rest, with)?,
            false => value.to_vec(),
        };
        put_varint(value.len() as u64, &mut out);
        out.extend_from_slice(&value);
    }
    Ok(out)
}

fn varint(bytes: &mut &[u8]) -> anyhow::Result<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first().context("a number is cut")?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Ok(number);
        }
    }
    anyhow::bail!("a number without end")
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while 0x80 <= number {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}
