//! Kubeconfigs that may have inline data only.
//!
//! The author of such a file chooses a server, and with `tokenFile` or a file of keys also the
//! local secret that is sent to it. `exec` and `auth-provider` run a program.

use std::path::Path;

use kube::Config;
use kube::config::{AuthInfo, Cluster, Kubeconfig};

use super::Error;

/// Refuses a kubeconfig with a key that leads out of the file, in whatever entry.
pub(super) fn check(path: &Path, kubeconfig: &Kubeconfig) -> Result<(), Error> {
    let users = kubeconfig.auth_infos.iter();
    let users =
        users.filter_map(|it| Some((format!("user {:?}", it.name), it.auth_info.as_ref()?)));
    let clusters = kubeconfig.clusters.iter();
    let clusters =
        clusters.filter_map(|it| Some((format!("cluster {:?}", it.name), it.cluster.as_ref()?)));
    let of_users = users.filter_map(|(what, it)| Some((what, of_user(it)?)));
    let of_clusters = clusters.filter_map(|(what, it)| Some((what, of_cluster(it)?)));
    match of_users.chain(of_clusters).next() {
        None => Ok(()),
        Some((what, key)) => Err(Error::Reference {
            path: path.to_owned(),
            key,
            what,
        }),
    }
}

fn of_user(user: &AuthInfo) -> Option<&'static str> {
    let keys = [
        ("tokenFile", user.token_file.is_some()),
        ("exec", user.exec.is_some()),
        ("auth-provider", user.auth_provider.is_some()),
        ("client-certificate", user.client_certificate.is_some()),
        ("client-key", user.client_key.is_some()),
    ];
    keys.into_iter()
        .find(|(_, is_there)| *is_there)
        .map(|it| it.0)
}

fn of_cluster(cluster: &Cluster) -> Option<&'static str> {
    let is_there = cluster.certificate_authority.is_some();
    is_there.then_some("certificate-authority")
}

/// Returns whether requests carry something that must not be read on the way.
pub(super) fn has_secret(config: &Config) -> bool {
    let user = &config.auth_info;
    user.token.is_some()
        || user.token_file.is_some()
        || user.password.is_some()
        || user.exec.is_some()
        || user.auth_provider.is_some()
}

#[cfg(test)]
mod tests {
    use kube::config::Kubeconfig;

    use super::{Path, check};

    fn read_text(user: &str, cluster: &str) -> Result<(), String> {
        let text = format!(
            "clusters: [{{name: c, cluster: {{server: 'https://c', {cluster}}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: other, user: {{token: t}}}}, {{name: u, user: {{{user}}}}}]\n"
        );
        let kubeconfig = Kubeconfig::from_yaml(&text).unwrap();
        check(Path::new("found"), &kubeconfig).map_err(|it| it.to_string())
    }

    #[test]
    fn inline_data_is_read() {
        read_text("token: abc", "certificate-authority-data: eA==").unwrap();
        read_text("client-certificate-data: eA==, client-key-data: eA==", "").unwrap();
    }

    #[test]
    fn references_out_of_the_file_are_rejected() {
        for (user, cluster, key) in [
            ("tokenFile: /var/run/secrets/token", "", "tokenFile"),
            (
                "exec: {command: /bin/sh, apiVersion: client.authentication.k8s.io/v1}",
                "",
                "exec",
            ),
            (
                "auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}",
                "",
                "auth-provider",
            ),
            ("client-certificate: /x", "", "client-certificate"),
            ("client-key: ../x", "", "client-key"),
            (
                "token: t",
                "certificate-authority: /x",
                "certificate-authority",
            ),
        ] {
            let why = read_text(user, cluster).unwrap_err();
            assert!(
                why.contains(key) && why.contains("allowReferences"),
                "{why}"
            );
        }
    }
}
