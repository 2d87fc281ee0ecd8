//! Errors with their reasons, in one line.

use std::error::Error;

/// Returns an error and all its reasons, each once: several libraries repeat the reason in the
/// text of the error that it caused.
#[must_use]
pub fn reasons(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&it| below(it));
    let mut text = String::new();
    for part in chain.map(describe) {
        if text.ends_with(&part) || part.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&part);
    }
    text
}

/// Returns an error and what caused it, step by step. An I/O error holds another error, and
/// names only that one's cause.
pub(crate) fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&it| {
        match it.downcast_ref().and_then(std::io::Error::get_ref) {
            Some(held) => Some(held),
            None => it.source(),
        }
    })
}

/// Returns the reason of an error. Below the answer of an API server is the same answer.
fn below<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref() {
        Some(kube::Error::Api(_)) => None,
        _ => error.source(),
    }
}

/// Returns the text of one error without details of its library.
fn describe(error: &(dyn Error + 'static)) -> String {
    let is_eof = error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|it| it.kind() == std::io::ErrorKind::UnexpectedEof);
    if is_eof {
        return "the other side closed the connection".to_owned();
    }
    // The library adds the whole object that the server answered.
    if let Some(kube::Error::Api(status)) = error.downcast_ref() {
        return match status.message.as_str() {
            "" => format!("{} {}", status.code, status.reason),
            words => words.to_owned(),
        };
    }
    let text = error.to_string();
    let text = text.strip_prefix("ServiceError: ").unwrap_or(&text);
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::reasons;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn layers(texts: &[&'static str]) -> Layer {
        let (text, rest) = texts.split_first().unwrap();
        let source = (!rest.is_empty()).then(|| Box::new(layers(rest)));
        Layer { text, source }
    }

    #[test]
    fn an_api_server_is_quoted_without_its_object() {
        let status = kube::core::Status::failure("configmaps \"x\" not found", "NotFound");
        let error = kube::Error::Api(status.with_code(404).boxed());
        assert_eq!(reasons(&error), "configmaps \"x\" not found");
    }

    #[test]
    fn a_reason_is_said_once() {
        let error = layers(&[
            "cannot ask the server",
            "ServiceError: client error (Connect)",
            "client error (Connect)",
            "tcp connect error",
            "Connection refused (os error 111)",
        ]);
        assert_eq!(
            reasons(&error),
            "cannot ask the server: client error (Connect): tcp connect error: Connection refused \
             (os error 111)"
        );
    }

    #[test]
    fn a_closed_connection_is_told_in_words() {
        let eof = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "see the manual");
        assert_eq!(reasons(&eof), "the other side closed the connection");
    }
}
