//! Small data and small runs, for tests of what is around the kernels.

use layers::{Activation, Architecture, Init};
use mnist_io::Dataset;
use optim::Rule;
use testkit::rng::Rng;
use train::{Config, Length};

/// Pixels of the images of [`images`]: 3 × 4.
pub const WIDTH: usize = 12;

/// Images of random bytes with the labels 0 to 9 in turn; each label has a brighter pixel of its own, so that there is
/// something to learn.
pub fn images(count: usize, seed: u64) -> Dataset {
    let mut rng = Rng::new(seed);
    let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
    let mut pixels: Vec<u8> = (0..count * WIDTH).map(|_| rng.usize_in(0..160) as u8).collect();
    for (image, &label) in pixels.chunks_mut(WIDTH).zip(&labels) {
        image[usize::from(label)] += 95;
    }
    Dataset::new(pixels, labels, 3, 4).unwrap()
}

/// Five steps of SGD on batches of 8, ReLU, the book's preset.
pub fn small(hidden: &[usize]) -> Config {
    let architecture = Architecture {
        inputs: WIDTH,
        hidden: hidden.to_vec(),
        classes: 10,
        activation: Activation::Relu,
        init: Init::He,
        batch_norm: None,
        dropout: None,
    };
    Config { architecture, batch: 8, learning_rate: 0.1, ..Config::book(&[], Rule::SGD, Length::Steps(5), 1) }
}
