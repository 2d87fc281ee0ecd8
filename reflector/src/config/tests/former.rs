//! Former spellings of flags and keys, which stay accepted.

use super::{Config, EffectiveConfig, config};
use crate::config::File;

#[track_caller]
fn shown(config: Result<Config, String>) -> EffectiveConfig {
    EffectiveConfig::from(&config.unwrap())
}

#[test]
fn former_flags_mean_the_same() {
    let base = [
        "--leader-elect",
        "--mirror-namespace=m",
        "--source=name=a,url=http://a,prefix=a",
    ];
    for (now, former) in [
        ("--admin-bind-address=127.0.0.1:1", "--listen=127.0.0.1:1"),
        ("--leader-elect-resource-name=x", "--lease-name=x"),
        ("--leader-elect-resource-namespace=x", "--lease-namespace=x"),
        ("--leader-elect-lease-duration=9s", "--lease-duration=9s"),
        (
            "--source=name=b,url=http://b,prefix=b,pollInterval=9s",
            "--source=name=b,url=http://b,prefix=b,pollEvery=9s",
        ),
    ] {
        let with = |flag| shown(config(&[&base[..], &[flag]].concat()));
        assert_eq!(with(now), with(former), "{now}");
        assert_ne!(with(now), shown(config(&base)), "{now} means something");
    }
}

#[test]
fn former_keys_mean_the_same() {
    let of_source = |rest: &str| format!("sources: [{{name: a, url: 'http://a', {rest}}}]");
    for (now, former) in [
        ("deletionHold: 5s".to_owned(), "holdSeconds: 5".to_owned()),
        (
            "localCIDRs: [10.0.0.0/8]".to_owned(),
            "localRanges: [10.0.0.0/8]".to_owned(),
        ),
        (
            "sourceURLs: {file: /x, defaults: {sameName: true}}".to_owned(),
            "sourceApi: {file: /x, each: {sameName: true}}".to_owned(),
        ),
        (
            "kubeconfigDir: {path: /x, defaults: {sameName: true}}".to_owned(),
            "kubeconfigDir: {path: /x, each: {sameName: true}}".to_owned(),
        ),
        (
            "global: {cluster: w, localFirstSelector: a=b}".to_owned(),
            "global: {cluster: w, localFirst: a=b}".to_owned(),
        ),
        (of_source("pollInterval: 5s"), of_source("pollEvery: 5s")),
        (of_source("zoneMap: {a: b}"), of_source("zones: {a: b}")),
        (
            of_source("stalenessOverrides: [{services: [a/b], staleness: keep}]"),
            of_source("stalenessOf: [{services: [a/b], staleness: keep}]"),
        ),
        (
            of_source("import: {endpointCIDRs: [10.0.0.0/8]}"),
            of_source("import: {addresses: [10.0.0.0/8]}"),
        ),
        (
            of_source("naming: {namespaceMap: {a: b}, longNames: truncate, allowAliases: true}"),
            of_source("naming: {namespaces: {a: b}, long: shorten, aliases: true}"),
        ),
        (
            of_source("naming: {longNames: skip}"),
            of_source("naming: {long: refuse}"),
        ),
    ] {
        let read = |text: &str| serde_saphyr::from_str::<File>(text).unwrap();
        let mut before = read(&former);
        // The one key that has another form.
        let hold = before.hold_seconds.take();
        before.deletion_hold = before.deletion_hold.or(hold);
        assert_eq!(format!("{:?}", read(&now)), format!("{before:?}"), "{now}");
    }
}

#[test]
fn no_source_has_the_name_of_the_local_cluster() {
    let error = super::from_file("sources: [{name: local, url: 'http://a', sameName: true}]");
    super::check(error, &["source local: the name is reserved"]);
    let hold = super::from_file(
        "{deletionHold: soon, sources: [{name: a, url: 'http://a', sameName: true}]}",
    );
    super::check(hold, &["\"soon\" is not a duration"]);
}

#[test]
fn former_spellings_are_warnings_of_the_configuration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    std::fs::write(path, "{holdSeconds: 5, sources: []}").unwrap();
    let flags = [
        "--listen=127.0.0.1:1",
        "--source=name=b,url=http://b,prefix=b,pollEvery=9s",
    ];
    let words = ["--mirror-namespace=m", "--config", path]
        .into_iter()
        .chain(flags);
    let words: Vec<_> = words.map(str::to_owned).collect();
    let args = crate::compat::parse(&words, &std::collections::BTreeMap::new()).unwrap();
    let config = Config::try_from(args).unwrap();
    assert_eq!(
        config.notes,
        [
            "flag --listen is deprecated: use --admin-bind-address",
            "--source: pollEvery is deprecated: use pollInterval",
            "holdSeconds is deprecated: use deletionHold",
        ]
    );
}
