//! What a client sent, in the forms that clients send objects in.

use emitter_cache::protobuf;
use proto_types::Status;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Kind, schema};

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Json,
    Yaml,
    Protobuf,
}

impl Language {
    fn of(media_type: &str) -> Result<Self, Status> {
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        match media_type {
            "" | "application/json" => Ok(Self::Json),
            "application/yaml" => Ok(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Ok(Self::Protobuf),
            _ => Err(unsupported(&ACCEPTED)),
        }
    }
}

const ACCEPTED: [&str; 3] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// 415: what was sent is in none of these forms.
pub(crate) fn unsupported(accepted: &[&str]) -> Status {
    let accepted = accepted.join(", ");
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {accepted}"
    );
    Status::failure(415, "UnsupportedMediaType", message)
}

/// Reads an object, which need not be of that kind.
pub(crate) fn object(kind: Kind, media_type: &str, body: &[u8]) -> Result<Value, Status> {
    let read = match Language::of(media_type)? {
        Language::Json => json(body),
        Language::Yaml => yaml(body),
        Language::Protobuf => from_protobuf(kind, body)?,
    };
    read.map_err(|why| {
        let (kind, summary) = (kind.names().kind, summary(body));
        Status::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({summary})"
        ))
    })
}

/// Reads the options of a deletion.
pub(crate) fn delete_options<T: DeserializeOwned + Default>(
    media_type: &str,
    body: &[u8],
) -> Result<T, Status> {
    if body.is_empty() {
        return Ok(T::default());
    }
    let read = match Language::of(media_type)? {
        Language::Json => json(body),
        Language::Yaml => yaml(body),
        Language::Protobuf => protobuf::open(body)
            .and_then(|it| protobuf::read(schema::DELETE_OPTIONS, it.message))
            .map_err(|why| why.to_string()),
    };
    let options = read.and_then(|it| serde_json::from_value(it).map_err(|why| why.to_string()));
    options
        .map_err(|why| Status::bad_request(format!("cannot read the options of a deletion: {why}")))
}

fn json(body: &[u8]) -> Result<Value, String> {
    let read = match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => return Ok(value),
        Ok(_) => "it is not an object".to_owned(),
        Err(_) if body.is_empty() => "unexpected end of JSON input".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "couldn't get version/kind; json parse error: {read}"
    ))
}

/// Reads YAML, of which JSON is a part.
pub(crate) fn yaml(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|why| why.to_string())?;
    match serde_saphyr::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("it is not an object".to_owned()),
        Err(why) => Err(format!("error converting YAML to JSON: {why}")),
    }
}

/// What the envelope says that it holds is judged where all kinds are.
fn from_protobuf(kind: Kind, body: &[u8]) -> Result<Result<Value, String>, Status> {
    let envelope = match protobuf::open(body) {
        Ok(envelope) => envelope,
        Err(why) => return Ok(Err(why.to_string())),
    };
    let names = kind.names();
    let is_it = envelope.kind == names.kind && envelope.api_version == names.api_version;
    let message = kind.message();
    let message = message.ok_or_else(|| unsupported(&ACCEPTED[..2]))?;
    let mut object = match is_it {
        false => Value::Object(crate::metadata::Object::new()),
        true => protobuf::read(message, envelope.message).map_err(|why| {
            let (kind, version) = (names.kind, names.api_version);
            Status::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
            ))
        })?,
    };
    object["kind"] = envelope.kind.into();
    object["apiVersion"] = envelope.api_version.into();
    Ok(Ok(object))
}

/// The beginning of what was sent, for who sent it.
fn summary(body: &[u8]) -> String {
    const LENGTH: usize = 30;
    let begin = &body[..body.len().min(LENGTH)];
    let shown = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(begin).into_owned(),
        Some(_) => begin.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    match LENGTH < body.len() {
        true => format!("{shown} ..."),
        false => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, object};
    use serde_json::json;

    const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

    #[test]
    fn an_object_is_the_same_in_every_language() {
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"b": "c"},
        });
        let read = |media_type: &str, body: &[u8]| object(Kind::ConfigMaps, media_type, body);
        let text = wanted.to_string();
        assert_eq!(
            read("application/json; charset=utf-8", text.as_bytes()),
            Ok(wanted.clone())
        );
        let yaml = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  b: c\n";
        assert_eq!(
            read("application/yaml", yaml.as_bytes()),
            Ok(wanted.clone())
        );
        let mut protobuf = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x0d".to_vec();
        protobuf.extend(b"\x0a\x03\x0a\x01a\x12\x06\x0a\x01b\x12\x01c\x1a\0\x22\0");
        assert_eq!(read(PROTOBUF, &protobuf), Ok(wanted));
        assert_eq!(read("text/plain", b"").unwrap_err().code, 415);
    }

    #[test]
    fn an_unreadable_file_is_named() {
        let refused = |kind, media_type: &str, body: &[u8]| {
            let status = object(kind, media_type, body).unwrap_err();
            assert_eq!(status.code, 400);
            status.message
        };
        assert_eq!(
            refused(Kind::Services, PROTOBUF, b"xyz"),
            "the object provided is unrecognized (must be of type Service): provided data does \
             not appear to be a protobuf message, expected prefix [107 56 115 0] (78797a)"
        );
        for body in [&b""[..], b"[]", b"{"] {
            for media_type in ["application/json", "application/yaml", PROTOBUF] {
                let message = refused(Kind::Leases, media_type, body);
                assert!(message.contains("must be of type Lease"), "{message}");
            }
        }
    }
}
