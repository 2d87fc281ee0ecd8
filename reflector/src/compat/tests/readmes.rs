//! What the programs' own documentation and manifests say, word for word.

use super::{check, config, file, shown};

/// From semaphore-service-mirror's README.
const SEMAPHORE_README: &str = r#"{
  "global": {
    "globalSvcLabelSelector": "mirror.semaphore.uw.io/global-service=true",
    "globalSvcRoutingStrategyLabel": "mirror.semaphore.uw.io/global-service-routing-strategy=local-first",
    "mirrorSvcLabelSelector": "mirror.semaphore.uw.io/mirror-service=true",
    "mirrorNamespace": "semaphore",
    "serviceSync": true
  },
  "localCluster": {
    "name": "local",
    "kubeConfigPath": "/path/to/local/kubeconfig"
  },
  "remoteClusters": [
    {
      "name": "clusterA",
      "remoteCAURL": "remote_ca_url",
      "remoteAPIURL": "remote_api_url",
      "remoteSATokenPath": "/path/to/token",
      "resyncPeriod": "10s",
      "servicePrefix": "cluster-A"
    }
  ]
}"#;

/// From semaphore-service-mirror's deploy/example/namespaced.
const SEMAPHORE_EXAMPLE: &str = r#"{
  "global": {
    "globalSvcLabelSelector": "mirror.semaphore.uw.io/global-service=true",
    "globalSvcRoutingStrategyLabel": "mirror.semaphore.uw.io/global-service-routing-strategy=local-first",
    "mirrorSvcLabelSelector": "uw.systems/mirror=true",
    "mirrorNamespace": "namespaced",
    "serviceSync": true,
    "endpointSliceSync": true
  },
  "localCluster": {
    "name": "local"
  },
  "remoteClusters": [
    {
      "name": "c1",
      "remoteAPIURL": "https://elb.master.k8s.exp-1.c1.uw.systems",
      "remoteCAURL": "https://kube-ca-cert.exp-1.c1.uw.systems",
      "remoteSATokenPath": "/etc/semaphore-service-mirror/tokens/c1/token",
      "servicePrefix": "c1"
    }
  ]
}"#;

/// From semaphore-service-mirror's deploy/kustomize/example/local, before 0.4.
const ONE_REMOTE: [&str; 5] = [
    "-log-level=info",
    "-target-kube-config=/etc/config/target-kube-config.yaml",
    "-label-selector=mirror=true",
    "-mirror-ns=sys-service-mirror",
    "-svc-prefix=target",
];

#[test]
fn semaphores_examples_start_ours() {
    let readme = file(SEMAPHORE_README);
    let path = readme.path().to_str().unwrap();
    let text = shown(&["-config", path, "-label-selector=a=b"], &[]);
    check(
        &text,
        &[
            "listen: 0.0.0.0:8080\n",
            "source clustera: https://remote_api_url/\n  mirrors: \
             semaphore/cluster-a-NAMESPACE-73736d-NAME\n  selector: a=b,!heliograph.dev/source\n",
            "note: remote cluster \"clusterA\" is source clustera",
        ],
    );
    let example = file(SEMAPHORE_EXAMPLE);
    let path = example.path().to_str().unwrap();
    let text = shown(&[], &[("SSM_CONFIG", path)]);
    check(
        &text,
        &[
            "source c1: https://elb.master.k8s.exp-1.c1.uw.systems/\n  mirrors: \
             namespaced/c1-NAMESPACE-73736d-NAME\n  selector: \
             !heliograph.dev/source,uw.systems/mirror=true\n",
            "note: endpointSliceSync is accepted",
        ],
    );
}

#[test]
fn flags_of_one_remote_start_ours() {
    let text = shown(&ONE_REMOTE, &[]);
    check(
        &text,
        &[
            "listen: 0.0.0.0:8080\n",
            "source target: kubeconfig /etc/config/target-kube-config.yaml\n  mirrors: \
             sys-service-mirror/target-NAMESPACE-73736d-NAME\n  selector: \
             !heliograph.dev/source,mirror=true\n",
        ],
    );
    let mut words = vec!["--compat=semaphore-service-mirror", "config"];
    words.extend(ONE_REMOTE);
    assert_eq!(shown(&words, &[]), text);
}

#[test]
fn variables_of_one_remote_are_defaults_of_its_flags() {
    let variables = [
        ("SSM_KUBE_CONFIG", "/local"),
        ("SSM_REMOTE_API_URL", "https://remote:6443"),
        ("SSM_REMOTE_CA_URL", "https://ca/ca.pem"),
        ("SSM_REMOTE_SERVICE_ACCOUNT_TOKEN", "secret"),
        ("SSM_LABEL_SELECTOR", "mirror in (a, b)"),
        ("SSM_MIRROR_NS", "variable"),
        ("SSM_SVC_PREFIX", "c1"),
        ("SSM_SVC_SYNC", "false"),
        ("SSM_RESYNC_PERIOD", "1h30m"),
        ("SSM_LOG_LEVEL", "trace"),
    ];
    let text = shown(&[], &variables);
    check(
        &text,
        &[
            "local cluster: kubeconfig /local\n",
            "source c1: https://remote:6443/\n  mirrors: variable/c1-NAMESPACE-73736d-NAME\n  \
             selector: !heliograph.dev/source,mirror in (a,b)\n",
            "note: resync-period is accepted, and not needed",
            "note: svc-sync is accepted; mirrors always converge",
        ],
    );
    assert!(!text.contains("secret"), "{text}");
    let config = config(&[], &variables).unwrap();
    let access = format!("{:?}", config.sources[0]);
    check(
        &access,
        &[
            "Variable(\"SSM_REMOTE_SERVICE_ACCOUNT_TOKEN\")",
            "ca_url: Some(https://ca/ca.pem)",
        ],
    );
    let flags = ["-mirror-ns", "flag", "-remote-sa-token-path=/token"];
    let access = format!("{:?}", super::config(&flags, &variables).unwrap());
    check(&access, &["DnsLabel(\"flag\")", "File(\"/token\")"]);
    assert!(!access.contains("Variable("), "{access}");
}

#[test]
fn kube_service_mirrors_names_are_its_own() {
    let variables = [
        ("KSM_KUBE_CONFIG", "/local"),
        ("KSM_TARGET_KUBE_CONFIG", "/remote"),
        ("KSM_LABEL_SELECTOR", "mirror=true"),
        ("KSM_MIRROR_NS", "mirrors"),
        ("KSM_SVC_PREFIX", "c1"),
    ];
    let mirrors = "mirrors: mirrors/c1-NAME-6d6972726f720a-NAMESPACE\n";
    check(&shown(&[], &variables), &[mirrors]);
    let mut words = vec!["--compat=kube-service-mirror", "config"];
    words.extend(ONE_REMOTE);
    check(&shown(&words, &[]), &["-NAME-6d6972726f720a-NAMESPACE\n"]);
}

#[test]
fn missing_settings_of_a_single_remote_are_reported() {
    let without = |flag: &str| {
        let words: Vec<_> = ONE_REMOTE
            .into_iter()
            .filter(|it| !it.starts_with(flag))
            .collect();
        config(&words, &[]).unwrap_err()
    };
    let with = |word: &str| {
        let mut words = ONE_REMOTE.to_vec();
        words.push(word);
        config(&words, &[]).unwrap_err()
    };
    let said = without("-svc-prefix");
    check(&said, &["-svc-prefix or SSM_SVC_PREFIX must be set"]);
    check(
        &without("-label-selector"),
        &["SSM_LABEL_SELECTOR must be set"],
    );
    check(
        &without("-target"),
        &["Insufficient configuration to create"],
    );
    check(&with("-svc-prefix="), &["-svc-prefix or SSM_SVC_PREFIX"]);
    check(
        &with("-resync-period=60"),
        &["-resync-period: invalid value \"60\""],
    );
    check(
        &with("-svc-sync=maybe"),
        &["-svc-sync: invalid boolean value"],
    );
    check(&with("-svc-sink"), &["not defined: -svc-sink"]);
    check(&with("-help"), &["usage", "\n  -svc-prefix value"]);
}
