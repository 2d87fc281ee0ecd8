//! Mirrors outside of the only namespace that has them now: those of a former
//! `mirrorNamespace`, which nothing maintains any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Service;
use kube::api::{ListParams, ObjectList, PartialObjectMeta, PostParams};
use kube::{Api, ResourceExt};
use proto_types::label;
use proto_types::name::DnsLabel;
use reflector_planner::SourceName;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::config::Config;
use crate::report::names;

/// The start waits for this, beside the connections to the sources.
const PATIENCE: Duration = Duration::from_secs(5);

/// As many Services as are counted.
const LIMIT: u32 = 1000;

/// As many namespaces as are named.
const MAX_NAMED: usize = 5;

/// Says where mirrors of the configured sources are outside of the only namespace that has them,
/// if there are any and the permissions suffice to look there.
pub(crate) async fn at_start(config: &Config, client: &kube::Client) -> Option<String> {
    let namespace = config.local_namespace()?;
    let sources = names(&config.policy).into_iter().collect();
    let found = mirrors_outside(client, namespace, &sources).await;
    if let Some(found) = &found {
        warn!("{found}");
    }
    found
}

async fn mirrors_outside(
    client: &kube::Client,
    namespace: &DnsLabel,
    sources: &BTreeSet<SourceName>,
) -> Option<String> {
    let outside = ListParams::default()
        .labels(label::SOURCE)
        .fields(&format!("metadata.namespace!={namespace}"))
        .limit(LIMIT);
    let look = async {
        if !may_list(client).await? {
            return Ok(None);
        }
        let services: Api<Service> = Api::all(client.clone());
        services.list_metadata(&outside).await.map(Some)
    };
    let why = match timeout(PATIENCE, look).await {
        Ok(Ok(Some(listed))) => return told(&listed, namespace, sources),
        Ok(Ok(None)) => "there is no permission to list Services of all namespaces".to_owned(),
        Ok(Err(error)) => runtime::reasons(&error),
        Err(elapsed) => elapsed.to_string(),
    };
    debug!(
        why,
        "mirrors outside of the mirror namespace are not looked for"
    );
    None
}

/// Asks first: what is refused would be an alarm in an audit.
async fn may_list(client: &kube::Client) -> Result<bool, kube::Error> {
    let attributes = ResourceAttributes {
        verb: Some("list".to_owned()),
        resource: Some("services".to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = reviews.create(&PostParams::default(), &review).await?;
    Ok(review.status.is_some_and(|it| it.allowed))
}

fn told(
    listed: &ObjectList<PartialObjectMeta<Service>>,
    namespace: &DnsLabel,
    sources: &BTreeSet<SourceName>,
) -> Option<String> {
    let has_more = listed
        .metadata
        .continue_
        .as_deref()
        .is_some_and(|it| !it.is_empty());
    let of_ours = listed.items.iter().filter(|it| {
        let source = it.labels().get(label::SOURCE);
        source.is_some_and(|it| sources.iter().any(|source| source.as_str() == it))
    });
    let mut by_namespace: BTreeMap<String, usize> = BTreeMap::new();
    for service in of_ours {
        *by_namespace.entry(service.namespace()?).or_default() += 1;
    }
    sentence(&by_namespace, has_more, namespace)
}

fn sentence(
    by_namespace: &BTreeMap<String, usize>,
    has_more: bool,
    namespace: &DnsLabel,
) -> Option<String> {
    let (first, _) = by_namespace.first_key_value()?;
    let n: usize = by_namespace.values().sum();
    let at_least = if has_more { "at least " } else { "" };
    let named: Vec<_> = by_namespace
        .keys()
        .take(MAX_NAMED)
        .map(String::as_str)
        .collect();
    let n_more = by_namespace.len() - named.len();
    let more = match n_more {
        0 => String::new(),
        n => format!(" and {n} more"),
    };
    Some(format!(
        "{at_least}{n} mirror Services of these sources are not in mirrorNamespace {namespace} but \
         in {}{more}, and are not maintained unless another reflector does; set mirrorNamespace \
         back, or delete them, for example: kubectl delete services,endpointslices -n {first} -l \
         {}",
        named.join(", "),
        label::SOURCE
    ))
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn mirrors_of_a_former_namespace_are_told_with_a_remedy() {
        let now = "new".parse().unwrap();
        assert_eq!(sentence(&[].into(), false, &now), None);
        let said = sentence(&[("old".to_owned(), 606)].into(), false, &now).unwrap();
        assert!(said.starts_with("606 mirror Services"), "{said}");
        assert!(said.contains("mirrorNamespace new but in old, "), "{said}");
        assert!(said.contains("-n old -l heliograph.dev/source"), "{said}");
        let many = (0..9).map(|i| (format!("n{i}"), 100)).collect();
        let said = sentence(&many, true, &now).unwrap();
        assert!(said.starts_with("at least 900 "), "{said}");
        assert!(said.contains("n4 and 4 more"), "{said}");
    }
}
