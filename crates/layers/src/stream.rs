//! Random streams: one seed, a stream for each purpose.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a stream of random numbers is for. Each is 2¹⁹² numbers from the next, so drawing more weights never changes
/// which batches are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Initial weights.
    Weights,
    /// Which samples make a mini-batch.
    Batches,
    /// Whatever an experiment draws itself (inputs, hyper-parameters).
    Experiment,
}

/// The generator of a stream of `seed`: xoshiro256++, jumped ahead.
pub fn stream(seed: u64, stream: Stream) -> Xoshiro256PlusPlus {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    for _ in 0..stream as usize {
        rng.long_jump();
    }
    rng
}
