//! Endpoints API of a cluster: EndpointSlices, or Endpoints alone.

use http::Request;
use proto_types::Resource;
use runtime::Scope;
use serde::Deserialize;

/// Resources of endpoints that a cluster serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointsApi {
    /// Slices.
    Slices,
    /// core/v1 Endpoints and nothing else.
    Endpoints,
}

#[derive(Deserialize)]
struct Groups {
    kind: String,
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// Requests the readable resources of a scope; an error has the cause.
///
/// Rights from before there were slices grant Endpoints alone.
pub(crate) async fn served(client: &kube::Client, scope: &Scope) -> Result<EndpointsApi, String> {
    let served = groups(client).await?;
    if served == EndpointsApi::Slices
        && is_forbidden(client, scope, Resource::EndpointSlices).await
        && !is_forbidden(client, scope, Resource::Endpoints).await
    {
        return Ok(EndpointsApi::Endpoints);
    }
    Ok(served)
}

/// Returns whether listing is not allowed. The watch reports any other error.
async fn is_forbidden(client: &kube::Client, scope: &Scope, resource: Resource) -> bool {
    let path = resource.collection(scope.namespace.as_deref());
    let Ok(request) = Request::get(format!("{path}?limit=1")).body(Vec::new()) else {
        return false;
    };
    let answer = client.request_text(request).await;
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 403)
}

async fn groups(client: &kube::Client) -> Result<EndpointsApi, String> {
    let request = Request::get("/apis").body(Vec::new());
    let request = request.map_err(|why| why.to_string())?;
    let groups = client.request::<Groups>(request).await;
    groups
        .map_err(|why| why.to_string())
        .and_then(Groups::served)
        .map_err(|why| format!("cannot tell whether it serves EndpointSlices: {why}"))
}

#[derive(Deserialize)]
struct Resources {
    kind: String,
    #[serde(default)]
    resources: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Returns whether a server reports, in its discovery documents, that it serves no
/// namespaces. A response of 404 alone may come from a proxy, or from a server that starts.
pub(crate) async fn lacks_namespaces(client: &kube::Client) -> bool {
    let Ok(request) = Request::get("/api/v1").body(Vec::new()) else {
        return false;
    };
    let resources = client.request::<Resources>(request).await;
    resources.is_ok_and(|it| it.lacks("namespaces"))
}

impl Resources {
    fn lacks(&self, resource: &str) -> bool {
        let is_there = self.resources.iter().any(|it| it.name == resource);
        self.kind == "APIResourceList" && !self.resources.is_empty() && !is_there
    }
}

impl Groups {
    /// Returns the served resources. A server that does not list groups is no evidence that one is
    /// missing.
    fn served(self) -> Result<EndpointsApi, String> {
        if self.kind != "APIGroupList" {
            return Err(format!("/apis is a {}", self.kind));
        }
        let mut groups = self.groups.iter();
        let has_slices = groups.any(|group| {
            let mut versions = group.versions.iter();
            group.name == "discovery.k8s.io" && versions.any(|it| it.version == "v1")
        });
        Ok(match has_slices {
            true => EndpointsApi::Slices,
            false => EndpointsApi::Endpoints,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{EndpointsApi, Groups, Resources};

    fn served(text: &str) -> Result<EndpointsApi, String> {
        let groups: Groups = serde_json::from_str(text).map_err(|why| why.to_string())?;
        groups.served()
    }

    #[test]
    fn only_a_list_of_groups_can_lack_slices() {
        let check = |groups: &str, expected| {
            let text = format!(r#"{{"kind":"APIGroupList","groups":[{groups}]}}"#);
            assert_eq!(served(&text), Ok(expected), "{groups}");
        };
        let discovery = |version: &str| {
            format!(r#"{{"name":"discovery.k8s.io","versions":[{{"version":"{version}"}}]}}"#)
        };
        check("", EndpointsApi::Endpoints);
        check(&discovery("v1beta1"), EndpointsApi::Endpoints);
        check(&discovery("v1"), EndpointsApi::Slices);
        assert!(served(r#"{"kind":"Status","code":200}"#).is_err());
        assert!(served("{}").is_err());
    }

    #[test]
    fn only_a_list_of_resources_can_lack_namespaces() {
        let lacks = |text: &str| {
            let resources: Result<Resources, _> = serde_json::from_str(text);
            resources.is_ok_and(|it| it.lacks("namespaces"))
        };
        let list = |name: &str| {
            format!(r#"{{"kind":"APIResourceList","resources":[{{"name":"{name}"}}]}}"#)
        };
        assert!(lacks(&list("services")));
        assert!(!lacks(&list("namespaces")));
        assert!(!lacks(r#"{"kind":"APIResourceList","resources":[]}"#));
        assert!(!lacks(r#"{"kind":"Status","code":404}"#));
        assert!(!lacks("404 page not found"));
    }
}
