//! The loop all rules share: weights, gradients and S state vectors, sixteen elements at a time, in one pass.

use tensor::isa::{Isa, LANES, Op};

/// What keeps decaying state from becoming subnormal: state ← (decay·state + `FLOOR` + …) − `FLOOR`.
///
/// The state of a weight whose gradient has become 0 (a pixel at the border, a unit that died) is multiplied by 0.9
/// each step, and after some 800 steps it is a subnormal number, with which this kind of CPU takes a hundred cycles and
/// more: Adam's step grew from 0.43 to 0.50 ms as the training went on. With the sum, anything below 3·10⁻³⁶ is 0, and
/// nothing else moves by more than that: 10²⁰ times less than what moves a weight. It costs one subtraction, for the
/// addition is part of a multiplication that was there.
pub(crate) const FLOOR: f32 = 1e-28;

/// decay·state + `FLOOR`, the first step of it.
#[inline(always)]
pub(crate) fn decayed<I: Isa>(isa: I, decay: I::F, state: I::F) -> I::F {
    isa.fma(decay, state, isa.splat(FLOOR))
}

/// `sum` − `FLOOR`, the last.
#[inline(always)]
pub(crate) fn floored<I: Isa>(isa: I, sum: I::F) -> I::F {
    isa.sub(sum, isa.splat(FLOOR))
}

/// What a rule does to sixteen elements.
pub(crate) trait LaneRule<const S: usize> {
    /// The new weights and state, from the old ones and the gradient.
    fn step<I: Isa>(&self, isa: I, w: I::F, g: I::F, state: [I::F; S]) -> (I::F, [I::F; S]);
}

/// `(w, s) ← step(w, g, s)` for every element. `decay` is λ: the gradient a rule sees is g + λw.
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
