//! Continue tokens, in the form that `k8s.io/apiserver` gives them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto_types::{ObjectKey, ResourceVersion};
use serde::{Deserialize, Serialize};

use crate::Scope;

/// Beginning of the next page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The resource version of the whole list; `None` takes the present instead.
    pub revision: Option<ResourceVersion>,
    /// Objects after this key belong to the next pages.
    pub after: ObjectKey,
}

/// Error of an invalid continue token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("continue key is not valid: {0}")]
pub struct InvalidToken(String);

#[derive(Serialize, Deserialize)]
struct Token {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

const VERSION: &str = "meta.k8s.io/v1";

impl Page {
    /// The token, for a list of that scope.
    #[must_use]
    pub fn token(&self, scope: &Scope) -> String {
        let key = match scope {
            Scope::Cluster => self.after.as_str(),
            Scope::Namespace(_) => self.after.name(),
        };
        let rv = self.revision.map_or(-1, |revision| {
            i64::try_from(revision.number()).unwrap_or(i64::MAX)
        });
        let token = Token {
            v: VERSION.to_owned(),
            rv,
            // The next possible key: the last one that was sent, and a zero byte.
            start: format!("/{key}\0"),
        };
        let json = serde_json::to_vec(&token).expect("strings and a number encode");
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads a token for a list of that scope.
    pub fn parse(token: &str, scope: &Scope) -> Result<Self, InvalidToken> {
        let invalid = |why: &str| InvalidToken(why.to_owned());
        let json = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|why| InvalidToken(why.to_string()))?;
        let token: Token =
            serde_json::from_slice(&json).map_err(|why| InvalidToken(why.to_string()))?;
        if token.v != VERSION {
            return Err(invalid(&format!(
                "server does not recognize this encoded version {}",
                token.v
            )));
        }
        let revision = match token.rv {
            -1 => None,
            rv => {
                Some(ResourceVersion::new(u64::try_from(rv).map_err(|_| {
                    invalid("incorrect encoded start resourceVersion")
                })?))
            }
        };
        let start = token.start.trim_start_matches('/').trim_end_matches('\0');
        let after = match scope {
            Scope::Cluster => ObjectKey::parse(start),
            Scope::Namespace(namespace) => {
                (!start.contains('/')).then(|| ObjectKey::new(namespace, start))
            }
        };
        after
            .map(|after| Self { revision, after })
            .ok_or_else(|| invalid("its start key is not of this list"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Engine, ObjectKey, Page, ResourceVersion, Scope};
    use proptest::prelude::*;

    #[test]
    fn a_token_reads_as_a_kube_apiserver_writes_it() {
        let page = Page {
            revision: Some(ResourceVersion::new(7)),
            after: ObjectKey::new("ns", "name"),
        };
        let json = |scope: &Scope| {
            let token = page.token(scope);
            String::from_utf8(super::URL_SAFE_NO_PAD.decode(token).unwrap()).unwrap()
        };
        assert_eq!(
            json(&Scope::Cluster),
            r#"{"v":"meta.k8s.io/v1","rv":7,"start":"/ns/name\u0000"}"#
        );
        assert_eq!(
            json(&Scope::Namespace("ns".to_owned())),
            r#"{"v":"meta.k8s.io/v1","rv":7,"start":"/name\u0000"}"#
        );
    }

    proptest! {
        #[test]
        fn tokens_lead_back(rv in proptest::option::of(0u64..1 << 60), name in "[a-z.-]{1,9}") {
            let page = Page { revision: rv.map(ResourceVersion::new), after: ObjectKey::new("a", &name) };
            for scope in [Scope::Cluster, Scope::Namespace("a".to_owned())] {
                prop_assert_eq!(Page::parse(&page.token(&scope), &scope), Ok(page.clone()));
            }
        }

        #[test]
        fn garbage_is_refused(token in "[ -~]{0,40}") {
            prop_assert!(Page::parse(&token, &Scope::Cluster).is_err());
        }
    }
}
