//! Threads for kernels of a few microseconds.
//!
//! A training step of a small network is some twenty kernels of 1 to 100 µs each. A thread that sleeps needs longer
//! than most of them to wake up. So the threads are called once a step, for a [`session()`], and stand by until the
//! step ends:
//!
//! ```text
//! main thread ─┬─ task: own chunks,  ─┬─ publish a deferred ─┬─ close
//!              │  then others',       │  task, and go on     │
//!              │  then wait           │                      │
//! worker ──────┴─ own chunks,  spin  ─┴─ run it,  spin      ─┴─ leave
//! ```
//!
//! | word | meaning |
//! |---|---|
//! | main thread | the thread that opened the session; only it publishes tasks |
//! | worker | another thread of the rayon pool, which stands by in the session |
//! | task | a kernel cut into chunks; the main thread returns from it when every chunk is done |
//! | deferred task | work off the critical path; a worker runs it while the main thread goes on |
//! | backoff | sessions without workers, after a session in which a worker lost its core |
//!
//! 1. *Each thread has its own chunks, the same ones in every task.* The rows of a batch that a thread computed in one
//!    layer are in its cache for the next layer. A thread that has finished its own chunks steals others'.
//! 2. *The main thread never waits for a worker that has not begun.* A worker that comes late finds its chunks done.
//!    The main thread does wait for a worker that loses its core in the middle of a chunk, because nobody else can
//!    finish that chunk. Backoff makes this rare.
//! 3. *Work that nobody waits for is deferred* ([`with_deferred`]). In the backward pass the main thread computes dX,
//!    layer by layer, while a worker computes dW and updates the weights of the layers above.
//!
//! **Contract.** No bit of a result depends on anything in this module. Chunks write disjoint elements, and each chunk
//! is computed as if alone. Which thread runs a chunk depends on time; how a kernel is cut does not. Whether workers
//! stand by is a part of the [`Exec`](crate::Exec) that [`session()`] hands to its closure.
//!
//! `parallel` imports `session`, which imports `task` and `deferred`, which import `signal`.

mod backoff;
mod constants;
mod deferred;
mod parallel;
mod session;
mod share;
mod signal;
mod task;

pub(crate) use parallel::parallel;
pub use session::{has_workers, session, with_deferred};
pub(crate) use share::share;
