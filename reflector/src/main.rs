//! The reflector: makes Services of other clusters usable in this one.

use std::ffi::OsString;
use std::process::ExitCode;

use reflector::compat::{CommandLine, Error, FlagError};

#[tokio::main]
async fn main() -> ExitCode {
    let text = |it: OsString| it.to_string_lossy().into_owned();
    let words = std::env::args_os().skip(1).map(text);
    let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let line = CommandLine {
        words: words.collect(),
        environment: variables.collect(),
    };
    match reflector::main(line).await {
        Ok(code) => code,
        Err(error) => {
            reflector::complain(&error);
            let is_answer = matches!(error.downcast_ref(), Some(Error::Flag(FlagError::Help(_))));
            if is_answer {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
