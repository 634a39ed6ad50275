//! How the main thread tells the workers that something was published, and how it waits for them.

use super::constants::{ROUNDS_PER_CLOCK, STALL};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A counter on a cache line of its own, so that a thread that counts does not take another counter's line away.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Counter(pub AtomicUsize);

/// What passes between the main thread and the workers besides the work itself.
#[derive(Default)]
pub(super) struct Signal {
    /// The number of tasks and deferred tasks published so far.
    published: Counter,
    /// The main thread has waited for a worker that seems to be descheduled.
    stalled: AtomicBool,
}

impl Signal {
    /// Tells the workers that a task or a deferred task was published.
    pub fn publish(&self) {
        self.published.0.fetch_add(1, Ordering::Release);
    }

    /// The number of publications so far. A worker sees everything that was stored before the last of them.
    pub fn published(&self) -> usize {
        self.published.0.load(Ordering::Acquire)
    }

    /// Whether a wait of the main thread took too long.
    pub fn has_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Spins until `done`. It notes a stall if that takes longer than `own_work` and [`STALL`] together; a worker's
    /// part may take as long as the main thread's own.
    pub fn wait(&self, own_work: Duration, done: impl Fn() -> bool) {
        let mut rounds = 0_u32;
        let mut since = None;
        while !done() {
            std::hint::spin_loop();
            rounds = rounds.wrapping_add(1);
            if rounds.is_multiple_of(ROUNDS_PER_CLOCK) {
                let since: &mut Instant = since.get_or_insert_with(Instant::now);
                if since.elapsed() > own_work + STALL {
                    self.stalled.store(true, Ordering::Relaxed);
                    std::thread::yield_now();
                }
            }
        }
    }
}
