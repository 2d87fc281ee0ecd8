//! The `emitter` program.

use std::ffi::OsString;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = runtime::reasons(error.as_ref());
            eprintln!("emitter: {}", proto_types::escape::lines(&text));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let text = |it: OsString| it.to_string_lossy().into_owned();
    let words: Vec<_> = std::env::args_os().skip(1).map(text).collect();
    emitter::main(emitter::compat::parse(&words)?).await
}
