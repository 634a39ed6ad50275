//! What the benches share: their settings, data, and the rule that a result is checked before it is timed.
//!
//! Every bench walks the ISAs this CPU has (portable is left out where an FMA is a library call: it is a judge, not a
//! rival), on one thread. Pin a run for quiet figures: `taskset -c 0 cargo bench --bench gemm`.

mod engines;
mod flops;

pub use engines::{Engine, Product};
pub use flops::{CurrentLimit, Flops, Peaks};

use criterion::Criterion;
use std::time::Duration;
use tensor::isa::AnyIsa;
use tensor::{Exec, Tensor};
use testkit::compare::{Bound, assert_close};
use testkit::rng::Rng;

/// Few samples, briefly: the machine's noise is larger than what more would settle.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .without_plots()
        .configure_from_args()
}

/// Makes this thread one of a pool of `threads`, as a program's threads are around a whole run: a product that comes
/// from outside of a pool pays for getting in.
///
/// # Panics
/// If there is a pool already.
pub fn enter_pool(threads: usize) {
    rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread().build_global().expect("the first pool");
}

/// One thread on each ISA worth timing, best last.
pub fn execs() -> Vec<Exec> {
    let isas: Vec<AnyIsa> = AnyIsa::available().collect();
    let slow_portable = cfg!(all(target_arch = "x86_64", not(target_feature = "fma")));
    let skip = usize::from(slow_portable && isas.len() > 1);
    isas.into_iter().skip(skip).map(|isa| Exec::with_isa(isa, 1)).collect()
}

/// The best ISA with so many threads.
pub fn best(threads: usize) -> Exec {
    Exec::with_isa(execs().pop().expect("portable is always there").isa(), threads)
}

/// A matrix of uniform numbers in [−1, 1).
pub fn random(rng: &mut Rng, shape: [usize; 2]) -> Tensor<f32, 2> {
    Tensor::from_slice(&rng.vec_f32(shape[0] * shape[1]), shape).expect("one number an element")
}

/// The elements in f64.
pub fn widen(tensor: &Tensor<f32, 2>) -> Vec<f64> {
    testkit::vector::widen(tensor.as_slice())
}

/// Holds a result against the f64 reference before it is timed.
///
/// # Panics
/// If it is wrong.
pub fn check(name: &str, got: &[f32], want: &[f64]) {
    assert_close(name, got, want, Bound::Allclose { rtol: 1e-4, atol: 1e-4 * largest(want) });
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}
