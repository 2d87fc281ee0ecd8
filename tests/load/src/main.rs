//! What Heliograph costs, beside what it stands next to, in one run each.
//!
//! | module | measures |
//! |---|---|
//! | `serving` | an emitter beside its kube-apiserver, and a bare socket writer |
//! | `mirroring` | a reflector beside a program that writes the same objects and decides nothing |
//! | `merging` | the same, for global Services of many clusters |
//! | `starting` | how long an emitter takes to be ready, and what it keeps in memory |
//! | `relays` | emitters behind one another |
//! | `restart` | how soon an emitter is back after it was killed |
//! | `fleet` | many sources, each with an emitter, and one reflector |
//! | `parties` | well-behaved sources and consumers beside hostile ones of every kind |
//! | `emitters`, `watcher` | emitters and watches over plain HTTP |
//! | `process` | what the kernel says a process used |
//! | `programs` | where the measured programs are |
//!
//! Absolute figures belong to the machine; the ratios are what to look at.

mod emitters;
mod fleet;
mod merging;
mod mirroring;
mod parties;
mod process;
mod programs;
mod relays;
mod restart;
mod serving;
mod starting;
mod watcher;

use clap::{Parser, Subcommand};

/// Measures Heliograph beside what it stands next to.
#[derive(Debug, Parser)]
#[command(name = "load", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What an event to many watchers costs, and what a list costs
    Serving(serving::Args),
    /// What each content coding of a watch saves, and costs, in a rolling update
    Coded(serving::coded::Args),
    /// What hostile clients change for well-behaved watchers
    Hostile(serving::hostile::Args),
    /// Who is in the way; started by that measurement itself
    #[command(hide = true)]
    HostileClients(serving::hostile::Clients),
    /// What hostile sources and consumers of every kind change for well-behaved ones
    HostileParties(parties::Args),
    /// Sources that are in the way; started by that measurement itself
    #[command(hide = true)]
    HostileSources(parties::HostileSources),
    /// Consumers that are in the way; started by that measurement itself
    #[command(hide = true)]
    HostileConsumers(parties::HostileConsumers),
    /// How long many Services take, and one change; what is kept in memory
    Mirroring(mirroring::Args),
    /// How long an emitter takes to be ready in front of many Services
    Starting(starting::Args),
    /// How long global Services of many clusters take; what is kept in memory
    Merging(merging::Args),
    /// What relays cost and add, and what follows when one of them is killed
    Relays(relays::Args),
    /// How soon an emitter is back after it was killed
    Restart(restart::Args),
    /// What a storm of consumers that come back takes
    Storm(serving::StormArgs),
    /// What many sources take of one reflector, and what a dead, a slow and a hostile one change
    Sources(fleet::Args),
    /// The floor of serving; started by that measurement itself
    #[command(hide = true)]
    Bare(serving::Bare),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    runtime::client::install_crypto();
    runtime::files::raise_limit();
    match args.command {
        Command::Serving(args) => serving::run(&args).await,
        Command::Coded(args) => serving::coded::run(&args).await,
        Command::Hostile(args) => serving::hostile::run(&args).await,
        Command::HostileClients(clients) => clients.play().await,
        Command::HostileParties(args) => parties::run(&args).await,
        Command::HostileSources(sources) => sources.play().await,
        Command::HostileConsumers(consumers) => consumers.play().await,
        Command::Mirroring(args) => mirroring::run(&args).await,
        Command::Starting(args) => starting::run(&args).await,
        Command::Merging(args) => merging::run(&args).await,
        Command::Relays(args) => relays::run(&args).await,
        Command::Restart(args) => restart::run(&args).await,
        Command::Storm(args) => serving::storm(&args).await,
        Command::Sources(args) => fleet::run(&args).await,
        Command::Bare(bare) => bare.serve().await,
    }
}
