//! Texts that are read: selectors and continue tokens.

use emitter_cache::Scope;
use emitter_cache::page::Page;
use proto_types::{FieldSelector, LabelSelector, Labels};

pub(crate) const SELECTORS: &[&str] = &[
    "a=b,c!=d",
    "a in (x,,y),b notin (z)",
    "app.kubernetes.io/name==web",
    "!heliograph.dev/source,tier",
    "a > 5 , b<7",
    "metadata.name=web,metadata.namespace!=demo",
    "spec.type=a\\,b\\=c\\\\",
    " in ",
    "()",
    "notin",
    "\\",
    "=",
    "!",
    ",",
    "\u{a0}",
    "a=",
];

pub(crate) const TOKENS: &[&str] = &[
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIvYS9iXHUwMDAwIn0",
    "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiL2JcdTAwMDAifQ",
    "{\"v\":\"meta.k8s.io/v1\",\"rv\":1,\"start\":\"/a/b\\u0000\"}",
    "{\"v\":\"meta.k8s.io/v1\",\"rv\":-1,\"start\":\"../../x\"}",
    "\"rv\":9223372036854775807",
    "\"rv\":0",
    "/",
    "\\u0000",
    "=",
];

/// What is read is written so that it reads the same, and matches whatever there is.
pub(crate) fn selectors(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(selector) = text.parse::<LabelSelector>() {
        let written = selector.to_string();
        let again = written.parse::<LabelSelector>();
        assert_eq!(
            again.as_ref(),
            Ok(&selector),
            "{text:?} is written {written:?}"
        );
        let empty = selector.matches(&Labels::default());
        assert!(empty || !selector.is_empty(), "{text:?}");
    }
    if let Ok(selector) = text.parse::<FieldSelector>() {
        let written = selector.to_string();
        let again = written.parse::<FieldSelector>();
        assert_eq!(
            again.as_ref(),
            Ok(&selector),
            "{text:?} is written {written:?}"
        );
        let _ = selector.matches(|_| "");
    }
}

/// A token that is read names a place in its own scope, and is written so that it reads
/// the same.
pub(crate) fn continue_tokens(data: &[u8]) {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(data);
    let text = String::from_utf8_lossy(data);
    for token in [text.as_ref(), encoded.as_str()] {
        for scope in [Scope::Cluster, Scope::Namespace("demo".into())] {
            let Ok(page) = Page::parse(token, &scope) else {
                continue;
            };
            let again = Page::parse(&page.token(&scope), &scope);
            assert_eq!(again.as_ref(), Ok(&page), "{token:?} in {scope:?}");
            if let Scope::Namespace(_) = scope {
                assert_eq!(page.after.namespace(), "demo", "{token:?}");
            }
        }
    }
}
