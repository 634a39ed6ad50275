//! How many threads: what there are, what may be asked for, and pools of them.

use rayon::{ThreadPool, ThreadPoolBuilder};
use train::Error;

/// The most threads that may be asked for: more is a slip of the finger.
pub const MOST: usize = 1024;

/// The threads of this machine that a program may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A rayon pool of so many threads.
pub fn pool(threads: usize) -> Result<ThreadPool, Error> {
    ThreadPoolBuilder::new().num_threads(threads).build().map_err(|error| Error::Config {
        what: format!("{threads} threads cannot be started: {error}"),
        cure: format!(
            "ask for fewer (cores of this machine: {}), or raise its limits of processes and memory",
            cores()
        ),
    })
}

/// Runs `work` on a rayon pool of `threads`, or right here if that is one.
pub fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> Result<R, Error> {
    if threads == 1 {
        return Ok(work());
    }
    Ok(pool(threads)?.install(work))
}
