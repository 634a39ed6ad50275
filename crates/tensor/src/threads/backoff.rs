//! Exponential backoff: after a bad session, the next ones do without workers.
//!
//! A session is bad if no worker came, or if the main thread waited for a worker that had lost its core. On a machine
//! whose other cores are busy every session would be bad, and cost a time slice. So the first bad session is followed
//! by 16 without workers, the next by 64, and so on up to 4096. A run of good sessions resets this.

use super::constants::{BACKOFF_GROWTH, FIRST_BACKOFF, GOOD_SESSIONS_TO_RESET, MAX_BACKOFF};
use std::cell::Cell;

thread_local! {
    /// The history of the sessions that this thread opened.
    static BACKOFF: Cell<Backoff> = const { Cell::new(Backoff { remaining: 0, next: FIRST_BACKOFF, good: 0 }) };
}

#[derive(Clone, Copy)]
struct Backoff {
    /// Sessions that are still to be run without workers.
    remaining: u32,
    /// Sessions without workers after the next bad one.
    next: u32,
    /// Good sessions since the last bad one.
    good: u32,
}

/// Counts a session that begins, and returns whether it is to be run without workers.
pub(super) fn is_active() -> bool {
    let backoff = BACKOFF.get();
    BACKOFF.set(Backoff { remaining: backoff.remaining.saturating_sub(1), ..backoff });
    backoff.remaining > 0
}

/// Notes whether a session with workers was good.
pub(super) fn note(good: bool) {
    let backoff = BACKOFF.get();
    BACKOFF.set(if !good {
        Backoff { remaining: backoff.next, next: MAX_BACKOFF.min(BACKOFF_GROWTH * backoff.next), good: 0 }
    } else if backoff.good < GOOD_SESSIONS_TO_RESET {
        Backoff { good: backoff.good + 1, ..backoff }
    } else {
        Backoff { remaining: 0, next: FIRST_BACKOFF, good: 0 }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sessions until one is run with workers, itself not included.
    fn skipped() -> u32 {
        let mut count = 0;
        while is_active() {
            count += 1;
        }
        count
    }

    #[test]
    fn a_backoff_grows_to_its_limit_and_good_sessions_reset_it() {
        assert_eq!(skipped(), 0, "nothing has happened yet");
        for expected in [16, 64, 256, 1024, 4096, 4096] {
            note(false);
            assert_eq!(skipped(), expected);
        }
        for _ in 0..GOOD_SESSIONS_TO_RESET {
            note(true);
        }
        note(false);
        assert_eq!(skipped(), 4096, "one good session too few");
        for _ in 0..=GOOD_SESSIONS_TO_RESET {
            note(true);
        }
        note(false);
        assert_eq!(skipped(), 16);
    }
}
