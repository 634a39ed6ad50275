//! Sessions with helpers, in tests.

use std::thread;
use std::time::{Duration, Instant};
use tensor::gemm::Workers;

/// Whether a session can have helpers: it has none on a machine of one core.
pub fn can_help() -> bool {
    thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

/// Waits until a helper stands by: what is shared out after that is shared.
pub fn helped() -> bool {
    let start = Instant::now();
    while Workers::now() != Workers::Helping && start.elapsed() < Duration::from_secs(60) {
        thread::yield_now();
    }
    Workers::now() == Workers::Helping
}
