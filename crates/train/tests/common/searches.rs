//! A small search and its samples.

use crate::common::{images, small};
use mnist_io::Dataset;
use train::search::{LogRange, Search};
use train::{Config, Length};

/// Trials of two epochs with one small hidden layer.
pub fn search(rounds: &[usize], seed: u64) -> Search {
    let base = Config { length: Length::Epochs(2), batch: 10, ..small(&[6]) };
    Search {
        base,
        learning_rate: LogRange::decades(-3.0, 0.5),
        weight_decay: LogRange::decades(-8.0, -4.0),
        rounds: rounds.to_vec(),
        seed,
        shard: None,
    }
}

/// To train, and to validate.
pub fn data() -> (Dataset, Dataset) {
    (images(40, 1), images(20, 2))
}
