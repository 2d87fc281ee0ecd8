//! The reflector: makes Services of other clusters usable in this one.

use std::process::ExitCode;

use clap::Parser;
use reflector::config::Args;

#[tokio::main]
async fn main() -> ExitCode {
    match reflector::main(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            reflector::complain(&error);
            ExitCode::FAILURE
        }
    }
}
