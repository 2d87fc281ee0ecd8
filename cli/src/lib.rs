//! Command line of Heliograph: connect clusters, check them and see their state.
//!
//! | module | does |
//! |---|---|
//! | `args` | subcommands and flags |
//! | `output` | prints text, JSON or YAML |
//! | `jsonpath` | templates of `-o jsonpath` |
//! | `cluster` | reads and writes objects of a cluster by a kubeconfig |
//! | `installation` | finds the Deployments and files of Heliograph in a cluster |
//! | `pods` | finds the pods of a program, and the one that writes |
//! | `admin` | requests to an admin port, through a port-forward or at a URL |
//! | `status`, `explain`, `top` | show what a reflector reports |
//! | `check` | facts about clusters, and findings made of them |
//! | `verify` | proves that connections to a mirror are answered |
//! | `probe` | answers and sends probes |
//! | `link` | permits the reflector of one cluster to read the emitter of another |
//! | `exports` | prints ServiceExports for labeled Services |
//! | `gather` | writes a support bundle |
//! | `candidates` | words that complete a command line |
//! | `documents` | completion scripts, man pages and the reference page |

mod admin;
mod args;
mod candidates;
mod check;
mod cluster;
mod documents;
mod explain;
mod exports;
mod gather;
mod installation;
mod jsonpath;
mod link;
mod output;
mod plan;
mod pods;
mod probe;
mod status;
mod top;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Arguments, Command};
use output::Printer;

pub use documents::reference;

/// Exit code of a subcommand without a result, or whose command line is not understood.
const FAILED: u8 = 1;
/// Exit code of a subcommand that found a problem.
const PROBLEMS: u8 = 2;

/// Runs a command line.
pub async fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    // The second caller finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = match parse(words) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A reader that has closed its end needs no message.
            let _ = error.print();
            let code = if error.use_stderr() { FAILED } else { 0 };
            return ExitCode::from(code);
        }
    };
    match run(arguments).await {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{error:#}");
            eprintln!("heliograph: {}", proto_types::escape::lines(&text));
            ExitCode::from(FAILED)
        }
    }
}

/// Reads a command line; usage texts name the command as it was called.
fn parse(words: impl Iterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    let words: Vec<_> = words.collect();
    let called = words.first().map(std::path::Path::new);
    let called = called.and_then(|it| it.file_stem());
    let mut command = Arguments::command();
    if called.is_some_and(|it| it == "kubectl-heliograph") {
        command = command.bin_name("kubectl heliograph");
    }
    let mut matches = command.try_get_matches_from(words)?;
    Arguments::from_arg_matches_mut(&mut matches)
}

async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let printer = Printer::new(arguments.global.output.clone());
    let global = &arguments.global;
    match arguments.command {
        Command::Status(asked) => status::run(global, &asked, &printer).await,
        Command::Explain(asked) => explain::run(global, &asked, &printer).await,
        Command::Top(asked) => top::run(global, &asked, &printer).await,
        Command::Check(asked) => check::run(global, &asked, &printer).await,
        Command::Verify(asked) => verify::run(global, &asked, &printer).await,
        Command::Probe(asked) => probe::run(&asked, &printer).await,
        Command::Link(asked) => link::link(global, &asked, &printer).await,
        Command::Unlink(asked) => link::unlink(global, &asked, &printer).await,
        Command::Plan(asked) => plan::run(global, &asked).await,
        Command::Exports(asked) => exports::run(global, &asked, &printer).await,
        Command::Gather(asked) => gather::run(global, &asked, &printer).await,
        Command::Candidates { words } => candidates::run(&words).await,
        Command::Completion { shell } => documents::completion(shell),
        Command::Man { directory } => documents::man(&directory),
    }
}
