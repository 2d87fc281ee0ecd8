//! The `emitter` program.

use std::ffi::OsString;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let text = |it: OsString| it.to_string_lossy().into_owned();
    let words: Vec<_> = std::env::args_os().skip(1).map(text).collect();
    emitter::main(emitter::compat::parse(&words)?).await
}
