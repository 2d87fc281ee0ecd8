//! The programs that this one replaces, by their own flags, variables and files.
//!
//! A front end translates into [`Args`], from which the one [`Config`](crate::Config) is
//! made and checked. What it accepts and does not need, it notes: `reflector config`
//! prints the notes.

mod endpoints_sync;
mod one_remote;
mod semaphore;
mod service_reflector;
mod settings;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use clap::Parser;
pub use runtime::flags::FlagError;
use runtime::flags::former::deprecated;
use runtime::flags::service_reflector::is_its;

use self::one_remote::Dialect;
use crate::config::{Args, Command, former_keys, hash_of, label_of};

/// Patterns for predecessors that wrote to any namespace. Closed namespaces stay closed, except
/// for `default`.
const ANY_NAMESPACE: [&str; 2] = ["*", "default"];

/// The variables around a process.
pub type Environment = BTreeMap<String, String>;

/// Command line and environment variables of the process.
#[derive(Debug, Clone)]
pub struct CommandLine {
    /// The words behind the program's name.
    pub words: Vec<String>,
    /// The variables.
    pub environment: Environment,
}

impl CommandLine {
    /// Reads the arguments for which the command line stands now.
    pub fn read(&self) -> Result<Args, Error> {
        parse(&self.words, &self.environment)
    }
}

/// Error of the command line of a predecessor.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag that is none.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// A value that is none.
    #[error("{flag}: {why}")]
    Value {
        /// The flag, variable or key.
        flag: String,
        /// Error of its value.
        why: String,
    },
    /// A file that does not open.
    #[error("cannot read {path}: check that the file exists and may be read")]
    Read {
        /// The file.
        path: String,
        /// Error of the system.
        #[source]
        source: std::io::Error,
    },
    /// Something is missing or wrong, in the words of the predecessor.
    #[error("{0}")]
    Words(String),
    /// The choice of a program is none.
    #[error(
        "--compat {0:?} is not known: use service-reflector, semaphore-service-mirror, \
         kube-service-mirror or k8s-endpoints-sync-controller"
    )]
    Unknown(String),
}

const SERVICE_REFLECTOR: &str = "service-reflector";
const SEMAPHORE: &str = "semaphore-service-mirror";
const KUBE_SERVICE_MIRROR: &str = "kube-service-mirror";
const ENDPOINTS_SYNC: &str = "k8s-endpoints-sync-controller";

const COMMANDS: [&str; 4] = ["config", "explain", "plan", "status"];

/// Flags that follow a command, and precede the flags of a predecessor.
const COMMAND_FLAGS: [&str; 10] = [
    "-n",
    "--namespace",
    "-o",
    "--output",
    "--schema",
    "--server",
    "--wait",
    "--exit-code",
    "--local-objects",
    "--source-objects",
];

/// Those of them that take no value.
const SWITCHES: [&str; 2] = ["--schema", "--exit-code"];

/// Program for which a command line was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Ours,
    ServiceReflector,
    Semaphore,
    OneRemote(Dialect),
    EndpointsSync,
}

/// Parses a command line of this program or of a predecessor. Exits, as clap does, if it is one of
/// this program and invalid.
pub fn parse(words: &[String], environment: &Environment) -> Result<Args, Error> {
    let (chosen, words) = chosen(words)?;
    let (command, flags) = command(&words);
    let program = program(chosen.as_deref(), flags, environment);
    let args = match program {
        Program::Ours => return Ok(ours(&words)),
        Program::ServiceReflector => service_reflector::translate(flags),
        Program::Semaphore => semaphore::translate(flags, environment),
        Program::OneRemote(dialect) => one_remote::translate(flags, environment, dialect),
        Program::EndpointsSync => endpoints_sync::translate(flags, environment),
    };
    let command = (!command.is_empty())
        .then(|| ours(command).command)
        .flatten();
    match (args, &command) {
        // A request for the status need not repeat the flags of the reflector.
        (Err(_), Some(Command::Status { .. } | Command::Explain { .. })) => Ok(Args {
            command,
            ..defaults()
        }),
        (args, _) => Ok(Args { command, ..args? }),
    }
}

/// The program that `--compat` names, and the other words.
fn chosen(words: &[String]) -> Result<(Option<String>, Vec<String>), Error> {
    let mut rest = Vec::new();
    let mut chosen = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--compat") {
            Some("") => words.next().map(String::as_str).unwrap_or_default(),
            Some(value) if value.starts_with('=') => &value[1..],
            Some(_) | None => {
                rest.push(word.clone());
                continue;
            }
        };
        let known = [
            SERVICE_REFLECTOR,
            SEMAPHORE,
            KUBE_SERVICE_MIRROR,
            ENDPOINTS_SYNC,
        ];
        if !known.contains(&value) {
            return Err(Error::Unknown(value.to_owned()));
        }
        chosen = Some(value.to_owned());
    }
    Ok((chosen, rest))
}

/// Tells the programs apart by flags and variables that only one of them has.
fn program(chosen: Option<&str>, words: &[String], environment: &Environment) -> Program {
    let has_file = semaphore::has_file(words, environment);
    let is_one_remote = !has_file && one_remote::is_its(words, environment);
    let is_semaphore = semaphore::is_its(words, environment);
    match chosen {
        Some(SERVICE_REFLECTOR) => Program::ServiceReflector,
        Some(ENDPOINTS_SYNC) => Program::EndpointsSync,
        Some(KUBE_SERVICE_MIRROR) => Program::OneRemote(Dialect::Kube),
        Some(_) if is_one_remote => Program::OneRemote(Dialect::Semaphore),
        Some(_) => Program::Semaphore,
        None if words.iter().any(|word| is_its(word)) => Program::ServiceReflector,
        None if is_one_remote => Program::OneRemote(Dialect::of(environment)),
        None if is_semaphore => Program::Semaphore,
        None if endpoints_sync::is_its(words, environment) => Program::EndpointsSync,
        None => Program::Ours,
    }
}

/// A command of this program, with the flags that only it has, and then the others.
fn command(words: &[String]) -> (&[String], &[String]) {
    let is_command = words.first().is_some_and(|it| COMMANDS.contains(&&**it));
    let mut n_words = 0;
    while is_command && let Some(word) = words.get(n_words) {
        let name = word.split('=').next().unwrap_or_default();
        let is_its = COMMAND_FLAGS.contains(&name);
        if word.starts_with('-') && !is_its {
            break;
        }
        // A value is the next word, where the flag does not bring it.
        let has_value = is_its && name == word && !SWITCHES.contains(&name);
        n_words += if has_value { 2 } else { 1 };
    }
    words.split_at(n_words.min(words.len()))
}

fn ours(words: &[String]) -> Args {
    let name = std::iter::once("reflector".to_owned());
    let mut args: Args = runtime::flags::parsed(name.chain(words.iter().cloned()));
    args.notes.extend(deprecated::<Args>(words));
    args.notes.extend(former_keys(words));
    args
}

/// flags of this program, all at their defaults.
fn defaults() -> Args {
    Args::parse_from(["reflector"])
}
