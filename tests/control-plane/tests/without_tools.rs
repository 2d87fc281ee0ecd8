//! What holds without any binaries: keepers clean up, and suites say what did not run.

mod processes;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use control_plane::{Keeper, Process, Scene, scenario, suite};
use libtest_mimic::{Arguments, Trial};

use self::processes::running_in;

fn main() -> ExitCode {
    // What is killed or asked for its exit code is a process of its own: this one.
    match std::env::var(ROLE).as_deref() {
        Ok("victim") => return victim(),
        Ok("suite") => return suite::run("a suite", vec![scenario!(fails), scenario!(panics)]),
        _ => {}
    }
    let trial = |name, test: fn() -> anyhow::Result<()>| {
        Trial::test(name, move || {
            test().map_err(|error| format!("{error:?}").into())
        })
    };
    let trials = vec![
        trial(
            "a_killed_test_leaves_neither_process_nor_file",
            a_killed_test_leaves_neither_process_nor_file,
        ),
        trial(
            "a_process_that_ended_is_noted_no_longer",
            a_process_that_ended_is_noted_no_longer,
        ),
        trial(
            "a_log_can_be_read_when_the_keeper_has_gone",
            a_log_can_be_read_when_the_keeper_has_gone,
        ),
        trial(
            "tests_that_cannot_run_are_ignored_and_the_last_line_says_so",
            tests_that_cannot_run_are_ignored_and_the_last_line_says_so,
        ),
        trial(
            "tests_that_cannot_run_fail_in_ci",
            tests_that_cannot_run_fail_in_ci,
        ),
        trial(
            "scenarios_that_are_not_selected_need_no_binaries",
            scenarios_that_are_not_selected_need_no_binaries,
        ),
        trial(
            "a_scenario_that_fails_shows_its_logs",
            a_scenario_that_fails_shows_its_logs,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

const ROLE: &str = "HELIOGRAPH_TEST_ROLE";

fn a_killed_test_leaves_neither_process_nor_file() -> anyhow::Result<()> {
    let mut victim = Command::new(std::env::current_exe()?)
        .env(ROLE, "victim")
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = victim.stdout.take().context("it has a standard output")?;
    let mut directory = String::new();
    BufReader::new(stdout).read_line(&mut directory)?;
    let directory = Path::new(directory.trim());
    // The keeper, and the three that it keeps; which may be about to become what they are.
    let is_running = || running_in(directory).is_ok_and(|it| it.len() == 4);
    ensure!(eventually(is_running), "{:?}", running_in(directory)?);
    victim.kill()?;
    victim.wait()?;
    let is_clean = || !directory.exists() && running_in(directory).is_ok_and(|it| it.is_empty());
    ensure!(eventually(is_clean), "{:?}", running_in(directory)?);
    Ok(())
}

/// Starts processes that do not end by themselves, two of one name and one paused, and
/// waits to be killed.
fn victim() -> ExitCode {
    let keeper = Keeper::new("victim").expect("a keeper starts");
    let start = |name: &str| -> Process {
        let mut command = Command::new("sh");
        // The directory among its arguments lets the test find it.
        command.args(["-c", "while :; do sleep 0.1; done"]);
        let process = keeper.spawn(name, command.arg(keeper.directory()));
        process.expect("it starts")
    };
    let _twins = [start("twin"), start("twin")];
    let mut paused = start("paused");
    let groups = keeper.directory().join("groups");
    let n_groups = || std::fs::read_dir(&groups).map_or(0, Iterator::count);
    assert!(eventually(|| n_groups() == 3), "not all have begun");
    paused.pause().expect("it can be paused");
    #[expect(clippy::print_stdout, reason = "this is how the test hears of it")]
    {
        println!("{}", keeper.directory().display());
    }
    std::thread::sleep(Duration::from_secs(60));
    ExitCode::FAILURE
}

fn a_process_that_ended_is_noted_no_longer() -> anyhow::Result<()> {
    let keeper = Keeper::new("notes")?;
    let notes = || -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(keeper.directory().join("groups"))?.count())
    };
    let mut process = keeper.spawn("sleep", Command::new("sleep").arg("60"))?;
    ensure!(eventually(|| notes().is_ok_and(|it| it == 1)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    process.pause()?;
    runtime.block_on(process.stop())?;
    ensure!(notes()? == 0, "its number may pass to a stranger");
    ensure!(process.resume().is_err(), "it was signaled after its end");
    // One that ends at the first word is no failure to stop.
    for _ in 0..20 {
        let mut process = keeper.spawn("sleep", Command::new("sleep").arg("60"))?;
        ensure!(eventually(|| notes().is_ok_and(|it| it == 1)));
        runtime.block_on(process.stop())?;
    }
    Ok(())
}

fn a_log_can_be_read_when_the_keeper_has_gone() -> anyhow::Result<()> {
    let keeper = Keeper::new("log")?;
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "i=0; while [ $i -lt 100 ]; do i=$((i + 1)); echo $i; done",
    ]);
    let mut process = keeper.spawn("talkative", &command)?;
    ensure!(eventually(|| process.log().ends_with("100")));
    ensure!(eventually(|| !process.is_running()));
    let directory = keeper.directory().to_owned();
    drop(keeper);
    ensure!(!directory.exists(), "{} is there", directory.display());
    let log = process.log();
    ensure!(log.starts_with("41\n") && log.ends_with("\n100"), "{log}");
    Ok(())
}

fn tests_that_cannot_run_are_ignored_and_the_last_line_says_so() -> anyhow::Result<()> {
    let output = suite_without_tools(&[], "false")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success() && stdout.contains("2 ignored"),
        "{stdout}"
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    for words in [
        "NOT RUN: the 2 tests of a suite",
        "install Go",
        "KUBEBUILDER_ASSETS",
    ] {
        ensure!(last.contains(words), "{stderr}");
    }
    Ok(())
}

fn tests_that_cannot_run_fail_in_ci() -> anyhow::Result<()> {
    ensure!(!suite_without_tools(&[], "true")?.status.success());
    Ok(())
}

fn scenarios_that_are_not_selected_need_no_binaries() -> anyhow::Result<()> {
    for arguments in [["--exact", "something"].as_slice(), &["--list"]] {
        let output = suite_without_tools(arguments, "true")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && stderr.is_empty(), "{stderr}");
    }
    Ok(())
}

fn a_scenario_that_fails_shows_its_logs() -> anyhow::Result<()> {
    let tools = tempfile::tempdir()?;
    for name in ["etcd", "kube-apiserver", "kubectl"] {
        std::fs::write(tools.path().join(name), "")?;
    }
    let mut suite = Command::new(std::env::current_exe()?);
    suite
        .env(ROLE, "suite")
        .env("KUBEBUILDER_ASSETS", tools.path());
    let output = suite.output()?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    ensure!(
        !output.status.success() && stdout.contains("2 failed"),
        "{stdout}"
    );
    for words in ["the log of one that fails", "the log of one that panics"] {
        ensure!(stdout.contains(words), "{stdout}");
    }
    Ok(())
}

async fn fails(scene: Arc<Scene>) -> anyhow::Result<()> {
    scene.on_failure(|| "the log of one that fails".to_owned());
    anyhow::bail!("for a reason")
}

#[expect(clippy::panic, reason = "this is what it is for")]
async fn panics(scene: Arc<Scene>) -> anyhow::Result<()> {
    scene.on_failure(|| "the log of one that panics".to_owned());
    panic!("for a reason")
}

/// Runs the suite where there is neither a Go toolchain nor anything in the cache.
fn suite_without_tools(arguments: &[&str], ci: &str) -> anyhow::Result<Output> {
    let nothing = tempfile::tempdir()?;
    let mut suite = Command::new(std::env::current_exe()?);
    suite
        .args(arguments)
        .env(ROLE, "suite")
        .env("CI", ci)
        .env("PATH", nothing.path())
        .env("HELIOGRAPH_TOOLS_CACHE", nothing.path())
        .env_remove("KUBEBUILDER_ASSETS");
    Ok(suite.output()?)
}

fn eventually(mut holds: impl FnMut() -> bool) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        holds()
    })
}
