//! Every kernel of a training step, beside the limit that it runs into: the affine layer's in operations, as a share of
//! the multiply-add peak; the others' in bytes that must move, as a share of a copy in the level of the memory that
//! their data fit in.
//!
//! One kind alone: `cargo bench --bench layers -- affine`, `batch_norm`, `elementwise` or `optimizers`.

mod affine;
mod batch_norm;
mod elementwise;
mod optimizers;

use criterion::Criterion;
use groundup_benches::{CurrentLimit, Flops, Peaks, best, criterion};
use tensor::Exec;

/// The limits of one thread of this machine, and the one that the next benchmark's share is of.
pub struct Limits {
    peaks: Peaks,
    memory: tensor::limits::Limits,
    current: CurrentLimit,
}

impl Limits {
    /// The next benchmark is arithmetic.
    pub fn arithmetic(&self, exec: Exec) {
        self.current.set(self.peaks.of(exec));
    }

    /// The next benchmark touches so many bytes.
    pub fn memory(&self, touched: u64) {
        self.current.set_level(self.memory.level(touched));
    }
}

fn main() {
    let (measurement, current) = Flops::new();
    let mut c: Criterion<Flops> = criterion().with_measurement(measurement);
    let memory = tensor::limits::Limits::measure(best(1));
    println!("{}", memory.to_text());
    let limits = Limits { peaks: Peaks::measure(), memory, current };
    affine::benches(&mut c, &limits);
    batch_norm::benches(&mut c, &limits);
    elementwise::benches(&mut c, &limits);
    optimizers::benches(&mut c, &limits);
    c.final_summary();
}
