//! Criterion's wall time, printed as GFLOP/s and as a share of what this machine's fused multiply-add units can do.

use crate::{best, execs};
use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};
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

/// The peak that the next benchmark's share is of; the bench sets it, the formatter reads it.
pub type CurrentPeak = Rc<Cell<f64>>;

/// Wall time whose throughput, counted in operations, reads as `208.1 GFLOP/s (86 % of peak)`.
#[derive(Debug)]
pub struct Flops(Format);

#[derive(Debug)]
struct Format(CurrentPeak);

impl Flops {
    /// A measurement with the peak it will print shares of.
    pub fn new() -> (Self, CurrentPeak) {
        let peak = CurrentPeak::new(Cell::new(f64::NAN));
        (Self(Format(peak.clone())), peak)
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
        let Throughput::Elements(flops) = *throughput else {
            return WallTime.formatter().format_throughput(throughput, nanoseconds);
        };
        let rate = flops as f64 / nanoseconds;
        format!("{rate:.1} GFLOP/s ({:.0} % of peak)", 1e11 * rate / self.0.get())
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
