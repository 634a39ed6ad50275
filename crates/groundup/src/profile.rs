//! Where the time of a training step goes, by layer and kernel, and how near each kernel comes to what this machine can
//! do.
//!
//! The steps that are timed are those of a trainer of its own: a run that is profiled has the weights and the time of
//! one that is not, and no evaluation is among the steps.

use mnist_io::Dataset;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tensor::Exec;
use tensor::limits::{Limits, per};
use tensor::profile::{Row, Work, start, stop};
use train::{Config, Error, Trainer};

/// Steps that are profiled, and the time after which there are no more of them.
const STEPS: (u64, Duration) = (200, Duration::from_secs(3));
/// The same of the steps before them, which bring code and data into the caches.
const WARM_UP: (u64, Duration) = (20, Duration::from_secs(1));

/// What a kernel does in a step, for one layer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// "forward", "backward", or "step" for what is no layer's.
    pub section: &'static str,
    /// The number and kind of the layer.
    pub layer: Option<(usize, &'static str)>,
    /// The kernel.
    pub kernel: &'static str,
    /// Its work in a step; what it touches is that of one call.
    pub work: Work,
    /// Its time in a step.
    pub seconds: f64,
}

impl Entry {
    fn new(row: &Row, kinds: &[&'static str], steps: u64) -> Self {
        let of_layer = matches!(row.section, "forward" | "backward");
        let Work { flops, bytes, touched } = row.work;
        Self {
            section: if row.section.is_empty() { "step" } else { row.section },
            layer: kinds.get(row.part).filter(|_| of_layer).map(|&kind| (row.part, kind)),
            kernel: row.kernel,
            work: Work { flops: flops / steps, bytes: bytes / steps, touched },
            seconds: row.time.as_secs_f64() / steps as f64,
        }
    }

    /// GFLOP/s
    pub fn gflops(&self) -> f64 {
        per(self.work.flops as f64 / 1e9, self.seconds)
    }

    /// GB/s
    pub fn gbytes(&self) -> f64 {
        per(self.work.bytes as f64 / 1e9, self.seconds)
    }

    /// Flops per byte.
    pub fn intensity(&self) -> f64 {
        per(self.work.flops as f64, self.work.bytes as f64)
    }
}

/// Where the time of a step goes.
#[derive(Clone, Debug)]
pub struct Profile {
    /// In the order in which they are called first.
    pub entries: Vec<Entry>,
    /// Steps this is the mean of.
    pub steps: u64,
    /// Time of a step.
    pub seconds: f64,
}

impl Profile {
    /// Profiles the first steps of a run over `data`, after some to warm up. Where there are several threads, it is to
    /// be called in their pool; kernels are timed one after the other, also those that a step without a profile does
    /// beside others.
    ///
    /// # Errors
    /// If the settings cannot be.
    pub fn take(config: &Config, exec: Exec, data: &Dataset) -> Result<Self, Error> {
        let mut trainer = Trainer::new(config.clone(), exec, data.clone())?;
        // The warm-up is profiled too, so that it goes the same ways; the second `start` forgets it.
        start();
        let warm = steps(&mut trainer, WARM_UP);
        start();
        let made = steps(&mut trainer, STEPS);
        let rows = stop();
        warm?;
        let (steps, time) = made?;
        let kinds = trainer.network().kinds();
        let entries = rows.iter().map(|row| Entry::new(row, &kinds, steps)).collect();
        Ok(Self { entries, steps, seconds: time.as_secs_f64() / steps as f64 })
    }

    /// The share of a step's time.
    fn share(&self, seconds: f64) -> f64 {
        per(seconds, self.seconds)
    }

    /// A table: a line a kernel, the time outside of kernels, and the whole step.
    pub fn to_text(&self, limits: &Limits) -> String {
        let micros = |seconds: f64| format!("{:.2}", 1e6 * seconds);
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let head = ["section", "layer", "kernel", "µs a step", "share", "GFLOP/s", "GB/s", "limit", "reached"];
        let mut rows = vec![head.map(str::to_owned)];
        let (mut work, mut inside) = (Work::default(), 0.0);
        for entry in &self.entries {
            let limit = limits.of(entry.work, entry.seconds);
            rows.push([
                entry.section.to_owned(),
                entry.layer.map_or_else(String::new, |(number, kind)| format!("{number} {kind}")),
                entry.kernel.to_owned(),
                micros(entry.seconds),
                percent(self.share(entry.seconds)),
                format!("{:.1}", entry.gflops()),
                format!("{:.1}", entry.gbytes()),
                limit.name.to_owned(),
                format!("{:.0} %", 100.0 * limit.share),
            ]);
            work.flops += entry.work.flops;
            work.bytes += entry.work.bytes;
            inside += entry.seconds;
        }
        let mut sum = |name: &str, seconds: f64, rates: [f64; 2]| {
            let [gflops, gbytes] = rates.map(|rate| if rate > 0.0 { format!("{rate:.1}") } else { String::new() });
            let (name, share) = (name.to_owned(), percent(self.share(seconds)));
            let none = String::new;
            rows.push([none(), none(), name, micros(seconds), share, gflops, gbytes, none(), none()]);
        };
        sum("outside kernels", (self.seconds - inside).max(0.0), [0.0; 2]);
        let rates = [work.flops, work.bytes].map(|amount| per(amount as f64 / 1e9, self.seconds));
        sum("total", self.seconds, rates);
        let steps = if self.steps == 1 { "a step".to_owned() } else { format!("{} steps", self.steps) };
        format!("profile of {steps}, {} µs each; {}\n{}", micros(self.seconds), limits.to_text(), columns(3, &rows))
    }

    /// The table's lines of kernels as JSON objects; shares are of 1.
    pub fn to_json(&self, limits: &Limits) -> Vec<Value> {
        let line = |entry: &Entry| {
            let limit = limits.of(entry.work, entry.seconds);
            json!({
                "section": entry.section,
                "layer": entry.layer.map(|(number, _)| number),
                "kind": entry.layer.map(|(_, kind)| kind),
                "kernel": entry.kernel,
                "microseconds": 1e6 * entry.seconds,
                "share": self.share(entry.seconds),
                "gflops": entry.gflops(),
                "gbytes": entry.gbytes(),
                "limit": limit.name,
                "share_of_limit": limit.share,
            })
        };
        self.entries.iter().map(line).collect()
    }
}

/// Makes at most so many steps, and no more once the time is over, but at least one. Returns how many, and how long
/// they took.
fn steps(trainer: &mut Trainer, (most, time): (u64, Duration)) -> Result<(u64, Duration), Error> {
    let (begin, mut done) = (Instant::now(), 0);
    while done == 0 || (done < most && begin.elapsed() < time) {
        trainer.step()?;
        done += 1;
    }
    Ok((done, begin.elapsed()))
}

/// Rows as lines with their cells in columns: the first `names` to the left, the others to the right.
pub fn columns<const N: usize>(names: usize, rows: &[[String; N]]) -> String {
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(widest);
    let line = |row: &[String; N]| {
        let cell = |(column, text): (usize, &String)| {
            let width = widths[column];
            if column < names { format!("{text:width$}") } else { format!("{text:>width$}") }
        };
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tensor::limits::Level;

    fn limits() -> Limits {
        let levels = vec![Level { name: "DRAM", bytes: u64::MAX, bandwidth: 8.0 }];
        Limits { threads: 1, peak: 128.0, levels }
    }

    /// Two steps of 8 µs, 6 of them in kernels.
    fn profile() -> Profile {
        let row = |section, part, kernel, calls, micros| {
            let work = Work { flops: 2000, bytes: 4000, touched: 500 };
            Row { section, part, kernel, work, calls, time: Duration::from_micros(micros) }
        };
        let rows = [row("forward", 1, "product", 2, 4), row("", 0, "loss", 2, 2), row("backward", 0, "sum", 4, 6)];
        let entries = rows.iter().map(|row| Entry::new(row, &["affine", "tanh"], 2)).collect();
        Profile { entries, steps: 2, seconds: 8e-6 }
    }

    #[test]
    fn a_row_is_the_work_and_time_of_a_step_and_knows_its_layer() {
        let entries = profile().entries;
        let layers: Vec<_> = entries.iter().map(|entry| (entry.section, entry.layer)).collect();
        assert_eq!(layers, [("forward", Some((1, "tanh"))), ("step", None), ("backward", Some((0, "affine")))]);
        assert_eq!(entries[0].work, Work { flops: 1000, bytes: 2000, touched: 500 });
        for (is, want) in [(entries[0].gflops(), 0.5), (entries[0].gbytes(), 1.0), (entries[0].intensity(), 0.5)] {
            assert!((is - want).abs() < 1e-12, "{is} instead of {want}");
        }
    }

    #[test]
    fn the_table_accounts_for_the_whole_step() {
        let text = profile().to_text(&limits());
        let shares: Vec<&str> = text
            .lines()
            .skip(2)
            .map(|line| line.split(" %").next().and_then(|cells| cells.split_whitespace().next_back()).unwrap_or(""))
            .collect();
        assert_eq!(shares, ["25.0", "12.5", "37.5", "25.0", "100.0"], "{text}");
        let last: Vec<&str> = text.lines().rev().take(2).map(str::trim_start).collect();
        assert!(last[1].starts_with("outside kernels") && last[0].starts_with("total"), "{text}");
        let json = profile().to_json(&limits());
        assert_eq!((json.len(), &json[0]["kind"], &json[1]["layer"]), (3, &json!("tanh"), &Value::Null), "{json:?}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a", "b", "1"], ["dW·Xᵀ", "", "22"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(2, &rows), "a      b   1\ndW·Xᵀ     22\n");
    }
}
