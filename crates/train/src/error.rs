//! What can go wrong in training.

use std::path::PathBuf;
use tensor::ShapeError;
use thiserror::Error;

/// A run that cannot start or go on, or a model that cannot be read or written.
#[derive(Debug, Error)]
pub enum Error {
    /// The loss is no longer a number.
    #[error("the loss is not finite ({loss}) at step {step}; {}", cure_of_not_finite(*.step, *.learning_rate))]
    NotFinite {
        /// The step, counted from 1.
        step: u64,
        /// The loss.
        loss: f64,
        /// η at that step.
        learning_rate: f64,
    },
    /// A setting that cannot be.
    #[error("{what}; {cure}")]
    Config {
        /// What is wrong.
        what: String,
        /// What to do.
        cure: String,
    },
    /// The data do not fit the network.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A file of digits.
    #[error(transparent)]
    Data(#[from] mnist_io::Error),
    /// A model file.
    #[error("{path}: {what}; give a model that `groundup train --save` wrote", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A checkpoint.
    #[error("{path}: {what}; give a checkpoint of a run with these settings", path = path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A study.
    #[error("{path}: {what}; {cure}", path = path.display())]
    Study {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        cure: &'static str,
    },
    /// A file that is to be gone on with as a run's log, and is none of it.
    #[error(
        "{path}: line {line} is none of this run's log ({what}); give --log another file, this one is left as it is",
        path = path.display()
    )]
    ForeignLog {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A log file, or the standard output.
    #[error("{path}: {source}; give a file that can be written", path = path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What to do about a loss that is not finite. That of the first step is from before any update.
fn cure_of_not_finite(step: u64, learning_rate: f64) -> String {
    match step {
        1 => "give smaller initial weights, or a smaller weight decay".to_owned(),
        _ => format!("lower the learning rate ({learning_rate} now)"),
    }
}
