//! Clusters, emitters and a reflector to play with, in one command.
//!
//! ```text
//!            scene: sources, emitters, reflector, local cluster
//!              ▲ orders                     │ /status, list+watch
//!  keys ──▶ play ◀── control socket         ▼
//!              └──────── view ◀─────── picture
//! ```
//!
//! | module | does |
//! |---|---|
//! | `play` | the run: starts, shows, does what is asked, leaves nothing |
//! | `scene` | what is played with, and how it is broken |
//! | `observe`, `playground_view` | what is seen, by the ways that anybody has |
//! | `view` | from what is seen to lines; pure |
//! | `terminal` | keys, and the screen |
//! | `control` | how a second process asks |
//! | `advice` | the lines to try |
//! | `wrong_server` | something else that answers where an emitter was |
//!
//! Invariants: the view knows nothing but what the reflector and the clusters say; every
//! process and file goes with the run, however it ends. Emitters and the reflector are
//! this program again, as processes of their own: they can be stopped, paused and killed
//! as real ones can, and nobody has to build them first.

mod advice;
mod args;
mod control;
mod observe;
mod play;
mod playground_view;
mod scene;
mod terminal;
mod view;
mod wrong_server;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};
use control::Request;
use scene::Order;

/// How the playground introduces itself.
const AGENT: &str = concat!("heliograph-playground/", env!("CARGO_PKG_VERSION"));

#[tokio::main]
async fn main() -> ExitCode {
    let Args { command, wishes } = Args::parse();
    let done = match command {
        None => play::play(&wishes).await,
        Some(Command::Break { source, fault }) => {
            ask(Request::Do(Order::Break(source, fault))).await
        }
        Some(Command::Heal { source }) => ask(Request::Do(Order::Heal(source))).await,
        Some(Command::Status) => ask(Request::Status).await,
        Some(Command::Emitter(words)) => emitter::main(words.read_as("emitter")).await,
        Some(Command::Reflector(words)) => reflector::main(words.into_line()).await.map(drop),
        Some(Command::WrongServer { port }) => wrong_server::run(port).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why = runtime::reasons(error.as_ref());
            let _ = writeln!(std::io::stderr(), "playground: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn ask(request: Request) -> anyhow::Result<()> {
    let answer = control::ask(&request).await?;
    Ok(runtime::print(&format!("{}\n", answer.trim_end()))?)
}
