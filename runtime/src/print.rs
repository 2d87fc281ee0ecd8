//! Output of commands.

use std::io::{self, Write};

/// Writes to standard output. A reader that has seen enough, as `head` has, is no error.
pub fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
