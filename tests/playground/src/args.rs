//! What can be typed.

use std::ffi::OsString;

use clap::{Parser, Subcommand, value_parser};
use reflector::compat::{CommandLine, Environment};

use crate::scene::Fault;

/// Shows Services of some clusters appear in another, and what happens when things break.
#[derive(Debug, Parser)]
#[command(name = "playground", version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) wishes: PlaygroundOptions,
}

/// What the playground should be like.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlaygroundOptions {
    /// How many clusters export Services
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u16).range(1..=100))]
    pub(crate) sources: u16,

    /// How many Services each of them exports that can be mirrored
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = value_parser!(u16).range(3..=1000))]
    pub(crate) services: u16,

    /// How many changes a second each of them makes; 0 for none
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(0..=100))]
    pub(crate) churn: u16,

    /// Where the reflector serves its status on 127.0.0.1; 0 for any free port
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,

    /// Print plain lines, also to a terminal
    #[arg(long)]
    pub(crate) plain: bool,

    /// Use real control planes: etcd and kube-apiserver, built with Go the first time
    #[arg(long)]
    pub(crate) real: bool,
}

/// What to do other than to begin to play.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Break a source of the running playground
    Break {
        /// Which one, such as east
        source: String,
        /// How
        #[arg(value_enum, default_value_t = Fault::Stop)]
        fault: Fault,
    },
    /// Bring a broken source back
    Heal {
        /// Which one
        source: String,
    },
    /// Print what the running playground shows
    Status,
    /// Be an emitter
    #[command(hide = true, disable_help_flag = true)]
    Emitter(Words),
    /// Be a reflector
    #[command(hide = true, disable_help_flag = true)]
    Reflector(Words),
    /// Answer every request with something that is no Kubernetes API
    #[command(hide = true)]
    WrongServer {
        /// Where
        port: u16,
    },
}

/// What another program reads: its flags may be called as ours are.
#[derive(Debug, clap::Args)]
pub(crate) struct Words {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl Words {
    /// The flags of that program.
    pub(crate) fn read_as<T: Parser>(self, program: &str) -> T {
        T::parse_from(std::iter::once(OsString::from(program)).chain(self.words))
    }

    /// The same, for a program that reads what was typed more than once.
    pub(crate) fn into_line(self) -> CommandLine {
        let words = self.words.into_iter();
        CommandLine {
            words: words.map(|it| it.to_string_lossy().into_owned()).collect(),
            environment: Environment::new(),
        }
    }
}
