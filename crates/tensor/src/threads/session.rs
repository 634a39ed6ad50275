//! A session: the other threads of the pool are called once, stand by while a closure runs, and leave when it ends.

use super::backoff;
use super::constants::{MAX_THREADS, ROUNDS_PER_YIELD, STALL};
use super::deferred::DeferredSlots;
use super::signal::Signal;
use super::task::TaskSlot;
use crate::exec::Exec;
use crate::machine::{profile, scratch};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

thread_local! {
    /// The session that this thread is the main thread of, or null.
    static CURRENT: Cell<*const Session> = const { Cell::new(std::ptr::null()) };
    /// This thread is a worker of another thread's session. What it calls is done on this thread alone.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// What the threads of a session share. It lives in the frame of [`open`].
pub(super) struct Session {
    signal: Signal,
    task: TaskSlot,
    deferred: DeferredSlots,
    /// Workers that have come.
    workers: AtomicUsize,
    closed: AtomicBool,
}

/// Calls `f` with the session that this thread is the main thread of.
pub(super) fn with_current<R>(f: impl FnOnce(Option<&Session>) -> R) -> R {
    // SAFETY: null, or a session that lives longer than this call: `Open` sets the pointer in a frame of this thread
    // that is still running, below which the session lives, and resets it before that frame ends.
    f(unsafe { CURRENT.get().as_ref() })
}

/// Whether this thread is a worker of a session.
pub(super) fn is_worker() -> bool {
    IS_WORKER.get()
}

impl Session {
    fn new() -> Self {
        Self {
            signal: Signal::default(),
            task: TaskSlot::new(),
            deferred: DeferredSlots::new(),
            workers: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Main thread: calls `work` for each chunk, on at most `threads` threads of those that have come.
    pub fn run_task(&self, threads: usize, chunks: usize, work: &(impl Fn(usize) + Sync)) {
        let threads = threads.min(self.workers.load(Ordering::Relaxed) + 1);
        if threads == 1 || self.task.in_task() {
            (0..chunks).for_each(work);
        } else {
            self.task.run(&self.signal, threads, chunks, work);
        }
    }

    /// Whether a deferred task may be published: a worker has come, and no profile is being taken. A profile times
    /// kernels one after the other.
    fn may_defer(&self) -> bool {
        self.workers.load(Ordering::Relaxed) > 0 && !profile::is_active()
    }

    /// Worker: runs what is published, until the session is closed.
    fn stand_by(&self) {
        // Tasks take the first workers that come.
        let worker = 1 + self.workers.fetch_add(1, Ordering::Relaxed);
        let mut seen = self.signal.published();
        let mut idle = 0_u32;
        while !self.closed.load(Ordering::Acquire) {
            let published = self.signal.published();
            if published == seen {
                std::hint::spin_loop();
                idle = idle.wrapping_add(1);
                if idle.is_multiple_of(ROUNDS_PER_YIELD) {
                    // The main thread itself may be waiting for this core.
                    std::thread::yield_now();
                }
                continue;
            }
            seen = published;
            // Deferred tasks first. The main thread steals the chunks of a worker that comes late, but it can only wait
            // for a deferred task that was claimed.
            while self.deferred.run_one() {}
            self.task.take_part(worker);
        }
    }
}

/// Whether a worker stands by here and now: in a [`session`] to which one has come. Only then does [`with_deferred`]
/// run two things at a time. While a profile is being taken it is false.
pub fn has_workers() -> bool {
    with_current(|session| session.is_some_and(Session::may_defer))
}

/// Runs `now`, and `deferred` off the critical path: a worker of the [`session`] may run it meanwhile, else this thread
/// runs it after `now`. Without workers `deferred` runs first, while what it uses is in the cache.
///
/// ```
/// use tensor::threads::with_deferred;
/// let (mut total, mut log) = (0, Vec::new());
/// let (next, logged) = with_deferred(|| { total += 5; total }, || { log.push(3); log.len() });
/// assert_eq!((next, logged), (5, 1));
/// ```
pub fn with_deferred<A, B: Send>(now: impl FnOnce() -> A, deferred: impl FnOnce() -> B + Send) -> (A, B) {
    with_current(|session| {
        let slot =
            session.filter(|session| session.may_defer()).and_then(|session| session.deferred.free(&session.signal));
        match slot {
            Some(slot) => slot.run(now, deferred),
            None => {
                let deferred = deferred();
                (now(), deferred)
            }
        }
    })
}

/// Runs `f` with the other threads of the rayon pool standing by as workers. `f` is handed the [`Exec`] to use inside.
///
/// Up to `exec.threads() − 1` workers are called, and no more than the machine has cores. They spin as long as `f`
/// runs: open a session around some hundred microseconds of kernels, such as a training step.
///
/// No session is opened with one thread, outside of a rayon pool, inside of another session, or during backoff. Then
/// `f` is handed `exec` unchanged. Else it is handed [`exec.in_session()`](Exec::in_session).
pub fn session<R: Send>(exec: Exec, f: impl FnOnce(Exec) -> R + Send) -> R {
    let nested = !CURRENT.get().is_null() || is_worker();
    // In this order: asking rayon for its number of threads outside of a pool would start one.
    if exec.threads() == 1 || nested || rayon::current_thread_index().is_none() || backoff::is_active() {
        return f(exec);
    }
    let threads = exec.threads().min(MAX_THREADS).min(rayon::current_num_threads()).min(cores());
    if threads <= 1 { f(exec) } else { open(threads - 1, || f(exec.in_session())) }
}

/// Opens a session with up to `workers` workers, on a thread of a pool that is in no session.
fn open<R: Send>(workers: usize, f: impl FnOnce() -> R + Send) -> R {
    let session = Session::new();
    let shared = &session;
    let ((result, workers_came, closed_at), ()) = rayon::join(
        move || {
            let _open = Open::new(shared);
            let result = f();
            (result, shared.workers.load(Ordering::Relaxed) > 0, Instant::now())
        },
        || call_workers(shared, workers),
    );
    let descheduled = session.signal.has_stalled() || closed_at.elapsed() >= STALL;
    backoff::note(workers_came && !descheduled);
    result
}

/// Cores that this program may use. The system is asked once.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// The session is open on this thread until this is dropped, also by a panic.
struct Open<'a>(&'a Session);

impl<'a> Open<'a> {
    fn new(session: &'a Session) -> Self {
        CURRENT.set(session);
        Self(session)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        CURRENT.set(std::ptr::null());
        self.0.closed.store(true, Ordering::Release);
    }
}

/// Makes workers of `count` threads of the pool, or of fewer if the others are busy. A thread that comes after the
/// session was closed leaves at once.
fn call_workers(session: &Session, count: usize) {
    if count > 1 {
        rayon::join(|| call_workers(session, 1), || call_workers(session, count - 1));
    } else {
        become_worker(session);
    }
}

/// This thread is a worker until this is dropped, also by a panic.
struct Worker;

impl Worker {
    fn new() -> Self {
        IS_WORKER.set(true);
        Self
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        IS_WORKER.set(false);
    }
}

fn become_worker(session: &Session) {
    // A main thread or a worker that waits for rayon may be handed a call for workers, even its own. If it stood by, it
    // would wait for a session that waits for it.
    if CURRENT.get().is_null() && !is_worker() {
        let _worker = Worker::new();
        scratch::make_room();
        session.stand_by();
    }
}

#[cfg(test)]
mod tests;
