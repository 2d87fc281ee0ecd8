//! Former spellings of flags, which stay accepted.

use clap::Parser;

use super::{Args, Config};

fn words(flag: &str) -> Vec<String> {
    let words = ["--selector", "a=b", "--insecure-port", "1"].into_iter();
    let words = words.chain(flag.split(' '));
    words.map(str::to_owned).collect()
}

fn notes(flag: &str) -> Vec<String> {
    let args = crate::compat::parse(&words(flag)).unwrap();
    Config::try_from(args).unwrap().notes
}

fn parse(flag: &str) -> Result<Config, String> {
    let words = ["emitter", "--selector", "a=b"].into_iter();
    let args = Args::try_parse_from(words.chain(flag.split(' '))).map_err(|it| it.to_string())?;
    Config::try_from(args).map_err(|why| why.to_string())
}

#[test]
fn former_flags_mean_the_same() {
    for (now, former) in [
        ("--anonymous-auth", "--anonymous"),
        ("--export-annotations a,b", "--annotations a,b"),
        ("--clusterset x", "--cluster-set x"),
        ("--admin-bind-address 127.0.0.1:1", "--listen 127.0.0.1:1"),
        ("--watch-batch-period 7s", "--max-gather 7s"),
        ("--shutdown-delay-duration 7s", "--shutdown-delay 7s"),
        (
            "--shutdown-watch-termination-grace-period 7s",
            "--shutdown-spread 7s",
        ),
    ] {
        let with = |flag| format!("{:?}", parse(flag));
        assert_eq!(with(now), with(former));
        assert!(!with(now).contains("unexpected argument"), "{}", with(now));
        let name = |it: &str| it.split(' ').next().unwrap().to_owned();
        let warning = format!("flag {} is deprecated: use {}", name(former), name(now));
        assert_eq!(notes(former).first(), Some(&warning));
        assert!(!notes(now).iter().any(|it| it.contains("deprecated")));
    }
}

#[test]
fn flags_of_service_reflector_are_not_deprecated() {
    let notes = notes("--emitter.insecure-port 0 --listen :9090");
    assert!(
        !notes.iter().any(|it| it.contains("deprecated")),
        "{notes:?}"
    );
}
