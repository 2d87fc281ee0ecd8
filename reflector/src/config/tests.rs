mod former;
pub(crate) mod schema;

use std::io::Write;

use clap::Parser;

use super::{Args, Config, EffectiveConfig};

fn config(flags: &[&str]) -> Result<Config, String> {
    let flags = std::iter::once("reflector").chain(flags.iter().copied());
    let args = Args::try_parse_from(flags).map_err(|error| error.to_string())?;
    Config::try_from(args).map_err(|error| error.to_string())
}

fn from_file(text: &str) -> Result<Config, String> {
    let mut file = tempfile::Builder::new()
        .prefix("reflector")
        .tempfile()
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let outcome = config(&["--config", file.path().to_str().unwrap()]);
    schema::agrees(text, outcome.as_ref().err().map(String::as_str));
    outcome
}

#[track_caller]
fn check(outcome: Result<Config, String>, words: &[&str]) {
    let error = outcome.unwrap_err();
    for word in words {
        assert!(error.contains(word), "no {word:?} in: {error}");
    }
}

#[test]
fn a_file_and_flags_add_up() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(
        b"mirrorNamespace: mirrors
removedSources: delete
sources:
- name: east
  url: http://east:8080
  prefix: east
  selector: app in (a, b)
",
    )
    .unwrap();
    let config = config(&[
        "--config",
        file.path().to_str().unwrap(),
        "--source",
        "name=west,kubeconfig=/etc/west,context=w,sameName=true,selector=a in (b,c),d=e,namespace=n",
        "--mirror-namespace",
        "elsewhere",
    ])
    .unwrap();
    let names: Vec<_> = config.sources.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["east", "west"]);
    assert_eq!(config.sources[1].selector.to_string(), "a in (b,c),d=e");
    assert_eq!(config.sources[1].namespace.as_ref().unwrap().as_str(), "n");
    assert!(format!("{:?}", config.policy).contains("elsewhere"));
    assert_eq!(config.local_namespace(), None);
}

#[test]
fn json_is_a_configuration_too() {
    let config = from_file(
        r#"{"mirrorNamespace": "m", "sources": [{"name": "east", "url": "http://e", "prefix": "e"}]}"#,
    )
    .unwrap();
    assert_eq!(config.local_namespace().unwrap().as_str(), "m");
}

#[test]
fn the_effective_configuration_is_shown_with_its_defaults() {
    let config = config(&[
        "config",
        "--source",
        "name=east,url=http://east:8080,prefix=e",
        "--mirror-namespace=m",
    ])
    .unwrap();
    assert_eq!(
        EffectiveConfig::from(&config).to_string(),
        "\
local cluster: the cluster around this process
listen: 0.0.0.0:9090
mirrors of removed sources: keep
deletion hold: 60s
leader election: none
source east: http://east:8080/
  mirrors: m/e-NAMESPACE-73736d-NAME
  selector: !heliograph.dev/source
  namespace: all
  endpoints while it is silent: keep
  may bring in: at most that many Services: 5000; at most that many endpoints of each: 5000
"
    );
}

#[test]
fn staleness_is_otherwise_for_some_services() {
    let file = |services: &str| {
        from_file(&format!(
            "{{sources: [{{name: a, url: 'http://a', sameName: true, namespace: demo, stalenessOverrides: [{{services: \
             {services}, staleness: {{dropAfter: 5s}}}}]}}]}}"
        ))
    };
    let config = file("[demo/db-*, prod/web]").unwrap();
    let shown = EffectiveConfig::from(&config).to_string();
    let line = "    but of demo/db-*, prod/web: dropped after 5s\n";
    assert!(shown.contains(line), "{shown}");
    let words = file("[web]").unwrap_err();
    assert!(
        words.contains("source a: stalenessOverrides: \"web\" names no Service"),
        "{words}"
    );
}

#[test]
fn staleness_is_said_in_a_file_and_behind_a_flag() {
    let shown =
        |config: Result<Config, String>| EffectiveConfig::from(&config.unwrap()).to_string();
    let flag = shown(config(&[
        "--source",
        "name=a,url=http://a,sameName=true,namespace=demo,notReadyAfter=5m,dropAfter=1h",
    ]));
    let file = "{sources: [{name: a, url: 'http://a', sameName: true, namespace: demo, staleness: STALENESS}]}";
    let file = |staleness| from_file(&file.replace("STALENESS", staleness));
    assert_eq!(flag, shown(file("{notReadyAfter: 5m, dropAfter: 1h}")));
    assert!(
        flag.contains("silent: not ready after 300s, dropped after 3600s"),
        "{flag}"
    );
    assert!(shown(file("keep")).contains("silent: keep"));
    check(
        file("drop"),
        &["\"drop\" is neither keep nor notReadyAfter"],
    );
    check(file("{dropAfter: 5}"), &["dropAfter"]);
    check(
        file("{dropAfter: soon}"),
        &["\"soon\" is not a duration: write"],
    );
    check(
        file("{dropAfter: 1m, notReadyAfter: 1h}"),
        &["make it longer"],
    );
}

/// A file with global Services, and three sources.
fn with_global(rest: &str) -> String {
    format!(
        "mirrorNamespace: m
global: {{{rest}}}
sources:
- {{name: east, url: 'http://e', prefix: e}}
- {{name: west, url: 'http://w'}}
- {{name: north, url: 'http://n', prefix: north, global: false}}
"
    )
}

#[test]
fn global_services_are_of_this_cluster_and_of_all_sources_that_take_part() {
    let config = from_file(&with_global("cluster: home, selector: shared=true")).unwrap();
    let shown = EffectiveConfig::from(&config).to_string();
    let expected = "\
global Services: m/gl-NAMESPACE-73736d-NAME
  this cluster: home
  members: east, west, home
  selector: !heliograph.dev/source,shared=true
";
    assert!(shown.contains(expected), "{shown}");
    assert!(
        shown.contains("source west: http://w/\n  mirrors: none"),
        "{shown}"
    );
    assert_eq!(config.local_namespace().unwrap().as_str(), "m");
    let same = with_global("cluster: home, sameName: true");
    check(
        from_file(&same),
        &["source east chooses the local namespaces"],
    );
    let same = same.replace("url:", "namespace: demo, url:");
    let same = from_file(&same).unwrap();
    let shown = EffectiveConfig::from(&same).to_string();
    assert!(shown.contains("global Services: NAMESPACE/NAME"), "{shown}");
    assert!(
        shown.contains("heliograph.dev/global-service=true"),
        "{shown}"
    );
    assert_eq!(same.local_namespace(), None);
}

#[test]
fn global_services_that_cannot_be_made_are_named_with_the_remedy() {
    check(
        from_file(&with_global("selector: shared=true")),
        &["missing field `cluster`"],
    );
    let mapped =
        with_global("cluster: home, zones: [a]").replace("prefix: e", "prefix: e, zones: {x: b}");
    check(
        from_file(&mapped),
        &[
            "source east: its zone \"x\" is called \"b\" here",
            "name it in global.zones",
        ],
    );
    check(
        from_file(&with_global("cluster: east")),
        &["the local cluster is called east, and so is a source"],
    );
    check(
        from_file(&with_global("cluster: home, migration: true")),
        &["goes with sameName: true: add that, or remove migration"],
    );
    check(
        from_file(&with_global("cluster: home, precedence: [local, north]")),
        &["global.precedence: \"north\" is neither local nor a source that joins"],
    );
    from_file(&with_global("cluster: home, precedence: [local, west]")).unwrap();
    check(
        from_file(&with_global("cluster: home, selector: a in")),
        &["global: selector \"a in\""],
    );
    check(
        from_file("{global: {cluster: home}, sources: [{name: a, url: 'http://a'}]}"),
        &["there is no namespace for global Services"],
    );
    check(
        from_file(&with_global("cluster: home").replace("prefix: north, ", "")),
        &["source north does not say where its mirrors go"],
    );
}

#[test]
fn a_source_is_never_asked_for_mirrors() {
    let config = config(&[
        "--source",
        "name=a,url=http://a,sameName=true,namespaces=b,c-*,selector=x=y",
    ])
    .unwrap();
    let import = EffectiveConfig::from(&config).to_string();
    assert!(import.contains("namespaces: b, c-*"), "{import}");
    let selector = config.sources[0].full_selector().to_string();
    assert_eq!(selector, "!heliograph.dev/source,x=y");
}

#[test]
fn a_bad_file_is_named_with_the_key() {
    check(
        config(&["--config", "/no/such/file"]),
        &["cannot read configuration /no/such/file"],
    );
    check(
        from_file("sources:\n- name: east\n  urll: http://e\n"),
        &["reflector", "is not valid", "urll"],
    );
    check(
        from_file("mirrorNamespace: Mirrors\n"),
        &["is not valid", "\"Mirrors\" is not a DNS label: use"],
    );
    check(from_file("sources: 7\n"), &["is not valid", "sources"]);
}

#[test]
fn a_bad_source_flag_is_named() {
    check(
        config(&["--source", "east"]),
        &["--source", "\"east\" is not KEY=VALUE: write"],
    );
    check(
        config(&["--source", "name=a,name=b"]),
        &["--source", "name is given twice"],
    );
    check(
        config(&["--source", "name=a,prefix=a,kubeconfig="]),
        &["--source", "kubeconfig has no value: give it one"],
    );
    check(
        config(&["--source", "name=East,url=http://e,prefix=e"]),
        &["--source", "\"East\" is not a DNS label"],
    );
    check(
        config(&["--source", "name=a,colour=red"]),
        &["--source", "unknown field `colour`"],
    );
}

#[test]
fn a_source_must_say_where_it_is_and_where_its_mirrors_go() {
    let check = |source: &str, words: &str| {
        check(
            config(&["--source", source, "--mirror-namespace", "m"]),
            &[words],
        );
    };
    check("name=a,prefix=p", "source a has neither url nor kubeconfig");
    check(
        "name=a,url=http://a,kubeconfig=/k,prefix=p",
        "source a has both",
    );
    check(
        "name=a,url=http://a",
        "source a does not say where its mirrors go",
    );
    let both = "name=a,url=http://a,prefix=p,sameName=true";
    check(both, "source a has a prefix and sameName");
    check(
        "name=a,url=http://a,sameName=true",
        "source a chooses the local namespaces of its mirrors (sameName): list those",
    );
    for secret in [
        "tokenFile=/t",
        "tokenVariable=T",
        "caUrl=http://ca.example",
        "caUrl=http://10.0.0.1/ca.pem",
        "clientCertificateFile=/c,clientKeyFile=/k",
    ] {
        let key = secret.split('=').next().unwrap();
        check(
            &format!("name=a,url=http://a,prefix=p,{secret}"),
            &format!("source a: {key} over plain HTTP"),
        );
    }
    check(
        "name=a,url=https://a,prefix=p,clientCertificateFile=/c",
        "clientCertificateFile goes with clientKeyFile",
    );
    check(
        "name=a,url=http://a,context=c,prefix=p",
        "context goes with kubeconfig",
    );
    check(
        "name=a,kubeconfig=/k,tokenFile=/t,prefix=p",
        "tokenFile goes with url",
    );
    check("name=a,url=http://a,prefix=gl", "reserved");
    check(
        "name=a,url=http://a,prefix=p,selector=a in",
        "source a: selector \"a in\"",
    );
    check(
        "name=a,url=http://[,prefix=p",
        "source a: \"http://[\" is not a URL",
    );
}

#[test]
fn a_missing_setting_is_named_with_its_remedy() {
    check(config(&[]), &["no sources: name them with --source"]);
    check(
        from_file("{removedSources: delete, sources: []}"),
        &["no sources: name them with --source"],
    );
    let empty = from_file("{mirrorNamespace: m, sources: []}").unwrap();
    let shown = EffectiveConfig::from(&empty).to_string();
    assert!(shown.contains("note: no sources are configured"), "{shown}");
    check(
        config(&["--source", "name=a,url=http://a,prefix=p"]),
        &["source a has a prefix", "--mirror-namespace"],
    );
    check(config(&["--colour"]), &["--colour"]);
    check(config(&["--log-level", "loud"]), &["--log-level", "loud"]);
}

/// With a directory that has these files.
fn with_directory(files: &[&str], more: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::write(directory.path().join(file), "").unwrap();
    }
    let path = directory.path().display();
    let text = format!("mirrorNamespace: m\nkubeconfigDir: {{path: {path}, {more}}}\n");
    let file = directory.path().join(".config");
    std::fs::write(&file, text).unwrap();
    config(&["--config", file.to_str().unwrap()])
}

fn names(config: &Config) -> Vec<&str> {
    config.sources.iter().map(|it| it.name.as_str()).collect()
}

#[test]
fn a_discovered_source_that_does_not_fit_is_left_out_and_told() {
    let each = "defaults: {prefix: '{source}'}";
    let config = with_directory(&["prod", "prod-eu", "test"], each).unwrap();
    assert_eq!(names(&config), ["prod", "test"]);
    let told = config.notes.join("; ");
    assert!(
        told.contains("source prod-eu is left out; its mirrors stay"),
        "{told}"
    );
    // What was mirrored of it was not removed from its source.
    let keep = reflector_planner::RemovedSources::Keep;
    assert_eq!(config.policy.removed_sources, keep);

    let config = with_directory(&["1a", "gl", "test"], each).unwrap();
    assert_eq!(names(&config), ["test"]);
    assert_eq!(config.notes.len(), 2, "{:?}", config.notes);

    // What is wrong with all of them is wrong with the configuration.
    check(with_directory(&["a", "b"], "defaults: {}"), &["sameName"]);
}

#[test]
fn a_url_that_does_not_fit_is_left_out_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let urls = directory.path().join("urls");
    std::fs::write(
        &urls,
        "http://127.0.0.1, http://127.0.0.1:32000\nhttp://[oops http://b",
    )
    .unwrap();
    let file = directory.path().join("config");
    let text = format!(
        "mirrorNamespace: m\nremovedSources: delete\n\
         sourceURLs: {{file: {}, defaults: {{prefix: 's-{{source}}'}}}}\n",
        urls.display()
    );
    std::fs::write(&file, text).unwrap();
    let config = config(&["--config", file.to_str().unwrap()]).unwrap();
    assert_eq!(names(&config), ["127-0-0-1", "b"]);
    let told = config.notes.join("; ");
    assert!(
        told.contains("source 127-0-0-1-32000 is left out"),
        "{told}"
    );
    assert!(
        told.contains("[oops") && told.contains("http://HOST:PORT"),
        "{told}"
    );
    let keep = reflector_planner::RemovedSources::Keep;
    assert_eq!(config.policy.removed_sources, keep);
}
