mod commands;
mod coverage;
mod endpoints_sync;
mod readmes;

use std::io::Write;

use tempfile::NamedTempFile;

use super::{Environment, parse};
use crate::admin_client::servers;
use crate::config::{Args, Command, Config, EffectiveConfig};

/// As semaphore-service-mirror documents it, every key that it reads.
const SEMAPHORE: &str = r#"{
  "global": {
    "globalSvcLabelSelector": "mirror.semaphore.uw.io/global-service=true",
    "globalSvcRoutingStrategyLabel": "mirror.semaphore.uw.io/global-service-routing-strategy=local-first",
    "mirrorNamespace": "example",
    "mirrorSvcLabelSelector": "mirror.semaphore.uw.io/mirror-service=true",
    "serviceSync": true,
    "endpointSliceSync": true
  },
  "localCluster": {"name": "local_cluster_name", "zones": ["zone-a"], "kubeConfigPath": "/local"},
  "remoteClusters": [
    {
      "name": "cluster_a",
      "remoteCAURL": "https://ca.a.example/ca.pem",
      "remoteAPIURL": "https://api.a.example:6443",
      "remoteSATokenPath": "/etc/tokens/a",
      "resyncPeriod": "10s",
      "servicePrefix": "cluster-A"
    },
    {"name": "cluster_b", "kubeConfigPath": "/etc/b", "resyncPeriod": 0, "servicePrefix": "b"}
  ]
}"#;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn config(words: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
    let words: Vec<_> = words.iter().map(|it| (*it).to_owned()).collect();
    let variables = environment.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let args = parse(&words, &Environment::from_iter(variables)).map_err(|it| it.to_string())?;
    Config::try_from(args).map_err(|it| it.to_string())
}

fn shown(words: &[&str], environment: &[(&str, &str)]) -> String {
    EffectiveConfig::from(&config(words, environment).unwrap()).to_string()
}

#[track_caller]
fn check(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no {word:?} in: {text}");
    }
}

#[test]
fn the_manifest_of_service_reflector_starts_as_it_is() {
    let flags = [
        "--emitter.secure-port=6443",
        "--emitter.insecure-port=8080",
        "--reflector.source-api=",
        "--listen=0.0.0.0:9090",
    ];
    let text = shown(&flags, &[]);
    check(
        &text,
        &[
            "listen: 0.0.0.0:9090\n",
            "note: the emitter is a program of its own",
        ],
    );
    assert!(!text.contains("source "), "{text}");
}

#[test]
fn service_reflectors_sources_keep_their_names_of_objects() {
    let text = shown(
        &[
            "--reflector.source-api=http://east.example:8080,,http://west.example:8080/",
            "--reflector.source-api",
            "http://east.example:8080",
            "--reflector.source-api=http://east.example:8080/other",
            "--reflector.selector=team=blue",
            "--namespace=demo",
            "--listen=:9091",
            "--log-level=none",
        ],
        &[],
    );
    check(
        &text,
        &[
            "listen: 0.0.0.0:9091\n",
            "source east-example-8080: http://east.example:8080/\n  mirrors: NAMESPACE/NAME\n  endpoints from: \
             EndpointSlices, or core/v1 Endpoints where it serves no slices; asked every 10s where \
             it cannot be watched\n  missing namespaces: created\n  \
             selector: !heliograph.dev/source,team=blue\n  namespace: demo\n",
            "source west-example-8080: ",
            "source east-example-8080-97f72421: http://east.example:8080/other\n",
        ],
    );
    assert_eq!(text.matches("source ").count(), 3, "{text}");
}

#[test]
fn a_kubeconfigs_source_is_called_after_its_server() {
    let kubeconfig = file(
        "{apiVersion: v1, kind: Config, current-context: b, users: [], contexts: [{name: a, \
         context: {cluster: a, user: u}}, {name: b, context: {cluster: b, user: u}}], clusters: \
         [{name: a, cluster: {server: 'https://a:1'}}, {name: b, cluster: {server: \
         'https://10.0.0.1:6443'}}]}",
    );
    let path = kubeconfig.path().to_str().unwrap();
    let text = shown(&["--reflector.source-kubeconfig", path], &[]);
    check(
        &text,
        &[&format!("source 10-0-0-1-6443: kubeconfig {path}")],
    );
}

#[test]
fn flags_that_service_reflector_rejected_are_rejected() {
    let refused = |words: &[&str]| config(words, &[]).unwrap_err();
    check(
        &refused(&["--reflector.sauce-api=x"]),
        &["flag provided but not defined"],
    );
    check(
        &refused(&["--reflector.source-api"]),
        &["flag needs an argument"],
    );
    check(
        &refused(&["--emitter", "--log-level=loud"]),
        &["log level loud unknown; possible values are: all, debug"],
    );
    check(
        &refused(&["--emitter", "--reflector=false"]),
        &["the emitter is a program"],
    );
    check(
        &refused(&["--reflector.source-api=http://["]),
        &["--reflector.source-api", "http://["],
    );
    check(
        &refused(&["--compat=kilo"]),
        &["--compat \"kilo\" is not known"],
    );
}

#[test]
fn semaphores_file_starts_as_it_is() {
    let file = file(SEMAPHORE);
    let path = file.path().to_str().unwrap();
    let expected = shown(&["-config", path], &[]);
    check(
        &expected,
        &[
            "local cluster: kubeconfig /local\nlisten: 0.0.0.0:8080\n",
            "source cluster-a: https://api.a.example:6443/\n  mirrors: \
             example/cluster-a-NAMESPACE-73736d-NAME\n  selector: \
             !heliograph.dev/source,mirror.semaphore.uw.io/mirror-service=true\n",
            "source cluster-b: kubeconfig /etc/b\n  mirrors: example/b-NAMESPACE-73736d-NAME\n",
            "global Services: example/gl-NAMESPACE-73736d-NAME\n",
            "  selector: !heliograph.dev/source,mirror.semaphore.uw.io/global-service=true\n",
            "note: serviceSync is accepted; mirrors always converge",
            "note: servicePrefix \"cluster-A\" is used as cluster-a: names of Services are in lower",
            "note: source cluster-a: resyncPeriod is accepted",
        ],
    );
    let flag = format!("--config={path}");
    for words in [&["-config", path][..], &["--config", path], &[&flag]] {
        assert_eq!(shown(words, &[]), expected);
    }
    assert_eq!(shown(&[], &[("SSM_CONFIG", path)]), expected);
    let config = config(&["-config", path], &[]).unwrap();
    let authority = config.sources[0].ca_url.as_ref().unwrap();
    assert_eq!(authority, "https://ca.a.example/ca.pem");
}

#[test]
fn semaphores_flags_go_before_its_variables_and_those_before_its_file() {
    let file = file(SEMAPHORE);
    let path = file.path().to_str().unwrap();
    let variables = [
        ("SSM_CONFIG", "/no/such/file"),
        ("SSM_MIRROR_NS", "variable"),
        ("SSM_MIRROR_SVC_LABEL_SELECTOR", "variable=true"),
        ("SSM_GLOBAL_SVC_TOPOLOGY_LABEL", "variable=true"),
        ("SSM_KUBE_CONFIG", ""),
        ("SSM_LOG_LEVEL", "WARN"),
    ];
    let text = shown(
        &["-config", path, "-mirror-ns=flag", "--kube-config", "/flag"],
        &variables,
    );
    check(
        &text,
        &[
            "local cluster: kubeconfig /flag\n",
            "mirrors: flag/b-NAMESPACE",
            "selector: !heliograph.dev/source,variable=true\n",
            "local endpoints first: where variable=true, in zones zone-a",
        ],
    );
}

#[test]
fn missing_settings_of_semaphore_are_reported_with_its_message() {
    let refused = |from: &str, to: &str| {
        assert!(SEMAPHORE.contains(from));
        let file = file(&SEMAPHORE.replacen(from, to, 1));
        config(&["-config", file.path().to_str().unwrap()], &[]).unwrap_err()
    };
    check(
        &refused("\"mirrorSvcLabelSelector\"", "\"other\""),
        &["Label selector for service mirroring should be specified either via global json config"],
    );
    check(
        &refused("\"mirrorNamespace\"", "\"other\""),
        &["Local mirroring namespace should be specified"],
    );
    check(
        &refused("local_cluster_name", ""),
        &["Configuration is missing local cluster name"],
    );
    check(
        &refused("\"remoteClusters\"", "\"other\""),
        &["No remote cluster configuration defined"],
    );
    check(
        &refused("\"cluster_b\"", "\"\""),
        &["Configuration is missing remote cluster name"],
    );
    check(
        &refused("/etc/tokens/a", ""),
        &["Insufficient configuration to create remote cluster"],
    );
    check(
        &refused("\"b\"}", "\"\"}"),
        &["Configuration is missing a service prefix"],
    );
    check(
        &refused("\"b\"}", "7}"),
        &["remoteClusters.servicePrefix: 7 is not a text"],
    );
    check(
        &refused("\"b\"}", "\"gl\"}"),
        &["prefix gl of source cluster-b is reserved"],
    );
    check(
        &config(&["-config", "/no"], &[]).unwrap_err(),
        &["cannot read /no"],
    );
    check(
        &config(&["-conf", "-mirror-ns=x"], &[]).unwrap_err(),
        &["not defined: -conf"],
    );
}

#[test]
fn our_own_flags_stay_ours() {
    let own = file("sources: [{name: a, url: 'http://a', sameName: true, namespace: demo}]");
    let text = shown(
        &["--config", own.path().to_str().unwrap(), "--log-level=warn"],
        &[],
    );
    check(&text, &["source a: http://a/\n", "listen: 0.0.0.0:9090\n"]);
}

fn parsed(words: &[&str], environment: &[(&str, &str)]) -> Args {
    let words: Vec<_> = words.iter().map(|it| (*it).to_owned()).collect();
    let variables = environment.iter();
    let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    parse(&words, &Environment::from_iter(variables)).unwrap()
}

#[test]
fn the_status_of_a_successor_is_requested_at_the_port_of_the_predecessor() {
    let file = file(SEMAPHORE);
    let path = file.path().to_str().unwrap();
    let asked = |words: &[&str], environment: &[(&str, &str)]| {
        let args = parsed(words, environment);
        let named = match args.command {
            Some(Command::Status { server, .. } | Command::Explain { server, .. }) => server,
            other => panic!("{words:?}: {other:?}"),
        };
        let servers = servers(named, args.listen);
        let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
        servers.join(" ")
    };
    let (ours, theirs) = ("http://127.0.0.1:9090/", "http://127.0.0.1:8080/");
    let theirs_first = format!("{theirs} {ours}");
    assert_eq!(asked(&["status"], &[]), format!("{ours} {theirs}"));
    assert_eq!(asked(&["status"], &[("SSM_CONFIG", path)]), theirs_first);
    assert_eq!(asked(&["status", "-config", path], &[]), theirs_first);
    let explain = ["explain", "svc", "a/b", "-o", "json", "-config", path];
    assert_eq!(asked(&explain, &[]), theirs_first);
    let one_remote = [("KSM_SVC_PREFIX", "a")];
    assert!(
        asked(&["status"], &one_remote).contains(ours),
        "though more is missing"
    );
    let listen = ["status", "--listen", "127.0.0.1:9091"];
    assert_eq!(asked(&listen, &[]), "http://127.0.0.1:9091/");
    let listen = ["status", "--reflector", "--listen=[::1]:7"];
    assert_eq!(asked(&listen, &[]), "http://[::1]:7/");
    let server = ["status", "--server", "http://there"];
    assert_eq!(asked(&server, &[("SSM_CONFIG", path)]), "http://there/");
}

#[test]
fn the_plan_of_a_predecessors_flags_can_be_previewed() {
    let file = file(SEMAPHORE);
    let path = file.path().to_str().unwrap();
    let words = [
        "plan",
        "-o",
        "json",
        "--local-objects=here",
        "--source-objects",
        "a=there",
    ];
    let words: Vec<_> = words.into_iter().chain(["-config", path]).collect();
    let args = parsed(&words, &[]);
    let Some(Command::Plan {
        local_objects,
        source_objects,
        ..
    }) = &args.command
    else {
        panic!("{:?}", args.command);
    };
    assert_eq!(local_objects.as_deref(), Some("here".as_ref()));
    assert_eq!(source_objects.len(), 1);
    assert_eq!(args.sources.len(), 2);
}

#[test]
fn a_prefix_that_no_service_can_have_is_refused_at_the_start() {
    for (prefix, example) in [("Cluster_A", "cluster-a"), ("1a", ""), ("a.b", "a-b")] {
        let file = file(&SEMAPHORE.replace("cluster-A", prefix));
        let refused = config(&["-config", file.path().to_str().unwrap()], &[]).unwrap_err();
        check(
            &refused,
            &["servicePrefix", prefix, "no mirror would ever", example],
        );
        let words = [
            "-target-kube-config=/k",
            "-label-selector=a=b",
            "-mirror-ns=m",
            &format!("-svc-prefix={prefix}"),
        ];
        check(&config(&words, &[]).unwrap_err(), &["-svc-prefix", prefix]);
    }
}

#[test]
fn any_variable_of_kube_service_mirror_says_that_its_names_are_meant() {
    let words = [
        "-target-kube-config=/k",
        "-label-selector=a=b",
        "-mirror-ns=m",
        "-svc-prefix=east",
    ];
    let theirs = "mirrors: m/east-NAME-6d6972726f720a-NAMESPACE\n";
    let level = [("KSM_LOG_LEVEL", "debug")];
    check(&shown(&words, &level), &[theirs]);
    let environment = Environment::from([("KSM_LOG_LEVEL".to_owned(), "debug".to_owned())]);
    let words = words.map(str::to_owned);
    let args = parse(&words, &environment).unwrap();
    assert_eq!(args.log_level, "debug".parse().unwrap());
    let args = parse(&words, &Environment::new()).unwrap();
    assert_eq!(args.log_level, "info".parse().unwrap());
}

#[test]
fn the_sweep_of_the_predecessors_is_requested() {
    let file = file(SEMAPHORE);
    let semaphore = config(&["-config", file.path().to_str().unwrap()], &[]).unwrap();
    assert!(semaphore.habits.sweeps && !semaphore.habits.reaps_namespaces);
    let nodes = &semaphore.policy.sources()[0].import.nodes;
    assert_eq!(*nodes, reflector_planner::import::Nodes::Named);
    let reflector = config(&["--reflector.source-api=http://east:8080"], &[]).unwrap();
    assert!(reflector.habits.reaps_namespaces && !reflector.habits.sweeps);
    assert!(reflector.policy.sources()[0].marks_as_reflected);
}
