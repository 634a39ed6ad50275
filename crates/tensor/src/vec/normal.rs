//! Normal deviates by Box and Muller's transform.
//!
//! ```text
//! u₁ in (0, 1], u₂ in [0, 1):  r = √(−2 ln u₁),  (z₀, z₁) = (r·cos 2πu₂, r·sin 2πu₂)
//! ```
//!
//! `ln` and `cos` are this crate's, so a seed gives the same weights everywhere. Those of the C library differ by
//! platform. With uniforms of 24 bits |z| is at most 5.77.

use super::{cos_sin_turns_lanes, ln_lanes};
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};

/// Lane by lane a pair of deviates. It is a function and not a closure for the reason in `map.rs`.
#[inline(always)]
fn pair<I: Isa>(isa: I, u1: I::F, u2: I::F) -> (I::F, I::F) {
    let u1 = isa.add(u1, isa.splat(1.0 / 16_777_216.0));
    let r = isa.sqrt(isa.mul(isa.splat(-2.0), ln_lanes(isa, u1)));
    let (cos, sin) = cos_sin_turns_lanes(isa, u2);
    (isa.mul(r, cos), isa.mul(r, sin))
}

/// Replaces uniforms in [0, 1) by independent standard normal deviates: `u1` by the cosine half of each pair, `u2` by
/// the sine half. Uniforms are multiples of 2⁻²⁴. `u1` is used as u₁ + 2⁻²⁴, so that 0 is allowed.
///
/// # Panics
/// If the lengths differ.
pub fn normal_pairs(exec: Exec, u1: &mut [f32], u2: &mut [f32]) {
    struct BoxMuller<'a>(&'a mut [f32], &'a mut [f32]);
    impl Op for BoxMuller<'_> {
        type Output = ();
        #[inline(always)]
        fn run<I: Isa>(self, isa: I) {
            let (u1, u1_tail) = self.0.as_chunks_mut::<LANES>();
            let (u2, u2_tail) = self.1.as_chunks_mut::<LANES>();
            for (u1, u2) in u1.iter_mut().zip(u2) {
                let (z0, z1) = pair(isa, isa.load(u1), isa.load(u2));
                isa.store(z0, u1);
                isa.store(z1, u2);
            }
            let (z0, z1) = pair(isa, isa.load_part(u1_tail), isa.load_part(u2_tail));
            isa.store_part(z0, u1_tail);
            isa.store_part(z1, u2_tail);
        }
    }
    assert_eq!(u1.len(), u2.len(), "the two halves of the uniforms");
    exec.run(BoxMuller(u1, u2));
}
