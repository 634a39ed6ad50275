//! The loop all rules share: weights, gradients and S state vectors, sixteen elements at a time.

use tensor::isa::{Isa, LANES};

/// `(w, s) ← step(w, g, s)` for every element. `decay` is λ: the gradient a rule sees is g + λw.
///
/// # Panics
/// If the lengths differ.
#[inline(always)]
pub(crate) fn update<I: Isa, const S: usize>(
    isa: I,
    weights: &mut [f32],
    gradient: &[f32],
    state: [&mut [f32]; S],
    decay: f32,
    step: impl Fn(I::F, I::F, [I::F; S]) -> (I::F, [I::F; S]),
) {
    let len = weights.len();
    assert_eq!(gradient.len(), len, "weights and gradient");
    let mut state = state.map(|state| {
        assert_eq!(state.len(), len, "weights and state");
        let (chunks, tail) = state.as_chunks_mut::<LANES>();
        (chunks.iter_mut(), tail)
    });
    let decay = isa.splat(decay);
    let zero = isa.splat(0.0);
    let (w_chunks, w_tail) = weights.as_chunks_mut::<LANES>();
    let (g_chunks, g_tail) = gradient.as_chunks::<LANES>();
    for (w, g) in w_chunks.iter_mut().zip(g_chunks) {
        let x = isa.load(w);
        let g = isa.fma(decay, x, isa.load(g));
        let mut slots = [zero; S];
        let mut places: [Option<&mut [f32; LANES]>; S] = std::array::from_fn(|s| state[s].0.next());
        for (slot, place) in slots.iter_mut().zip(&places) {
            if let Some(place) = place {
                *slot = isa.load(place);
            }
        }
        let (x, slots) = step(x, g, slots);
        isa.store(x, w);
        for (slot, place) in slots.into_iter().zip(&mut places) {
            if let Some(place) = place {
                isa.store(slot, place);
            }
        }
    }
    if !w_tail.is_empty() {
        let x = isa.load_part(w_tail);
        let g = isa.fma(decay, x, isa.load_part(g_tail));
        let mut slots = [zero; S];
        for (slot, place) in slots.iter_mut().zip(&state) {
            *slot = isa.load_part(place.1);
        }
        let (x, slots) = step(x, g, slots);
        isa.store_part(x, w_tail);
        for (slot, place) in slots.into_iter().zip(&mut state) {
            isa.store_part(slot, place.1);
        }
    }
}
