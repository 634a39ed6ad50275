//! The training steps that are measured: by the benches, the roofline, and the comparison with other libraries.

use crate::config::{Config, Length, Preset};
use layers::Activation;
use mnist_io::Dataset;
use optim::Rule;

/// A training step to look into.
///
/// | workload | network | batch | rule |
/// |---|---|---|---|
/// | A | 784-100×4-10 | 128 | SGD |
/// | B | the same | 128 | Adam |
/// | C | 784-100×5-10, batch norm | 100 | SGD |
/// | D | 784-1024×3-10 | 512 | Adam |
/// | E | 784-100×4-10, tanh | 128 | SGD |
///
/// A to D are of images and ReLUs, whose zeros are skipped. E, on bytes of which none is 0 ([`Workload::pictures`]), has no
/// zeros: it is the dense step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Workload {
    /// The chapter's network.
    A,
    /// The same with Adam.
    B,
    /// The chapter's network with batch normalisation.
    C,
    /// A large one.
    D,
    /// The chapter's network with tanh, for bytes of which none is 0.
    E,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::E];

    /// The name, as on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::E => "E",
        }
    }

    /// The workload of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|workload| workload.name() == name)
    }

    /// What it is, in words.
    pub fn description(self) -> &'static str {
        match self {
            Self::A => "784-100×4-10, batch 128, SGD",
            Self::B => "784-100×4-10, batch 128, Adam",
            Self::C => "784-100×5-10, batch norm, batch 100, SGD",
            Self::D => "784-1024×3-10, batch 512, Adam",
            Self::E => "784-100×4-10, tanh, batch 128, SGD, no byte 0",
        }
    }

    /// Its settings, in the book's form; the run has no end.
    pub fn config(self) -> Config {
        let (hidden, batch, rule): (&[usize], _, _) = match self {
            Self::A | Self::E => (&[100; 4], 128, Rule::SGD),
            Self::B => (&[100; 4], 128, Rule::ADAM),
            Self::C => (&[100; 5], 100, Rule::SGD),
            Self::D => (&[1024; 3], 512, Rule::ADAM),
        };
        let mut config = Config { batch, ..Config::book(hidden, rule, Length::Steps(u64::MAX), 1) };
        config.architecture.batch_norm = (self == Self::C).then(|| Preset::Book.batch_norm_form());
        if self == Self::E {
            config.architecture.activation = Activation::Tanh;
        }
        config
    }

    /// The pictures it is measured on, made from `digits`: those, or for E bytes from 1 to 255 that are half the digit and
    /// half noise.
    pub fn pictures(self, digits: &Dataset) -> Dataset {
        if self != Self::E {
            return digits.clone();
        }
        let mut state = 1_u64;
        let mut noise = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 57) as u8
        };
        let pixels = digits.pixels().iter().map(|&byte| 1 + byte / 2 + noise()).collect();
        let [rows, columns] = digits.image_shape();
        Dataset::new(pixels, digits.labels().to_vec(), rows, columns).expect("as many pixels as the digits have")
    }
}
