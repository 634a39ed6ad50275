//! What this machine can do: the fused multiply-add peak and the memory bandwidth that kernels are measured against.
//!
//! The peak is what a loop of nothing but independent fused multiply-adds in registers reaches: twelve chains of
//! registers, enough to hide the latency and few enough to stay in registers on every ISA. The bandwidth is that of a
//! copy, counting bytes read plus bytes written. Both are the best of several tries, since noise only ever slows a loop
//! down.

use crate::array::AlignedBuf;
use crate::exec::Exec;
use crate::isa::{Isa, LANES, Op};
use std::hint::black_box;
use std::time::Instant;

/// Vectors in flight: twelve `zmm`, or, where a vector is a pair of `ymm`, six at a time.
const CHAINS: usize = 12;

struct Fma {
    rounds: usize,
    start: f32,
}

impl Op for Fma {
    type Output = f32;
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> f32 {
        #[inline(always)]
        fn chains<I: Isa, const N: usize>(isa: I, rounds: usize, factor: I::F) -> f32 {
            let mut chains = [factor; N];
            for _ in 0..rounds {
                for chain in &mut chains {
                    *chain = isa.fma(*chain, factor, factor);
                }
            }
            chains.into_iter().map(|chain| isa.sum(chain)).sum()
        }
        let factor = isa.splat(self.start);
        if I::NAME == "avx512" {
            chains::<I, CHAINS>(isa, self.rounds, factor)
        } else {
            chains::<I, { CHAINS / 2 }>(isa, 2 * self.rounds, factor)
        }
    }
}

/// Floating-point operations a second of one thread (a fused multiply-add counts as two). Takes about 0.3 s: on a
/// shared machine the quiet moments are rare.
pub fn fma_peak(exec: Exec) -> f64 {
    let flops = |rounds: usize| (2 * CHAINS * LANES * rounds) as f64;
    let mut rounds = 1_000;
    loop {
        let time = best_of(3, || exec.run(Fma { rounds, start: black_box(0.75) }));
        if time > 2e-3 {
            return flops(rounds) / best_of(100, || exec.run(Fma { rounds, start: black_box(0.75) })).min(time);
        }
        rounds *= 2;
    }
}

struct Copy<'a>(&'a [f32], &'a mut [f32]);

impl Op for Copy<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let (from, to) = (self.0.as_chunks::<LANES>().0, self.1.as_chunks_mut::<LANES>().0);
        for (from, to) in from.iter().zip(to) {
            isa.store(isa.load(from), to);
        }
    }
}

/// Bytes a second (read plus written) of a copy by one thread, when source and copy together take `bytes`.
pub fn copy_bandwidth(exec: Exec, bytes: usize) -> f64 {
    let len = (bytes / 2 / size_of::<f32>()).next_multiple_of(LANES).max(LANES);
    let (from, mut to) = (AlignedBuf::<f32>::zeroed(len), AlignedBuf::<f32>::zeroed(len));
    // Touch both, then repeat until a try is long enough for the clock.
    let repeats = (8_usize << 20).div_ceil(2 * len * size_of::<f32>());
    let mut copy = || {
        for _ in 0..repeats {
            exec.run(Copy(black_box(&from), black_box(&mut to)));
        }
    };
    copy();
    (2 * len * size_of::<f32>() * repeats) as f64 / best_of(7, &mut copy)
}

/// The least time of several calls, in seconds.
fn best_of<R>(tries: usize, mut call: impl FnMut() -> R) -> f64 {
    (0..tries)
        .map(|_| {
            let start = Instant::now();
            black_box(call());
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}
