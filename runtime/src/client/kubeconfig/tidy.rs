//! Values of kubeconfigs, made what client-go reads from them.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

/// As Go: unused bits at the end may be set.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const PATHS: [&str; 4] = [
    "certificate-authority",
    "client-certificate",
    "client-key",
    "tokenFile",
];
const ENCODED: [&str; 3] = [
    "certificate-authority-data",
    "client-certificate-data",
    "client-key-data",
];

/// Returns the text of a file, which may begin with a byte order mark.
pub(super) fn decoded(bytes: &[u8]) -> io::Result<String> {
    let wide = |bytes: &[u8], read: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|it| read([it[0], it[1]]));
        String::from_utf16(&units.collect::<Vec<_>>()).map_err(io::Error::other)
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes),
        _ => text(bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes)),
    }
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(io::Error::other)
}

/// Tidies a whole kubeconfig, which lies in that directory.
pub(super) fn tidy(kubeconfig: &mut Value, directory: &Path) {
    // Of several files, the first one with a current context decides.
    if let Some(kubeconfig) = kubeconfig.as_object_mut()
        && kubeconfig.get("current-context").and_then(Value::as_str) == Some("")
    {
        kubeconfig.remove("current-context");
    }
    for (list, inner) in [
        ("clusters", "cluster"),
        ("users", "user"),
        ("contexts", "context"),
    ] {
        let items = kubeconfig.get_mut(list).and_then(Value::as_array_mut);
        for item in items.into_iter().flatten() {
            let Some(item) = item.as_object_mut() else {
                continue;
            };
            if item.get("name").is_none_or(Value::is_null) {
                item.insert("name".to_owned(), "".into());
            }
            if let Some(inner) = item.get_mut(inner).and_then(Value::as_object_mut) {
                tidy_entry(inner, directory);
            }
        }
        if list == "contexts" {
            complete_contexts(kubeconfig);
        }
    }
}

fn tidy_entry(entry: &mut Map<String, Value>, directory: &Path) {
    prune(entry);
    for key in PATHS {
        if let Some(Value::String(path)) = entry.get_mut(key) {
            absolute(path, directory);
        }
    }
    for key in ENCODED {
        if let Some(Value::String(text)) = entry.get_mut(key) {
            tidy_base64(text);
        }
    }
    if let Some(Value::Object(exec)) = entry.get_mut("exec") {
        prune(exec);
        if let Some(Value::String(command)) = exec.get_mut("command")
            && command.contains(std::path::MAIN_SEPARATOR)
        {
            absolute(command, directory);
        }
        let variables = exec.get_mut("env").and_then(Value::as_array_mut);
        for variable in variables.into_iter().flatten() {
            if let Some(variable) = variable.as_object_mut() {
                variable.retain(|_, value| !value.is_null());
                variable.entry("value").or_insert_with(|| "".into());
            }
        }
    }
    // What encodes nothing is unset too.
    prune(entry);
}

/// An empty value is an unset one.
fn prune(entry: &mut Map<String, Value>) {
    entry.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
}

/// One broken context must not spoil the others.
fn complete_contexts(kubeconfig: &mut Value) {
    let items = kubeconfig.get_mut("contexts").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        let context = item.get_mut("context").and_then(Value::as_object_mut);
        if let Some(context) = context {
            context.entry("cluster").or_insert_with(|| "".into());
        }
    }
}

fn absolute(path: &mut String, directory: &Path) {
    if Path::new(path).is_relative()
        && let Some(whole) = directory.join(&*path).to_str()
    {
        *path = whole.to_owned();
    }
}

/// Removes white space from base64. Other text stays unchanged, and is rejected where it is used.
fn tidy_base64(text: &mut String) {
    let joined: String = text.split_ascii_whitespace().collect();
    if let Ok(bytes) = LENIENT.decode(&joined) {
        *text = base64::engine::general_purpose::STANDARD.encode(bytes);
    }
}
