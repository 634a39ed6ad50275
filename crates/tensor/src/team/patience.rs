//! How often a session that went wrong is tried again.

use std::cell::Cell;

thread_local! {
    /// How this thread's sessions fared.
    static PATIENCE: Cell<Patience> = const { Cell::new(Patience { alone: 0, next: FIRST_PAUSE, good: 0 }) };
}

/// Sessions without helpers after the first that went wrong.
const FIRST_PAUSE: u32 = 16;
/// So many times more after each that goes wrong again.
const GROWTH: u32 = 4;
/// And after many.
const LONGEST_PAUSE: u32 = 4096;
/// Sessions that go well before the past is forgotten.
const FORGIVEN: u32 = 256;

/// When helpers are called, and when it is better not to.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Sessions still to be done alone.
    alone: u32,
    /// So many after the next that goes wrong.
    next: u32,
    /// Sessions that went well since.
    good: u32,
}

impl Patience {
    /// Counts a session, and says whether it is to be done alone.
    pub fn is_out() -> bool {
        let patience = PATIENCE.get();
        PATIENCE.set(Self { alone: patience.alone.saturating_sub(1), ..patience });
        patience.alone > 0
    }

    pub fn note(well: bool) {
        let patience = PATIENCE.get();
        PATIENCE.set(if !well {
            Self { alone: patience.next, next: LONGEST_PAUSE.min(GROWTH * patience.next), good: 0 }
        } else if patience.good < FORGIVEN {
            Self { good: patience.good + 1, ..patience }
        } else {
            Self { alone: 0, next: FIRST_PAUSE, good: 0 }
        });
    }
}
