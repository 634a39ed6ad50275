//! Counter-based random lanes: element i of a stream is a function of (key, i) alone.
//!
//! ```text
//! h = mix(mix(i ⊕ k₀) + k₁)      mix: xor-shift, multiply, xor-shift, multiply, xor-shift
//! u = ⌊h / 2⁸⌋ / 2²⁴ in [0, 1)
//! ```
//!
//! A sequential generator would make a dropout mask depend on the order in which threads draw. Here element i of a mask
//! has the same bit on whichever thread computes it.
//!
//! The mixer is the 32-bit finaliser `lowbias32` of C. Wellons' hash prospector, twice, with a 64-bit key between. It
//! is fourteen integer operations for sixteen elements, and every ISA has them. SplitMix64 would need multiplications
//! of 64 bits, which AVX2 does not have.

use crate::isa::{Isa, LANES};

/// The key of one random stream: a 64-bit hash of whatever the stream belongs to (seed, layer, step).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneRng {
    key: [u32; 2],
}

impl LaneRng {
    /// The stream named by `parts`, at least one. Streams with different parts are independent.
    pub fn new(parts: &[u64]) -> Self {
        // SplitMix64's finaliser absorbs a part a round.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for &part in parts {
            state = state.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            state ^= state >> 31;
        }
        Self { key: [state as u32, (state >> 32) as u32] }
    }

    /// The key: 64 well-mixed bits, for seeding another generator.
    pub fn bits(self) -> u64 {
        u64::from(self.key[1]) << 32 | u64::from(self.key[0])
    }

    /// Element `i` of the stream as a number in [0, 1): the plain version of [`uniform_lanes`].
    pub fn uniform(self, i: u32) -> f32 {
        let mix = |mut h: u32| {
            h ^= h >> 16;
            h = h.wrapping_mul(0x7feb_352d);
            h ^= h >> 15;
            h = h.wrapping_mul(0x846c_a68b);
            h ^ (h >> 16)
        };
        let h = mix(mix(i ^ self.key[0]).wrapping_add(self.key[1]));
        (h >> 8) as f32 / 16_777_216.0
    }
}

#[inline(always)]
fn mix<I: Isa>(isa: I, h: I::U) -> I::U {
    let h = isa.xor(h, isa.shr::<16>(h));
    let h = isa.mul_u(h, isa.splat_u(0x7feb_352d));
    let h = isa.xor(h, isa.shr::<15>(h));
    let h = isa.mul_u(h, isa.splat_u(0x846c_a68b));
    isa.xor(h, isa.shr::<16>(h))
}

/// Elements `first..first + 16` of the stream, in [0, 1).
#[inline(always)]
pub fn uniform_lanes<I: Isa>(isa: I, rng: LaneRng, first: u32) -> I::F {
    const IOTA: [u32; LANES] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let i = isa.add_u(isa.load_u(&IOTA), isa.splat_u(first));
    let h = mix(isa, isa.xor(i, isa.splat_u(rng.key[0])));
    let h = mix(isa, isa.add_u(h, isa.splat_u(rng.key[1])));
    isa.mul(isa.to_float(isa.shr::<8>(h)), isa.splat(1.0 / 16_777_216.0))
}
