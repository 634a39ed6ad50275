//! The loop that all rules share: one pass over weights, gradients and S state vectors, sixteen elements at a time.
//!
//! ```text
//! plain:  for each element i:   (w[i], s[i]) ← step(w[i], g[i] + λ·w[i], s[i])
//! ```
//!
//! A rule says what happens to sixteen elements ([`LaneRule`]). The loop is written once, with each rule inlined.

use tensor::isa::{Isa, LANES, Op};

/// What keeps decaying state from becoming subnormal.
///
/// ```text
/// state ← (decay·state + FLOOR + …) − FLOOR
/// ```
///
/// A weight whose gradient stays 0 (a pixel at the border, a dead unit) has a state that is multiplied by the decay in
/// each step. After some 800 steps the state would be a subnormal number, and many CPUs need a hundred cycles or more
/// for an operation on one. With the sum, a state below 3·10⁻³⁶ becomes 0, and no state changes by more than that. What
/// moves a weight is 10²⁰ times larger. The addition is a part of a fused multiply-add that is there anyway, so the
/// cost is one subtraction (`docs/measurements.md`, 6).
pub(crate) const FLOOR: f32 = 1e-28;

/// decay·state + `FLOOR`: the first half of the update of a state.
#[inline(always)]
pub(crate) fn decayed<I: Isa>(isa: I, decay: I::F, state: I::F) -> I::F {
    isa.fma(decay, state, isa.splat(FLOOR))
}

/// `sum` − `FLOOR`: the second half.
#[inline(always)]
pub(crate) fn floored<I: Isa>(isa: I, sum: I::F) -> I::F {
    isa.sub(sum, isa.splat(FLOOR))
}

/// What a rule does to sixteen elements.
pub(crate) trait LaneRule<const S: usize> {
    /// The new weights and state, from the old ones and the gradient.
    fn step<I: Isa>(&self, isa: I, w: I::F, g: I::F, state: [I::F; S]) -> (I::F, [I::F; S]);
}

/// `(w, s) ← step(w, g + λ·w, s)` for every element. `decay` is λ.
pub(crate) struct Pass<'a, R, const S: usize> {
    pub weights: &'a mut [f32],
    pub gradient: &'a [f32],
    pub state: [&'a mut [f32]; S],
    pub decay: f32,
    pub rule: R,
}

impl<R: LaneRule<S>, const S: usize> Op for Pass<'_, R, S> {
    type Output = ();

    /// # Panics
    /// If the lengths differ.
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { weights, gradient, state, decay, rule } = self;
        let len = weights.len();
        assert_eq!(gradient.len(), len, "weights and gradient");
        assert!(state.iter().all(|state| state.len() == len), "weights and state");
        let decay = isa.splat(decay);
        let state = state.map(|state| state.as_chunks_mut::<LANES>());
        let (w_chunks, w_tail) = weights.as_chunks_mut::<LANES>();
        let (g_chunks, g_tail) = gradient.as_chunks::<LANES>();
        for (i, (w, g)) in w_chunks.iter_mut().zip(g_chunks).enumerate() {
            let x = isa.load(w);
            let g = isa.fma(decay, x, isa.load(g));
            let mut slots = [decay; S];
            for s in 0..S {
                slots[s] = isa.load(&state[s].0[i]);
            }
            let (x, slots) = rule.step(isa, x, g, slots);
            isa.store(x, w);
            for s in 0..S {
                isa.store(slots[s], &mut state[s].0[i]);
            }
        }
        if !w_tail.is_empty() {
            let x = isa.load_part(w_tail);
            let g = isa.fma(decay, x, isa.load_part(g_tail));
            let mut slots = [decay; S];
            for s in 0..S {
                slots[s] = isa.load_part(state[s].1);
            }
            let (x, slots) = rule.step(isa, x, g, slots);
            isa.store_part(x, w_tail);
            for s in 0..S {
                isa.store_part(slots[s], state[s].1);
            }
        }
    }
}
