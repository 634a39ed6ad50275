//! Sessions with workers, in tests.

use std::thread;
use std::time::{Duration, Instant};
use tensor::threads::has_workers;

/// Whether a session can have workers: on a machine of one core it has none.
pub fn can_have_workers() -> bool {
    thread::available_parallelism().is_ok_and(|cores| cores.get() > 1)
}

/// Waits up to a minute for a worker of the session that is open here, and returns whether one stands by. A kernel that
/// is called after that is shared.
pub fn worker_came() -> bool {
    let start = Instant::now();
    while !has_workers() && start.elapsed() < Duration::from_secs(60) {
        thread::yield_now();
    }
    has_workers()
}
