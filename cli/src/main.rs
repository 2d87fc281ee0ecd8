//! The command `heliograph`, also as the kubectl plugin `kubectl-heliograph`.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    heliograph::main(std::env::args_os()).await
}
