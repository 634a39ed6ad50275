//! Which digits to use.

use mnist_io::synthetic::Synthetic;
use mnist_io::{Error, Mnist};
use std::path::{Path, PathBuf};

/// The digits of a run and what to call them.
pub struct Digits {
    /// Training and test set.
    pub mnist: Mnist,
    /// "MNIST" or "synthetic digits": goes into figures and numbers.
    pub name: &'static str,
    /// Where they come from, for the user.
    pub origin: String,
}

/// Finds the digits: `choice` (a folder, or "synthetic"), or without it the folder in `MNIST_DIR`, then `data/mnist`, and
/// where neither is, synthetic digits.
///
/// # Errors
/// If a folder that was named does not have the files, or one is damaged.
pub fn find(choice: Option<&str>, threads: usize) -> Result<Digits, Error> {
    let load = |dir: &Path, how: &str| {
        let mnist = Mnist::load(dir)?;
        Ok(Digits { mnist, name: "MNIST", origin: format!("MNIST from {} ({how})", dir.display()) })
    };
    match choice {
        Some("synthetic") => synthetic(threads, "--data synthetic"),
        Some(dir) => load(Path::new(dir), "--data"),
        None => match std::env::var_os("MNIST_DIR").filter(|dir| !dir.is_empty()) {
            Some(dir) => load(&PathBuf::from(dir), "MNIST_DIR"),
            None if Mnist::is_in(Path::new("data/mnist")) => load(Path::new("data/mnist"), "the default folder"),
            None => synthetic(threads, "no MNIST found; `groundup data download` fetches it"),
        },
    }
}

fn synthetic(threads: usize, why: &str) -> Result<Digits, Error> {
    let origin = format!("synthetic digits ({why})");
    let mnist = Synthetic::default().generate(threads).map_err(|fault| fault.at(Path::new("synthetic digits")))?;
    Ok(Digits { mnist, name: "synthetic digits", origin })
}
