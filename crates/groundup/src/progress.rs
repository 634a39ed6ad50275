//! Progress of long work: a bar on a terminal, nothing in a pipe.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A bar over `total` units of work.
pub fn bar(total: u64, what: &str) -> ProgressBar {
    styled(total, "{msg:24} {wide_bar} {percent:>3}% {elapsed} (left {eta})").with_message(what.to_owned())
}

fn styled(total: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

/// One bar over parts of a whole that are done at the same time, and a line that says what goes on in each.
pub struct Whole {
    bar: ProgressBar,
    state: Mutex<State>,
}

struct State {
    parts: Vec<Part>,
    drawn: Instant,
}

/// A part of the whole: so many jobs of so many units.
struct Part {
    name: &'static str,
    /// What it is expected to cost; only the ratio to the others counts.
    cost: f64,
    jobs: u64,
    begun: u64,
    ended: u64,
    units: u64,
    done: u64,
    since: Option<Instant>,
    finished: bool,
}

/// How often the line is written anew.
const EVERY: Duration = Duration::from_millis(100);
/// Places on the bar for a unit of cost.
const FINENESS: f64 = 100.0;

impl Whole {
    /// Names and costs of the parts.
    pub fn new(parts: &[(&'static str, f64)]) -> Self {
        let total: f64 = parts.iter().map(|(_, cost)| cost).sum();
        let bar = styled((total * FINENESS) as u64, "{wide_bar} {percent:>3}% {elapsed} (left {eta})\n{wide_msg}");
        // So that the time goes on where a unit takes long.
        bar.enable_steady_tick(EVERY);
        let parts = parts.iter().map(|&(name, cost)| Part {
            name,
            cost,
            jobs: 0,
            begun: 0,
            ended: 0,
            units: 0,
            done: 0,
            since: None,
            finished: false,
        });
        Self { bar, state: Mutex::new(State { parts: parts.collect(), drawn: Instant::now() }) }
    }

    /// Announces jobs of a part, each of so many units.
    ///
    /// # Panics
    /// If the whole has no part of that name.
    pub fn share(&self, name: &str, units: u64, jobs: usize) -> Share<'_> {
        let mut state = self.lock();
        let part = state.parts.iter().position(|part| part.name == name);
        let part = part.unwrap_or_else(|| panic!("{name} is no part of this work"));
        state.parts[part].jobs += jobs as u64;
        state.parts[part].units += units * jobs as u64;
        Share { whole: self, part }
    }

    /// Says that a part is at its end. Returns the time since it began, not counting how long it waited for a thread.
    pub fn finish(&self, name: &str) -> Duration {
        let mut state = self.lock();
        let Some(part) = state.parts.iter_mut().find(|part| part.name == name) else { return Duration::ZERO };
        part.finished = true;
        let took = part.since.map_or(Duration::ZERO, |since| since.elapsed());
        self.draw(&mut state, true);
        took
    }

    /// Prints, while the bar stands aside. That nobody listens is no reason to stop.
    pub fn print(&self, line: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stdout(), "{line}");
        });
    }

    /// Takes the bar away for good.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, state: &mut State, now: bool) {
        if self.bar.is_hidden() || !(now || state.drawn.elapsed() >= EVERY) {
            return;
        }
        state.drawn = Instant::now();
        let done: f64 = state.parts.iter().map(|part| part.cost * part.share()).sum();
        self.bar.set_position((done * FINENESS) as u64);
        let running: Vec<String> = state.parts.iter().filter_map(Part::line).collect();
        self.bar.set_message(running.join("; "));
    }
}

impl Part {
    /// How much of it is done, from 0 to 1.
    fn share(&self) -> f64 {
        if self.finished { 1.0 } else { self.done as f64 / self.units.max(1) as f64 }
    }

    /// "dropout: run 2 of 6, 140 of 1806 steps" while it runs.
    fn line(&self) -> Option<String> {
        if self.finished || self.begun == self.ended {
            return None;
        }
        let Self { name, begun, jobs, done, units, .. } = self;
        Some(format!("{name}: run {begun} of {jobs}, {done} of {units} steps"))
    }
}

/// The share of one part in the bar.
pub struct Share<'a> {
    whole: &'a Whole,
    part: usize,
}

impl Share<'_> {
    /// Does a job of the part.
    pub fn job<R>(&self, work: impl FnOnce() -> R) -> R {
        self.change(true, |part| {
            part.begun += 1;
            part.since.get_or_insert_with(Instant::now);
        });
        let done = work();
        self.change(false, |part| part.ended += 1);
        done
    }

    /// Says that units are done.
    pub fn inc(&self, units: u64) {
        self.change(false, |part| part.done += units);
    }

    fn change(&self, now: bool, change: impl FnOnce(&mut Part)) {
        let mut state = self.whole.lock();
        change(&mut state.parts[self.part]);
        self.whole.draw(&mut state, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_which_run_it_is_at_and_counts_by_what_it_costs() {
        let whole = Whole::new(&[("long", 9.0), ("short", 1.0)]);
        let share = whole.share("long", 10, 2);
        assert!(whole.lock().parts[0].line().is_none(), "nothing runs yet");
        share.job(|| {
            share.inc(5);
            assert_eq!(whole.lock().parts[0].line().as_deref(), Some("long: run 1 of 2, 5 of 20 steps"));
        });
        assert_eq!(whole.lock().parts[0].share(), 0.25);
        whole.finish("short");
        assert_eq!(whole.lock().parts[1].share(), 1.0);
    }
}
