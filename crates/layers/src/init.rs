//! Initial weights (chapter 6.2).
//!
//! | name | distribution | for |
//! |---|---|---|
//! | `Normal(std)` | std·N(0, 1) | the chapter's 0.01, and 1 |
//! | `Xavier` | √(1/n_in)·N(0, 1) | sigmoid, tanh (the book's simplified form) |
//! | `He` | √(2/n_in)·N(0, 1) | ReLU |
//! | `Glorot` | √(2/(n_in + n_out))·N(0, 1) | Glorot and Bengio 2010, as the frameworks have it |
//! | `GlorotUniform` | U(±√(6/(n_in + n_out))) | the same variance, uniform |
//! | `HeUniform` | U(±√(6/n_in)) | He's variance, uniform |
//! | `Zeros` | 0 | to see why not |

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use std::fmt;
use tensor::Exec;
use tensor::vec::{normal_pairs, scale};

/// How the weights of a layer are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// std·N(0, 1).
    Normal(f64),
    /// √(1/n_in)·N(0, 1): the book's Xavier.
    Xavier,
    /// √(2/n_in)·N(0, 1).
    He,
    /// √(2/(n_in + n_out))·N(0, 1): the frameworks' Xavier.
    Glorot,
    /// U(±√(6/(n_in + n_out))).
    GlorotUniform,
    /// U(±√(6/n_in)).
    HeUniform,
    /// All zero.
    Zeros,
}

impl fmt::Display for Init {
    /// As the command line has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal(std) => write!(f, "normal:{std}"),
            Self::Xavier => f.write_str("xavier"),
            Self::He => f.write_str("he"),
            Self::Glorot => f.write_str("glorot"),
            Self::GlorotUniform => f.write_str("glorot-uniform"),
            Self::HeUniform => f.write_str("he-uniform"),
            Self::Zeros => f.write_str("zeros"),
        }
    }
}

impl Init {
    /// Standard deviation of the weights of a layer of `fan_in` inputs and `fan_out` outputs.
    pub fn std(self, fan_in: usize, fan_out: usize) -> f64 {
        let (fan_in, fan_out) = (fan_in as f64, fan_out as f64);
        match self {
            Self::Normal(std) => std,
            Self::Xavier => (1.0 / fan_in).sqrt(),
            Self::He | Self::HeUniform => (2.0 / fan_in).sqrt(),
            Self::Glorot | Self::GlorotUniform => (2.0 / (fan_in + fan_out)).sqrt(),
            Self::Zeros => 0.0,
        }
    }

    /// Draws `weights` (I×O, row-major, of shape `[fan_in, fan_out]`) from the stream. Cost: one 64-bit draw for two
    /// uniforms of 24 bits.
    ///
    /// # Panics
    /// If there are not fan_in·fan_out weights.
    pub fn fill(self, exec: Exec, rng: &mut Xoshiro256PlusPlus, shape: [usize; 2], weights: &mut [f32]) {
        assert_eq!(weights.len(), shape[0] * shape[1], "weights of shape {shape:?}");
        let std = self.std(shape[0], shape[1]);
        match self {
            Self::Zeros => weights.fill(0.0),
            Self::GlorotUniform | Self::HeUniform => {
                let half_width = std * 3.0_f64.sqrt();
                uniform(rng, weights);
                for w in weights {
                    *w = (half_width * (2.0 * f64::from(*w) - 1.0)) as f32;
                }
            }
            _ => {
                normal(exec, rng, weights);
                let unit = weights.to_vec();
                scale(exec, std as f32, &unit, weights);
            }
        }
    }
}

/// Fills with multiples of 2⁻²⁴ in [0, 1), two from each 64-bit draw.
fn uniform(rng: &mut Xoshiro256PlusPlus, to: &mut [f32]) {
    for pair in to.chunks_mut(2) {
        let bits = rng.next_u64();
        for (x, bits) in pair.iter_mut().zip([bits >> 40, bits >> 8 & 0xff_ffff]) {
            *x = bits as f32 / 16_777_216.0;
        }
    }
}

/// Fills with standard normal deviates: the first half of the elements from the cosines, the second from the sines.
pub(crate) fn normal(exec: Exec, rng: &mut Xoshiro256PlusPlus, to: &mut [f32]) {
    let half = to.len().div_ceil(2);
    let (mut u1, mut u2) = (vec![0.0; half], vec![0.0; half]);
    uniform(rng, &mut u1);
    uniform(rng, &mut u2);
    normal_pairs(exec, &mut u1, &mut u2);
    let (first, second) = to.split_at_mut(half);
    first.copy_from_slice(&u1);
    second.copy_from_slice(&u2[..second.len()]);
}

/// An array of standard normal deviates from a stream: inputs of the activation histograms.
pub fn standard_normal(exec: Exec, rng: &mut Xoshiro256PlusPlus, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    normal(exec, rng, &mut values);
    values
}
