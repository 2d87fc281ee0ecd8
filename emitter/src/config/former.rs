//! Former spellings of flags, which stay accepted.

use clap::Parser;

use super::{Args, Config};

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
    }
}
