//! Runs the binary, away from the repository and from whatever this machine's environment names as MNIST.

use std::path::Path;
use std::process::Command;

/// How a run of the binary ended.
pub struct Ran {
    /// The exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// The binary with these arguments, to be run in `dir`, without `MNIST_DIR`. `GROUNDUP_ISA` is handed on.
pub fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_groundup"));
    command.args(args).current_dir(dir).env_remove("MNIST_DIR");
    command
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Self { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs the binary in an empty folder, and expects it to do what it was asked. Returns what it printed.
pub fn groundup(args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let ran = Ran::of(&mut command(dir.path(), args));
    assert_eq!(ran.status, Some(0), "groundup {}:\n{}{}", args.join(" "), ran.out, ran.err);
    ran.out
}
