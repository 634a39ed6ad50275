//! What this machine can do, and which of it holds a kernel back.
//!
//! ```text
//! arithmetic = flops / peak       movement = bytes / bandwidth of a copy in the level that holds what one call touches
//! limit        "fma" if arithmetic ≥ movement, that is flops/bytes ≥ peak/bandwidth, the balance of the machine; else the level
//! share        the greater of the two / the time it took
//! ```
//!
//! A share above 1 is no mistake: what was touched by the kernel before may lie nearer than the level that is sure to
//! hold it.

use super::probe;
use super::profile::Work;
use crate::exec::Exec;

/// Bytes of a copy that no cache holds, as far as caches go.
const MEMORY: usize = 256 << 20;

/// A level of the memory.
#[derive(Clone, Debug)]
pub struct Level {
    /// L1, L2 or DRAM.
    pub name: &'static str,
    /// What it holds.
    pub bytes: u64,
    /// Bytes a second of a copy in it, read plus written.
    pub bandwidth: f64,
}

/// What holds a kernel back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// "fma", or the name of a level.
    pub name: &'static str,
    /// The least time the work can take over the time it took.
    pub share: f64,
}

/// What this machine can do.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Threads that do it.
    pub threads: usize,
    /// Floating-point operations a second.
    pub peak: f64,
    /// From the nearest level to the farthest, which holds anything.
    pub levels: Vec<Level>,
}

impl Limits {
    /// Measures what all of `exec`'s threads do at the same time; where they are several, it is to be called in their
    /// pool.
    pub fn measure(exec: Exec) -> Self {
        let (one, threads) = (exec.one_thread(), exec.threads());
        let all = |measure: &(dyn Fn() -> f64 + Sync)| {
            if threads == 1 { measure() } else { rayon::broadcast(|_| measure()).into_iter().sum::<f64>() }
        };
        let caches = exec.caches();
        let near = [("L1", caches.l1), ("L2", caches.l2)].map(|(name, bytes)| (name, bytes as u64, bytes / 2));
        let levels = near
            .into_iter()
            .chain([("DRAM", u64::MAX, MEMORY / threads)])
            .map(|(name, bytes, copied)| Level { name, bytes, bandwidth: all(&|| probe::copy_bandwidth(one, copied)) })
            .collect();
        Self { threads, peak: all(&|| probe::fma_peak(one)), levels }
    }

    /// The nearest level that holds so many bytes.
    pub fn level(&self, touched: u64) -> &Level {
        self.levels.iter().find(|level| touched <= level.bytes).expect("the farthest level holds anything")
    }

    /// What holds back a kernel that did `work` in so many seconds. What one call touches is in `work.touched`.
    pub fn of(&self, work: Work, seconds: f64) -> Limit {
        let level = self.level(work.touched);
        let (arithmetic, movement) = (work.flops as f64 / self.peak, work.bytes as f64 / level.bandwidth);
        if arithmetic >= movement {
            Limit { name: "fma", share: per(arithmetic, seconds) }
        } else {
            Limit { name: level.name, share: per(movement, seconds) }
        }
    }

    /// All of them in a line.
    pub fn to_text(&self) -> String {
        let levels = self.levels.iter().map(|level| format!("{} {:.1}", level.name, level.bandwidth / 1e9));
        let levels: Vec<String> = levels.collect();
        let (threads, peak) = (self.threads_in_words(), self.peak / 1e9);
        format!("limits of {threads}: fma {peak:.1} GFLOP/s; copies {} GB/s", levels.join(", "))
    }

    /// "one thread", "2 threads".
    pub fn threads_in_words(&self) -> String {
        if self.threads == 1 { "one thread".to_owned() } else { format!("{} threads", self.threads) }
    }
}

/// `amount / of`, and 0 where that is of nothing: the clock saw no time pass.
pub fn per(amount: f64, of: f64) -> f64 {
    if of > 0.0 { amount / of } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A balance of 2, 4 and 16 flops a byte.
    fn limits() -> Limits {
        let level = |(name, bytes, bandwidth)| Level { name, bytes, bandwidth };
        let levels = [("L1", 1000, 64.0), ("L2", 10_000, 32.0), ("DRAM", u64::MAX, 8.0)].map(level).to_vec();
        Limits { threads: 1, peak: 128.0, levels }
    }

    #[test]
    fn a_kernel_below_the_balance_of_its_level_is_held_back_by_the_level() {
        let name = |flops, bytes, touched| limits().of(Work { flops, bytes, touched }, 1.0).name;
        for (touched, balance, level) in [
            (1, 2, "L1"),
            (1000, 2, "L1"),
            (1001, 4, "L2"),
            (10_000, 4, "L2"),
            (10_001, 16, "DRAM"),
            (1 << 40, 16, "DRAM"),
        ] {
            assert_eq!(name(100 * balance - 1, 100, touched), level, "{touched} bytes touched");
            assert_eq!(name(100 * balance, 100, touched), "fma", "{touched} bytes touched");
            assert_eq!(name(0, 100, touched), level, "{touched} bytes touched, no arithmetic");
        }
        // However much the calls of a step move together, it is one call that decides where it finds its data.
        assert_eq!(name(100, 1_000_000, 1000), "L1");
    }

    #[test]
    fn the_share_is_the_least_time_over_the_time() {
        let of = |flops, bytes, seconds| limits().of(Work { flops, bytes, touched: 1 }, seconds);
        assert_eq!(of(1280, 64, 20.0), Limit { name: "fma", share: 0.5 });
        assert_eq!(of(64, 640, 40.0), Limit { name: "L1", share: 0.25 });
        assert_eq!(of(64, 640, 0.0).share, 0.0, "a clock that stands still");
    }
}
