//! 401 and 403, as a kube-apiserver words them.

use proto_types::Status;
use proto_types::status::Details;

use super::User;
use crate::attributes::Attributes;

/// Returns the rejection of a client that is not authenticated.
pub(super) fn unauthorized() -> Status {
    Status::failure(401, "Unauthorized", "Unauthorized")
}

/// The API server did not review the token.
pub(super) fn unreviewed() -> Status {
    let message = "the emitter could not have the token reviewed by its API server: look at the \
                   log of the emitter; it needs the right to create tokenreviews";
    Status::failure(401, "Unauthorized", message)
}

/// Returns the rejection of an authenticated client.
pub(super) fn forbidden(user: &User, attributes: &Attributes, reason: &str) -> Status {
    let (what, details) = match &attributes.target {
        None => ("forbidden".to_owned(), Details::default()),
        Some(target) => {
            let qualified = match target.group.as_str() {
                "" => target.resource.clone(),
                group => format!("{}.{group}", target.resource),
            };
            let name = match target.name.as_str() {
                "" => String::new(),
                name => format!(" {name:?}"),
            };
            let details = Details {
                name: target.name.clone(),
                group: target.group.clone(),
                kind: target.resource.clone(),
                ..Details::default()
            };
            (format!("{qualified}{name} is forbidden"), details)
        }
    };
    let mut message = format!("{what}: {}", attempt(user, attributes));
    if !reason.is_empty() {
        message += &format!(": {reason}");
    }
    Status::failure(403, "Forbidden", message).about(details)
}

fn attempt(user: &User, attributes: &Attributes) -> String {
    let Attributes { verb, path, target } = attributes;
    let name = &user.name;
    let Some(target) = target else {
        return format!("User {name:?} cannot {verb} path {path:?}");
    };
    let resource = match target.subresource.as_str() {
        "" => target.resource.clone(),
        subresource => format!("{}/{subresource}", target.resource),
    };
    let group = &target.group;
    let place = match target.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    format!("User {name:?} cannot {verb} resource {resource:?} in API group {group:?} {place}")
}
