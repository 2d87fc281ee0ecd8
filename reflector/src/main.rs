//! The reflector: makes Services of other clusters usable in this one.

use std::ffi::OsString;
use std::process::ExitCode;

use reflector::compat;

#[tokio::main]
async fn main() -> ExitCode {
    let text = |it: OsString| it.to_string_lossy().into_owned();
    let words: Vec<_> = std::env::args_os().skip(1).map(text).collect();
    let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let done = match compat::parse(&words, &variables.collect()) {
        Ok(args) => reflector::main(args).await,
        Err(compat::Error::Flag(usage @ compat::FlagError::Help(_))) => {
            reflector::complain(&usage.into());
            return ExitCode::SUCCESS;
        }
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            reflector::complain(&error);
            ExitCode::FAILURE
        }
    }
}
