//! Builds what the suites on real control planes need, ahead of time.

use std::process::ExitCode;

use control_plane::assets::{self, Found};

fn main() -> ExitCode {
    match assets::find_or_build() {
        Ok(Found::Ready(assets)) => {
            eprintln!(
                "the control plane's binaries are in {}",
                assets.directory().display()
            );
            ExitCode::SUCCESS
        }
        Ok(Found::Missing(why)) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
