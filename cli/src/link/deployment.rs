//! The Deployment of the local reflector, with and without the token for a source.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{
    PodSpec, ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};

/// Directory of the tokens in the container, one file for each source.
pub(crate) const TOKENS: &str = "/var/run/secrets/heliograph";
/// Volume of the tokens, where there is none yet.
const VOLUME: &str = "tokens";

/// Adds a token of an audience to a Deployment, as a file with the name of the source.
pub(crate) fn add_token(deployment: &mut Deployment, source: &str, audience: &str) {
    let Some(pod) = pod_of(deployment) else {
        return;
    };
    let projections = projections(pod);
    let token = ServiceAccountTokenProjection {
        audience: Some(audience.to_owned()),
        path: source.to_owned(),
        ..ServiceAccountTokenProjection::default()
    };
    let known = projections.iter_mut().find(|it| is_of(it, source));
    match known.and_then(|it| it.service_account_token.as_mut()) {
        Some(it) => it.audience = token.audience,
        None => projections.push(VolumeProjection {
            service_account_token: Some(token),
            ..VolumeProjection::default()
        }),
    }
}

/// Removes the token for a source.
pub(crate) fn remove_token(deployment: &mut Deployment, source: &str) {
    let volumes = pod_of(deployment).and_then(|it| it.volumes.as_mut());
    let projected = volumes
        .into_iter()
        .flatten()
        .filter_map(|it| it.projected.as_mut());
    for sources in projected.filter_map(|it| it.sources.as_mut()) {
        sources.retain(|it| !is_of(it, source));
    }
}

fn pod_of(deployment: &mut Deployment) -> Option<&mut PodSpec> {
    deployment.spec.as_mut()?.template.spec.as_mut()
}

fn is_of(projection: &VolumeProjection, source: &str) -> bool {
    let token = projection.service_account_token.as_ref();
    token.is_some_and(|it| it.path == source)
}

/// The projections of the volume that is mounted at [`TOKENS`], which is added if needed.
fn projections(pod: &mut PodSpec) -> &mut Vec<VolumeProjection> {
    let containers = pod.containers.iter().take(1);
    let mut mounts = containers.flat_map(|it| it.volume_mounts.iter().flatten());
    let mounted = mounts.find(|it| it.mount_path.trim_end_matches('/') == TOKENS);
    let mounted = mounted.map(|it| it.name.clone());
    let volumes = pod.volumes.get_or_insert_default();
    let name = mounted.clone().unwrap_or_else(|| VOLUME.to_owned());
    let is_known = |it: &Volume| it.name == name && it.projected.is_some();
    let at = volumes.iter().position(is_known).unwrap_or_else(|| {
        volumes.push(Volume {
            name: name.clone(),
            projected: Some(ProjectedVolumeSource::default()),
            ..Volume::default()
        });
        volumes.len() - 1
    });
    if mounted.is_none()
        && let Some(container) = pod.containers.first_mut()
    {
        container
            .volume_mounts
            .get_or_insert_default()
            .push(VolumeMount {
                name,
                mount_path: TOKENS.to_owned(),
                read_only: Some(true),
                ..VolumeMount::default()
            });
    }
    let projected = volumes[at].projected.get_or_insert_default();
    projected.sources.get_or_insert_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{add_token, remove_token};

    fn deployment(volumes: &Value, mounts: &Value) -> k8s_openapi::api::apps::v1::Deployment {
        let it = json!({"spec": {"selector": {}, "template": {"spec": {
            "containers": [{"name": "reflector", "volumeMounts": mounts}],
            "volumes": volumes,
        }}}});
        serde_json::from_value(it).unwrap()
    }

    #[test]
    fn a_token_is_added_once_to_the_volume_that_is_there() {
        let volumes = json!([{"name": "t", "projected": {"sources": []}}]);
        let mounts = json!([{"name": "t", "mountPath": "/var/run/secrets/heliograph"}]);
        let mut it = deployment(&volumes, &mounts);
        let before = it.clone();
        add_token(&mut it, "east", "heliograph-east");
        let once = it.clone();
        add_token(&mut it, "east", "heliograph-east");
        assert_eq!(it, once);
        let text = serde_json::to_value(&it).unwrap();
        let volumes = text["spec"]["template"]["spec"]["volumes"].clone();
        let token = json!({"audience": "heliograph-east", "path": "east"});
        let wanted =
            json!([{"name": "t", "projected": {"sources": [{"serviceAccountToken": token}]}}]);
        assert_eq!(volumes, wanted);
        remove_token(&mut it, "east");
        assert_eq!(it, before);
    }

    #[test]
    fn a_volume_and_its_mount_are_added_where_there_are_none() {
        let mut it = deployment(&json!([]), &json!([]));
        add_token(&mut it, "east", "a");
        add_token(&mut it, "west", "b");
        let text = serde_json::to_value(&it).unwrap();
        let pod = &text["spec"]["template"]["spec"];
        assert_eq!(pod["volumes"].as_array().map(Vec::len), Some(1), "{pod}");
        assert_eq!(
            pod["volumes"][0]["projected"]["sources"][1]["serviceAccountToken"]["path"],
            "west"
        );
        let mount =
            json!({"name": "tokens", "mountPath": "/var/run/secrets/heliograph", "readOnly": true});
        assert_eq!(pod["containers"][0]["volumeMounts"], json!([mount]));
    }
}
