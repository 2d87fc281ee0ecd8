use serde_json::json;

use super::*;
use crate::config::{Args, Config, Former};

const FILE: &str = "{mirrorNamespace: m, removedSources: delete, \
                    clusterProfiles: {namespace: fleet, defaults: {prefix: '{source}'}}, \
                    sources: [{name: east, url: 'http://east', prefix: e}]}";

fn profile(name: &str, spec: Value) -> SourceObject {
    SourceObject {
        name: name.into(),
        uid: format!("uid-{name}").into(),
        generation: 1,
        spec,
        former: None,
        refused: None,
    }
}

fn at(url: &str) -> Value {
    json!({"urls": [url]})
}

fn config(file: &str, objects: Option<Vec<SourceObject>>) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, file).unwrap();
    let words = [
        "reflector".to_owned(),
        format!("--config={}", path.display()),
    ];
    let mut args = <Args as clap::Parser>::parse_from(words);
    args.cluster_profiles.objects = objects;
    Config::try_from(args).map_err(|it| it.to_string())
}

fn names(config: &Config) -> Vec<&str> {
    config.sources.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn each_profile_is_a_source_after_all_others() {
    let objects = vec![
        profile("west", at("https://w")),
        profile("a.b", at("https://a")),
    ];
    let config = config(FILE, Some(objects)).unwrap();
    assert_eq!(names(&config), ["east", "west", "a-b"]);
    assert_eq!(config.sources[2].access.to_string(), "https://a/");
    let place = &config.object_places[0];
    assert_eq!((place.kind, place.namespace.as_str()), (KIND, "fleet"));
    assert_eq!(
        config.policy.removed_sources,
        reflector_planner::RemovedSources::Delete
    );
}

#[test]
fn a_wrong_profile_is_refused_with_a_remedy_and_costs_no_other() {
    let urls = |urls: &[&str]| json!({ "urls": urls });
    for (name, spec, reason, words) in [
        (
            "b",
            json!({}),
            "Invalid",
            "no heliograph.dev/emitter-url: have the",
        ),
        (
            "b",
            urls(&["https://b", "https://c"]),
            "Invalid",
            "more than once",
        ),
        ("b", json!({"urls": [7]}), "Invalid", "more than once"),
        (
            "b",
            at("/etc/passwd"),
            "Invalid",
            "does not begin with http",
        ),
        ("b", at("file:///etc/passwd"), "Invalid", "is not a URL"),
        (
            "b",
            at("https://user:secret@b"),
            "Invalid",
            "\"https://xxxxx@b\" is not",
        ),
        ("east", at("https://b"), "NameTaken", "another source east"),
        ("local", at("https://b"), "Invalid", "local is reserved"),
        ("---", at("https://b"), "Invalid", "metadata.name"),
        ("A", at("https://b"), "NameTaken", "another source a"),
    ] {
        let objects = vec![
            profile("a", at("https://a")),
            profile(name, spec),
            profile("z", at("https://z")),
        ];
        let config = config(FILE, Some(objects)).unwrap();
        assert_eq!(names(&config), ["east", "a", "z"], "{name}");
        let refusals: Vec<_> = config
            .verdicts
            .iter()
            .filter_map(|it| it.refusal.as_ref())
            .collect();
        let [refusal] = &refusals[..] else {
            panic!("{words}: {refusals:?}");
        };
        assert_eq!(refusal.reason, reason);
        assert!(refusal.message.contains(words), "{}", refusal.message);
        let told = config.notes.join("; ");
        assert!(
            told.contains(&format!("ClusterProfile {name} is not accepted")),
            "{told}"
        );
    }
}

#[test]
fn a_profile_that_loses_its_url_keeps_the_former_one() {
    let former = Some(Former {
        generation: 1,
        spec: at("https://b"),
    });
    let lost = SourceObject {
        former,
        ..profile("b", json!({"urls": []}))
    };
    let config = config(FILE, Some(vec![lost])).unwrap();
    assert_eq!(names(&config), ["east", "b"]);
    let told = config.notes.join("; ");
    assert!(told.contains("the former URL stays in effect"), "{told}");
}

#[test]
fn a_profile_may_not_receive_a_credential_that_no_ca_protects() {
    let with = |keys: &str| {
        format!(
            "{{mirrorNamespace: m, clusterProfiles: {{namespace: fleet, \
             defaults: {{prefix: '{{source}}', {keys}}}}}}}"
        )
    };
    for (keys, words) in [
        ("tokenFile: /token", "defaults: tokenFile needs caFile"),
        ("tokenVariable: T", "defaults: tokenVariable needs caFile"),
        ("url: 'https://a'", "url is of one source"),
        ("kubeconfig: /k", "kubeconfig is of one source"),
        ("colour: red", "colour"),
    ] {
        let error = config(&with(keys), None).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    let good = with("tokenFile: /token, caFile: /ca");
    let plain = config(&good, Some(vec![profile("b", at("http://b"))])).unwrap();
    assert_eq!(names(&plain), [""; 0], "a token over plain HTTP");
    let https = config(&good, Some(vec![profile("b", at("https://b"))])).unwrap();
    assert_eq!(names(&https), ["b"]);
}

#[test]
fn places_are_checked() {
    for (place, words) in [
        (
            "{selector: 'a in'}",
            "clusterProfiles.namespace: there is none",
        ),
        (
            "{namespace: a, selector: 'a in'}",
            "clusterProfiles.selector",
        ),
    ] {
        let file = format!("{{mirrorNamespace: m, clusterProfiles: {place}}}");
        let error = config(&file, None).unwrap_err();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn mirrors_stay_while_profiles_are_unknown_or_all_gone() {
    for objects in [None, Some(Vec::new())] {
        let config = config(FILE, objects).unwrap();
        assert_eq!(
            config.policy.removed_sources,
            reflector_planner::RemovedSources::Keep
        );
        assert!(config.notes.join("; ").contains("clusterProfiles: "));
    }
}

const PROVIDERS: &str = "accessProviders: [\
    {name: first, execConfig: {apiVersion: client.authentication.k8s.io/v1, command: /plugin, \
                               args: [--quiet], provideClusterInfo: true}}, \
    {name: second, execConfig: {apiVersion: client.authentication.k8s.io/v1, command: /other}}]";

fn with_providers(defaults: &str) -> String {
    format!(
        "{{mirrorNamespace: m, clusterProfiles: {{namespace: fleet, \
         defaults: {{prefix: '{{source}}', {defaults}}}, {PROVIDERS}}}}}"
    )
}

fn kubeconfig_of(config: &Config, source: usize) -> Value {
    match &config.sources[source].access {
        runtime::Access::Provided { kubeconfig, .. } => serde_json::from_str(kubeconfig).unwrap(),
        other => panic!("{other}"),
    }
}

#[test]
fn an_access_provider_leads_to_an_api_server_if_there_is_no_emitter() {
    let server =
        |name: &str| json!({"name": name, "cluster": {"server": format!("https://{name}")}});
    let spec = |status: Value| KIND.spec(Value::Null, &status);
    let all = [server("unknown"), server("second"), server("first")];
    let emitter = json!([{"name": "heliograph.dev/emitter-url", "value": "https://emitter"}]);
    let objects = vec![
        profile(
            "both",
            spec(json!({"properties": emitter, "accessProviders": all})),
        ),
        profile("preferred", spec(json!({"accessProviders": all}))),
        profile(
            "former",
            spec(json!({"credentialProviders": [server("second")]})),
        ),
        profile(
            "none",
            spec(json!({"accessProviders": [server("unknown")]})),
        ),
    ];
    // Keys about the URL of an emitter are none of a kubeconfig's.
    let file = with_providers("caFile: /ca, tokenFile: /token");
    let config = config(&file, Some(objects)).unwrap();
    assert_eq!(names(&config), ["both", "preferred", "former"]);
    assert_eq!(config.sources[0].access.to_string(), "https://emitter/");
    let preferred = kubeconfig_of(&config, 1);
    assert_eq!(
        preferred["clusters"][0]["cluster"]["server"],
        "https://first"
    );
    assert_eq!(
        preferred["users"][0]["user"]["exec"],
        json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "/plugin",
               "args": ["--quiet"], "provideClusterInfo": true})
    );
    assert_eq!(
        kubeconfig_of(&config, 2)["users"][0]["user"]["exec"]["command"],
        "/other"
    );
    let told = config.notes.join("; ");
    assert!(
        told.contains("has none of those in clusterProfiles.accessProviders: first, second"),
        "{told}"
    );
}

#[test]
fn an_unsafe_cluster_of_an_access_provider_is_refused() {
    let file = with_providers("");
    for (cluster, words) in [
        (json!({}), "cluster.server is \"\""),
        (json!({"server": "http://a"}), "to an https:// URL only"),
        (
            json!({"server": "https://a", "insecure-skip-tls-verify": true}),
            "verified server",
        ),
        (
            json!({"server": "https://a", "certificate-authority": "/etc/passwd"}),
            "names a file",
        ),
    ] {
        let status = json!({"accessProviders": [{"name": "first", "cluster": cluster}]});
        let objects = vec![profile("a", KIND.spec(Value::Null, &status))];
        let config = config(&file, Some(objects)).unwrap();
        assert_eq!(names(&config), [""; 0], "{cluster}");
        let told = config.notes.join("; ");
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn a_profile_passes_neither_a_program_nor_a_file_to_a_plugin() {
    let hostile = json!({
        "server": "https://a", "certificate-authority-data": "Q0E=", "tls-server-name": "b",
        "exec": {"command": "/bin/sh"}, "client-certificate": "/etc/passwd",
        "extensions": [
            {"name": "clusterprofiles.multicluster.x-k8s.io/exec/additional-args",
             "extension": ["--evil"]},
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}},
        ],
    });
    let status = json!({"accessProviders": [{"name": "first", "cluster": hostile}]});
    let objects = vec![profile("a", KIND.spec(Value::Null, &status))];
    let config = config(&with_providers(""), Some(objects)).unwrap();
    let kubeconfig = kubeconfig_of(&config, 0);
    assert_eq!(
        kubeconfig["clusters"][0]["cluster"],
        json!({"server": "https://a", "certificate-authority-data": "Q0E=", "tls-server-name": "b",
               "extensions": [{"name": "client.authentication.k8s.io/exec",
                               "extension": {"audience": "a"}}]})
    );
    assert_eq!(
        kubeconfig["users"][0]["user"]["exec"]["args"],
        json!(["--quiet"])
    );
}

#[test]
fn only_the_url_and_access_providers_of_a_profile_are_read() {
    let cluster = json!({"server": "https://evil"});
    let status = json!({
        "accessProviders": [{"name": "x", "cluster": cluster, "command": "/bin/sh"}],
        "properties": [
            {"name": "tokenFile", "value": "/var/run/token"},
            {"name": "heliograph.dev/emitter-url", "value": "https://a"},
        ],
    });
    let spec = KIND.spec(json!({"kubeconfig": "/etc/k"}), &status);
    assert_eq!(
        spec,
        json!({"urls": ["https://a"], "providers": {"x": cluster}})
    );
}
