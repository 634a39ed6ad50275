//! One file a subcommand.

/// Prints a line; a command goes on if nobody reads it any more (`groundup train --save … | head -1`), and fails if it
/// cannot be written.
macro_rules! say {
    ($($line:tt)*) => { $crate::commands::print(format_args!($($line)*)) };
}

pub mod chapter;
pub mod data;
pub mod evaluate;
pub mod info;
pub mod ladder;
pub mod roofline;
pub mod search;
pub mod train;

use std::fmt;
use std::io::{self, ErrorKind, Write};

/// Whatever ends a command, as its message "cause; cure".
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// With a message "cause; cure".
    pub fn new(message: String) -> Self {
        Self(message)
    }

    /// Tells of it: a line of cause and one of cure.
    pub fn tell(&self) {
        let (cause, cure) = self.0.rsplit_once("; ").unwrap_or((&self.0, "see `groundup help`"));
        tell(format_args!("error: {cause}"));
        tell(format_args!("cure:  {cure}"));
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Behind `say!`.
fn print(line: fmt::Arguments<'_>) -> Result<(), ::train::Error> {
    match writeln!(io::stdout(), "{line}") {
        Err(source) if source.kind() != ErrorKind::BrokenPipe => {
            Err(::train::Error::Log { path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

/// Prints a line to standard error. That nobody listens there is no reason to stop, where `eprintln!` would panic.
pub fn tell(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
