//! Criterion's wall time, printed as GFLOP/s or GB/s and as a share of what this machine can do.

use crate::{best, execs};
use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tensor::limits::Level;
use tensor::{Exec, probe};

/// The peaks of this machine, measured when the bench starts.
#[derive(Debug)]
pub struct Peaks(Vec<(&'static str, f64)>);

impl Peaks {
    /// Measures and prints the peak of one thread on each ISA; about a second each.
    pub fn measure() -> Self {
        let peaks = execs().into_iter().map(|exec| {
            let (name, peak) = (exec.isa().name(), probe::fma_peak(exec));
            println!("peak of one thread, {name}: {:.1} GFLOP/s", peak / 1e9);
            (name, peak)
        });
        Self(peaks.collect())
    }

    /// FLOP/s of all threads of `exec` together, if each had a core.
    pub fn of(&self, exec: Exec) -> f64 {
        let peak = self.0.iter().find(|(name, _)| *name == exec.isa().name()).map(|&(_, peak)| peak);
        peak.expect("every ISA that is timed was measured") * exec.threads() as f64
    }

    /// The same on the best ISA: what a rival is held against.
    pub fn best(&self, threads: usize) -> f64 {
        self.of(best(threads))
    }
}

/// The limit that the next benchmark's share is of; the bench sets it, the formatter reads it.
#[derive(Clone, Debug)]
pub struct CurrentLimit(Rc<Cell<(&'static str, f64)>>);

impl CurrentLimit {
    /// A peak in FLOP/s.
    pub fn set(&self, peak: f64) {
        self.0.set(("peak", peak));
    }

    /// A copy's bytes a second in a level of the memory.
    pub fn set_level(&self, level: &Level) {
        self.0.set((level.name, level.bandwidth));
    }
}

/// Wall time whose throughput, counted in operations, reads as `208.1 GFLOP/s (86 % of peak)`, and counted in bytes as
/// `95.2 GB/s (87 % of a copy in L2)`.
#[derive(Debug)]
pub struct Flops(Format);

#[derive(Debug)]
struct Format(CurrentLimit);

impl Flops {
    /// A measurement with the limit it will print shares of.
    pub fn new() -> (Self, CurrentLimit) {
        let limit = CurrentLimit(Rc::new(Cell::new(("nothing", f64::NAN))));
        (Self(Format(limit.clone())), limit)
    }
}

impl Measurement for Flops {
    type Intermediate = Instant;
    type Value = Duration;

    fn start(&self) -> Instant {
        WallTime.start()
    }
    fn end(&self, start: Instant) -> Duration {
        WallTime.end(start)
    }
    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        WallTime.add(a, b)
    }
    fn zero(&self) -> Duration {
        WallTime.zero()
    }
    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }
    fn formatter(&self) -> &dyn ValueFormatter {
        &self.0
    }
}

impl ValueFormatter for Format {
    fn format_throughput(&self, throughput: &Throughput, nanoseconds: f64) -> String {
        let (name, limit) = self.0.0.get();
        let share = |amount: u64| 1e11 * amount as f64 / nanoseconds / limit;
        match *throughput {
            Throughput::Elements(flops) => {
                format!("{:.1} GFLOP/s ({:.0} % of {name})", flops as f64 / nanoseconds, share(flops))
            }
            Throughput::Bytes(bytes) => {
                format!("{:.1} GB/s ({:.0} % of a copy in {name})", bytes as f64 / nanoseconds, share(bytes))
            }
            _ => WallTime.formatter().format_throughput(throughput, nanoseconds),
        }
    }
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_values(typical, values)
    }
    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_throughputs(typical, throughput, values)
    }
    fn scale_for_machines(&self, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_for_machines(values)
    }
}
