use super::CommandLine;
use crate::config::{Args, Config, FlagDialect};
use clap::Parser;

fn config(line: &str) -> Result<Config, String> {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    let line = CommandLine::read(&words).map_err(|why| why.to_string())?;
    let words = std::iter::once("emitter".to_owned()).chain(line.words);
    let args = Args::try_parse_from(words).map_err(|why| why.to_string())?;
    Config::try_from(args.spelled(line.spelling)).map_err(|why| why.to_string())
}

/// What becomes of a line: our words, and how many notes.
fn read(line: &str) -> (String, usize) {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    let read = CommandLine::read(&words).unwrap();
    let notes = match &read.spelling {
        FlagDialect::Ours => 0,
        FlagDialect::ServiceReflector { notes, .. } => notes.len(),
    };
    (read.words.join(" "), notes)
}

/// Theirs, ours, and how many notes are made of it.
const FLAGS: &[(&str, &str, usize)] = &[
    ("--kubeconfig /k", "--kubeconfig=/k", 0),
    ("--kubeconfig=", "", 0),
    ("--listen :9090", "--listen=0.0.0.0:9090", 0),
    ("--listen=0.0.0.0:1", "--listen=0.0.0.0:1", 0),
    ("--log-level=all", "--log-level=trace", 0),
    ("--log-level=none", "--log-level=off", 0),
    ("--log-level debug", "--log-level=debug", 0),
    (
        "--log-level=info,runtime=debug",
        "--log-level=info,runtime=debug",
        0,
    ),
    ("--namespace=demo", "--namespace=demo", 0),
    ("--namespace=", "", 0),
    ("--version", "--version", 0),
    ("--version=false", "", 0),
    ("--emitter=true", "", 0),
    ("--emitter=1", "", 0),
    ("--emitter", "", 0),
    ("--emitter true", "", 1),
    ("--reflector=false", "", 0),
    ("--reflector=F", "", 0),
    ("--reflector", "", 1),
    ("--emitter.selector=a=b,c=d", "--selector=a=b,c=d", 0),
    ("--emitter.selector a=b", "--selector=a=b", 0),
    ("--emitter.selector=", "", 0),
    (
        "--emitter.insecure-bind-address=::1",
        "--insecure-bind-address=::1",
        0,
    ),
    ("--emitter.insecure-port=0", "--insecure-port=0", 0),
    (
        "--emitter.bind-address 1.2.3.4",
        "--bind-address=1.2.3.4",
        0,
    ),
    ("--emitter.secure-port=6443", "--secure-port=6443", 0),
    ("--emitter.cert-dir=c", "--cert-dir=c", 0),
    ("--emitter.tls-cert-file=c", "--tls-cert-file=c", 0),
    (
        "--emitter.tls-private-key-file=k",
        "--tls-private-key-file=k",
        0,
    ),
    (
        "--emitter.tls-cipher-suites=A,B",
        "--tls-cipher-suites=A,B",
        0,
    ),
    ("--emitter.tls-min-version=", "", 0),
    (
        "--emitter.tls-min-version=VersionTLS13",
        "--tls-min-version=VersionTLS13",
        0,
    ),
    (
        "--emitter.tls-sni-cert-key=c,k:n --emitter.tls-sni-cert-key d,l",
        "--tls-sni-cert-key=c,k:n --tls-sni-cert-key=d,l",
        0,
    ),
    ("--emitter.http2-max-streams-per-connection=0", "", 0),
    (
        "--emitter.http2-max-streams-per-connection=7",
        "--http2-max-streams-per-connection=7",
        0,
    ),
    ("--reflector.source-api=http://a,http://b", "", 1),
    ("--reflector.source-kubeconfig /k", "", 1),
    ("--reflector.selector a=b", "", 1),
    ("x y", "", 2),
    ("-- --nonsense", "", 0),
];

#[test]
fn every_flag_of_service_reflector_is_accepted_as_it_was() {
    for (theirs, ours, n_notes) in FLAGS {
        // What is not its alone is told to be its by another flag.
        let line = format!("--reflector=false {theirs}");
        let expected = ((*ours).to_owned(), *n_notes);
        assert_eq!(read(&line), expected, "{theirs}");
    }
}

#[test]
fn its_documented_lines_start_an_emitter() {
    for line in [
        "--emitter.secure-port=6443 --emitter.insecure-port=8080 --reflector.source-api= --listen=0.0.0.0:9090",
        "--emitter --reflector=false",
        "--emitter.selector=a=b --emitter.selector=c=d --emitter.insecure-port=1 --emitter.insecure-port=2",
        "--emitter.http2-max-streams-per-connection=0 --emitter.tls-min-version=VersionTLS12",
        "--emitter.cert-dir=emitter.local.config/certificates --listen :9090 --log-level none",
    ] {
        let config = config(line).unwrap();
        assert!(config.settings.anonymous, "{line}: it let in everybody");
    }
    let last =
        config("--emitter.selector=a=b --emitter.selector=c=d --listen=:1 --listen=:2").unwrap();
    assert_eq!(last.selector.unwrap().to_string(), "c=d");
    assert_eq!(last.listen.port(), 2);
}

#[test]
fn without_a_selector_everything_is_exported_only_if_nothing_is_ours() {
    let config_of =
        |line| config(line).map(|it| (it.selector.unwrap().is_empty(), it.notes.join("\n")));
    let (is_everything, notes) = config_of("--emitter.secure-port=6443").unwrap();
    assert!(
        is_everything && notes.contains("everything is exported"),
        "{notes}"
    );
    let why = config_of("--emitter.secure-port=6443 --cluster-name=east").unwrap_err();
    assert!(why.contains("--selector"), "{why}");
    let (is_everything, notes) = config_of("--emitter.selector=a=b --cluster-name east").unwrap();
    assert!(!is_everything, "{notes}");
    for warned in ["plain HTTP is served on 0.0.0.0", "every client"] {
        assert!(notes.contains(warned), "{notes}");
    }
}

#[test]
fn a_wrong_value_is_named() {
    for (line, word) in [
        ("--emitter=false", "--emitter=false"),
        ("--emitter=perhaps", "--emitter: \"perhaps\""),
        (
            "--emitter.selector",
            "flag needs an argument: --emitter.selector",
        ),
        (
            "--emitter.selector=a=b --log-level=loud",
            "log level loud unknown",
        ),
        ("--emitter.selector=a=b --listen=here", "--listen"),
        (
            "--emitter.selector=a=b --emitter.nonsense=1",
            "--emitter.nonsense",
        ),
        ("--emitter.selector=a=b -emitter", "-e"),
        (
            "--emitter.selector=a=b --emitter.insecure-port=70000",
            "--insecure-port",
        ),
        (
            "--emitter.selector=a=b --emitter.tls-sni-cert-key=c",
            "CERT,KEY",
        ),
        (
            "--emitter.selector=a=b --emitter.tls-cipher-suites=NONE",
            "\"NONE\" is not a cipher suite",
        ),
        (
            "--emitter.selector=a=b --emitter.tls-min-version=1.2",
            "VersionTLS12",
        ),
    ] {
        let why = config(line).unwrap_err();
        assert!(why.contains(word), "{line}: {why}");
    }
}
