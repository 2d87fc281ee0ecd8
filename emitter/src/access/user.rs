//! Users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Identity of a user, as Kubernetes represents it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Such as `system:serviceaccount:heliograph:reflector`.
    #[serde(default, rename = "username")]
    pub name: String,
    /// Identifier that stays the same if the name is reused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The groups that it belongs to.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Whatever its authenticator adds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
    /// Claims of its token; null if it has none.
    #[serde(skip)]
    pub claims: Value,
}

const AUTHENTICATED: &str = "system:authenticated";

impl User {
    /// Returns an authenticated user.
    #[must_use]
    pub fn known(name: impl Into<String>, groups: Vec<String>) -> Self {
        let user = Self {
            name: name.into(),
            groups,
            ..Self::default()
        };
        user.authenticated()
    }

    /// Returns the anonymous user.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..Self::default()
        }
    }

    /// Returns whether it is the anonymous user.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.name == "system:anonymous"
    }

    /// Adds the group of all authenticated users.
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        if !self.groups.iter().any(|it| it == AUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }
}
