//! Which digits to use.

use crate::threads::cores;
use mnist_io::synthetic::Synthetic;
use mnist_io::{Error, Mnist};
use std::path::{Path, PathBuf};
use train::Samples;

/// The digits of a run and what to call them.
pub struct Digits {
    /// Training and test set.
    pub mnist: Mnist,
    /// The same as trainers share them.
    pub train: Samples,
    /// The same.
    pub test: Samples,
    /// "MNIST", "synthetic digits" or "other digits": goes into figures and numbers.
    pub name: &'static str,
    /// Where they come from, for the user.
    pub origin: String,
}

impl Digits {
    fn new(mnist: Mnist, name: &'static str, origin: String) -> Self {
        let [train, test] = [&mnist.train, &mnist.test].map(Samples::from);
        Self { mnist, train, test, name, origin }
    }
}

/// Finds the digits: `choice` (a folder, or "synthetic"), or without it the folder in `MNIST_DIR`, then `data/mnist`,
/// and where neither is, synthetic digits.
///
/// # Errors
/// If a folder that was named, or one that has some of the files, does not have them all, or one is damaged.
pub fn find(choice: Option<&str>, threads: usize) -> Result<Digits, Error> {
    let load = |dir: &Path, how: &str| {
        let mnist = Mnist::load(dir)?;
        let name = if is_published(&mnist) { "MNIST" } else { "other digits" };
        Ok(Digits::new(mnist, name, format!("{name} from {} ({how})", dir.display())))
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

/// Whether these are MNIST's digits and not others in its format: told by how many there are of each.
fn is_published(mnist: &Mnist) -> bool {
    let counts = |labels: &[u8]| (0..10).map(|digit| labels.iter().filter(|&&label| label == digit).count()).collect();
    let (train, test): (Vec<usize>, Vec<usize>) = (counts(mnist.train.labels()), counts(mnist.test.labels()));
    train == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        && test == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
}

fn synthetic(threads: usize, why: &str) -> Result<Digits, Error> {
    let origin = format!("synthetic digits ({why})");
    // Threads beyond the cores would only cost.
    let made = Synthetic::default().generate(threads.min(cores()));
    let mnist = made.map_err(|fault| fault.at(Path::new("synthetic digits")))?;
    Ok(Digits::new(mnist, "synthetic digits", origin))
}
