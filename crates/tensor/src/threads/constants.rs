//! The constants of this module.
//!
//! To measure one again, change it and compare the field `seconds` of
//! `cargo run --release -- train --batch-size 128 --steps 6000 --threads 2 --json`, old and new in turns: on an idle
//! machine for the constants of waiting, and with a program that spins on the second core for those of backoff.

use std::time::Duration;

/// Most threads of a session, the main thread included. It sizes an array on the stack, one cache line a thread.
pub(super) const MAX_THREADS: usize = 64;

/// Most deferred tasks that are published at a time: one a layer of a deep network. It sizes an array on the stack. A
/// deferred task beyond them is run at once.
pub(super) const MAX_DEFERRED: usize = 32;

/// Time that the main thread waits, beyond the worker's fair share, before it takes the worker to be descheduled.
/// Longer than any chunk or deferred task of a small network, shorter than a time slice of the system.
pub(super) const STALL: Duration = Duration::from_micros(500);

/// Rounds of a wait between two looks at the clock. Reading the clock takes longer than a round.
pub(super) const ROUNDS_PER_CLOCK: u32 = 256;

/// Rounds that an idle worker spins before it offers its core to other programs, and again after each such number of
/// rounds. Longer than the main thread works alone within a training step.
pub(super) const ROUNDS_PER_YIELD: u32 = 5000;

/// Rounds that a thread of the rayon pool spins for the chunks of the others, when there is no session. Without them
/// rayon puts the thread to sleep, and the end of this task and the start of the next each wait for it to wake.
pub(super) const ROUNDS_FOR_RAYON: usize = 2000;

/// Sessions without workers after the first bad session.
pub(super) const FIRST_BACKOFF: u32 = 16;

/// Factor by which the backoff grows with each further bad session.
pub(super) const BACKOFF_GROWTH: u32 = 4;

/// Most sessions of one backoff. It bounds what a core that is always busy costs: one bad session in so many.
pub(super) const MAX_BACKOFF: u32 = 4096;

/// Good sessions in a row after which the backoff is [`FIRST_BACKOFF`] again.
pub(super) const GOOD_SESSIONS_TO_RESET: u32 = 256;
