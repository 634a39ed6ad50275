//! A task: a kernel cut into chunks, which the main thread and the workers run together.
//!
//! ```text
//! 12 chunks, 3 threads:       0 1 2 3 │ 4 5 6 7 │ 8 9 10 11
//!   own chunks of                main   worker 1   worker 2
//!   next chunk to claim          2        7          10            one counter a thread, on a cache line of its own
//! ```
//!
//! A thread claims a chunk by adding 1 to a counter: first to its own, until its chunks are exhausted, then to the
//! others'. So a late worker costs nothing but its help: its chunks were stolen.
//!
//! The task lives on the main thread's stack. [`TaskSlot`] holds a pointer to it while it is published, and the main
//! thread does not return before no worker can hold that pointer.

use super::constants::MAX_THREADS;
use super::signal::{Counter, Signal};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::{Duration, Instant};

/// The place of a session where its one task is published.
pub(super) struct TaskSlot {
    /// The published task, or null.
    task: AtomicPtr<Task<'static>>,
    /// Workers that may hold the pointer.
    looking: Counter,
    /// The next chunk of each thread's own.
    next: [Counter; MAX_THREADS],
    /// The main thread is in a task. A kernel that is called inside a chunk is not shared again.
    in_task: AtomicBool,
    /// A worker has panicked in a chunk.
    panicked: AtomicBool,
}

struct Task<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    chunks: usize,
    threads: usize,
    /// Chunks that are done.
    done: Counter,
}

impl Task<'_> {
    /// The chunks of thread `thread`'s own.
    fn own(&self, thread: usize) -> Range<usize> {
        let at = |thread: usize| self.chunks * thread / self.threads;
        at(thread)..at(thread + 1)
    }

    /// Runs chunks until none is left to claim: first those of `thread`, then the others'.
    fn run(&self, next: &[Counter; MAX_THREADS], thread: usize) {
        for offset in 0..self.threads {
            let owner = (thread + offset) % self.threads;
            let end = self.own(owner).end;
            // The load saves the addition, which takes the cache line away from its owner.
            while next[owner].0.load(Ordering::Relaxed) < end {
                let chunk = next[owner].0.fetch_add(1, Ordering::Relaxed);
                if chunk < end {
                    (self.work)(chunk);
                    self.done.0.fetch_add(1, Ordering::Release);
                }
            }
        }
    }
}

impl TaskSlot {
    pub fn new() -> Self {
        Self {
            task: AtomicPtr::default(),
            looking: Counter::default(),
            next: [const { Counter(std::sync::atomic::AtomicUsize::new(0)) }; MAX_THREADS],
            in_task: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        }
    }

    /// Whether the main thread is in a task.
    pub fn in_task(&self) -> bool {
        self.in_task.load(Ordering::Relaxed)
    }

    /// Main thread: calls `work` for each chunk, together with workers 1 to `threads − 1`; returns when all are done.
    ///
    /// # Panics
    /// If a worker panicked in a chunk.
    pub fn run(&self, signal: &Signal, threads: usize, chunks: usize, work: &(dyn Fn(usize) + Sync)) {
        let threads = threads.min(MAX_THREADS);
        let task = Task { work, chunks, threads, done: Counter::default() };
        for thread in 0..threads {
            self.next[thread].0.store(task.own(thread).start, Ordering::Relaxed);
        }
        let started = Instant::now();
        self.in_task.store(true, Ordering::Relaxed);
        let published = Published { slot: self, signal };
        self.task.store(std::ptr::from_ref(&task).cast_mut().cast(), Ordering::SeqCst);
        signal.publish();
        task.run(&self.next, 0);
        signal.wait(started.elapsed(), || {
            task.done.0.load(Ordering::Acquire) == chunks || self.panicked.load(Ordering::Acquire)
        });
        drop(published);
        assert!(!self.panicked.load(Ordering::Acquire), "a worker of the session panicked");
    }

    /// Worker `worker`, counted from 1: takes part in the published task, if there is one that has a place for it.
    pub fn take_part(&self, worker: usize) {
        let _looking = Looking::new(self);
        // SAFETY: the pointer is null, or that of a task in the frame of `TaskSlot::run`. That frame ends only after
        // `Published::drop`, which stores null and then waits until `looking` is 0. This thread counted itself in
        // `looking` before it loads the pointer. All four accesses are sequentially consistent, so either this load
        // returns null or `Published::drop` sees this thread looking, and waits.
        if let Some(task) = unsafe { self.task.load(Ordering::SeqCst).as_ref() }
            && worker < task.threads
        {
            task.run(&self.next, worker);
        }
    }
}

/// A worker may hold the pointer to the task until this is dropped.
struct Looking<'a>(&'a TaskSlot);

impl<'a> Looking<'a> {
    fn new(slot: &'a TaskSlot) -> Self {
        slot.looking.0.fetch_add(1, Ordering::SeqCst);
        Self(slot)
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked.store(true, Ordering::Release);
        }
        self.0.looking.0.fetch_sub(1, Ordering::Release);
    }
}

/// The task is published until this is dropped, also by a panic of the main thread. The drop waits until no worker
/// holds the pointer.
struct Published<'a> {
    slot: &'a TaskSlot,
    signal: &'a Signal,
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        let Self { slot, signal } = self;
        slot.in_task.store(false, Ordering::Relaxed);
        slot.task.store(std::ptr::null_mut(), Ordering::SeqCst);
        signal.wait(Duration::ZERO, || slot.looking.0.load(Ordering::SeqCst) == 0);
    }
}
