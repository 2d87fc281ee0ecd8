//! Refusals of writes, in the words of a kube-apiserver.

use proto_types::Status;
use proto_types::status::{Details, StatusCause};

use crate::Kind;

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    field: String,
    reason: &'static str,
    message: String,
}

impl Wrong {
    pub(crate) fn required(field: impl Into<String>, more: &str) -> Self {
        let message = match more {
            "" => "Required value".to_owned(),
            more => format!("Required value: {more}"),
        };
        Self::new(field, "FieldValueRequired", message)
    }

    pub(crate) fn invalid(
        field: impl Into<String>,
        value: &impl serde::Serialize,
        why: &str,
    ) -> Self {
        let value = serde_json::to_string(value).unwrap_or_default();
        Self::new(
            field,
            "FieldValueInvalid",
            format!("Invalid value: {value}: {why}"),
        )
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &str, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|it| format!("{it:?}")).collect();
        let supported = supported.join(", ");
        let message = format!("Unsupported value: {value:?}: supported values: {supported}");
        Self::new(field, "FieldValueNotSupported", message)
    }

    pub(crate) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self::new(field, "FieldValueForbidden", format!("Forbidden: {why}"))
    }

    pub(crate) fn duplicate(field: impl Into<String>, value: &impl serde::Serialize) -> Self {
        let value = serde_json::to_string(value).unwrap_or_default();
        Self::new(
            field,
            "FieldValueDuplicate",
            format!("Duplicate value: {value}"),
        )
    }

    fn new(field: impl Into<String>, reason: &'static str, message: String) -> Self {
        Self {
            field: field.into(),
            reason,
            message,
        }
    }
}

/// 422: the object is not valid.
pub(crate) fn invalid(kind: Kind, name: &str, wrongs: Vec<Wrong>) -> Status {
    let mut all: Vec<String> = Vec::new();
    for wrong in &wrongs {
        let sentence = format!("{}: {}", wrong.field, wrong.message);
        // What is found twice is a cause twice, and said once.
        if !all.contains(&sentence) {
            all.push(sentence);
        }
    }
    let all = match all.as_slice() {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let names = kind.names();
    let qualified = match names.group {
        "" => names.kind.to_owned(),
        group => format!("{}.{group}", names.kind),
    };
    let causes = wrongs.into_iter().map(|it| StatusCause {
        reason: it.reason.to_owned(),
        message: it.message,
        field: it.field,
    });
    let message = format!("{qualified} {name:?} is invalid: {all}");
    Status::failure(422, "Invalid", message).about(Details {
        name: name.to_owned(),
        group: names.group.to_owned(),
        kind: names.kind.to_owned(),
        causes: causes.collect(),
        ..Details::default()
    })
}

/// 409: there is one.
pub(crate) fn already_exists(kind: Kind, name: &str) -> Status {
    let names = kind.names();
    let message = format!("{} {name:?} already exists", names.qualified);
    Status::failure(409, "AlreadyExists", message).about(details(kind, name))
}

/// 409: what the write is about is not what is there.
pub(crate) fn conflict(kind: Kind, name: &str, why: &str) -> Status {
    let qualified = kind.names().qualified;
    let message = format!("Operation cannot be fulfilled on {qualified} {name:?}: {why}");
    Status::failure(409, "Conflict", message).about(details(kind, name))
}

/// Why an update came too late.
pub(crate) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

fn details(kind: Kind, name: &str) -> Details {
    Details {
        name: name.to_owned(),
        group: kind.names().group.to_owned(),
        kind: kind.names().plural.to_owned(),
        ..Details::default()
    }
}
