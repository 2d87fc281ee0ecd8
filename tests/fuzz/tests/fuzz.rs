//! Every target, on what once did harm and on mutated input.
//!
//! `FUZZ_SECONDS=60 cargo test -p fuzz-targets -- selectors` says which and for how long;
//! without, each runs two seconds. `FUZZ_SEED` repeats a run.

use std::process::ExitCode;
use std::time::Duration;

use fuzz_targets::driver::{self, Harm};
use fuzz_targets::{TARGETS, Target};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = TARGETS.into_iter().flat_map(|target| {
        let again = move || replay(&target);
        let name = target.name;
        [
            Trial::test(format!("{name}::what_once_did_harm_does_no_more"), again),
            Trial::test(format!("{name}::no_input_does_harm"), move || {
                search(&target)
            }),
        ]
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn variable(name: &str) -> Result<Option<u64>, Failed> {
    let value = std::env::var(name).ok().map(|it| it.parse());
    value
        .transpose()
        .map_err(|why| format!("{name}: {why}").into())
}

fn search(target: &Target) -> Result<(), Failed> {
    let seconds = variable("FUZZ_SECONDS")?.unwrap_or(2);
    let seed = variable("FUZZ_SEED")?.unwrap_or_else(|| fastrand::u64(..));
    let n_inputs = driver::throw(target, Duration::from_secs(seconds), seed).map_err(|harm| {
        let Harm { input, why } = harm;
        let name = format!("{:016x}", fastrand::Rng::with_seed(seed).u64(..));
        let path = driver::regressions(target).join(name);
        let kept = std::fs::create_dir_all(driver::regressions(target))
            .and_then(|()| std::fs::write(&path, &input));
        let text = String::from_utf8_lossy(&input).into_owned();
        let path = path.display();
        Failed::from(format!(
            "{why}\ninput {text:?}\nkept as {path} ({kept:?}), FUZZ_SEED={seed}"
        ))
    })?;
    eprintln!("{}: {n_inputs} inputs in {seconds} s", target.name);
    match n_inputs {
        0 => Err("no input was tried".into()),
        _ => Ok(()),
    }
}

fn replay(target: &Target) -> Result<(), Failed> {
    let Ok(files) = std::fs::read_dir(driver::regressions(target)) else {
        return Ok(());
    };
    for file in files {
        let path = file?.path();
        let harm = driver::run(target, &std::fs::read(&path)?);
        harm.map_err(|harm| format!("{}: {}", path.display(), harm.why))?;
    }
    Ok(())
}
