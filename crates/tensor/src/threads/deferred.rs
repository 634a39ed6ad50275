//! A deferred task: work off the critical path, which a worker may run while the main thread goes on.
//!
//! ```text
//! main thread:  publish ─▶ run `now` ─▶ withdraw ─┬─ not claimed: run it here
//!                 │                               └─ claimed:     wait until it is done
//! worker:         └──────▶ claim ─▶ run it ─▶ done
//! ```
//!
//! Publishing stores a pointer in a slot. Claiming and withdrawing both take the pointer out of the slot, in one atomic
//! operation, so exactly one of them succeeds. The deferred task lives in the main thread's frame, which does not end
//! before that is settled.

use super::constants::MAX_DEFERRED;
use super::signal::Signal;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::Duration;

/// The places of a session where deferred tasks are published.
pub(super) struct DeferredSlots([AtomicPtr<Deferred>; MAX_DEFERRED]);

/// A published task: its closure, behind a pointer that forgets the type.
struct Deferred {
    run: unsafe fn(*mut ()),
    closure: *mut (),
    done: AtomicBool,
}

impl DeferredSlots {
    pub fn new() -> Self {
        Self([const { AtomicPtr::new(std::ptr::null_mut()) }; MAX_DEFERRED])
    }

    /// Main thread: a free slot. It stays free, because nobody else publishes.
    pub fn free<'a>(&'a self, signal: &'a Signal) -> Option<FreeSlot<'a>> {
        let slot = self.0.iter().find(|slot| slot.load(Ordering::Relaxed).is_null())?;
        Some(FreeSlot { slot, signal })
    }

    /// Worker: runs one deferred task, if there is one to claim, and returns whether there was.
    pub fn run_one(&self) -> bool {
        self.0.iter().any(|slot| {
            // The load saves the swap, which takes the cache line away from the other threads.
            if slot.load(Ordering::Relaxed).is_null() {
                return false;
            }
            let task = slot.swap(std::ptr::null_mut(), Ordering::Acquire);
            // SAFETY: null, or a pointer that `FreeSlot::run` stored and that this thread alone has taken out of the
            // slot. Its frame waits in `Published::drop` until `done` is set, which is the last use of `task` here.
            if let Some(task) = unsafe { task.as_ref() } {
                // SAFETY: `run` was made for the type behind `closure`, in `FreeSlot::run`. Only the thread that has
                // claimed the task calls it, and the main thread leaves the closure alone until `done`.
                unsafe { (task.run)(task.closure) }
                task.done.store(true, Ordering::Release);
                return true;
            }
            false
        })
    }
}

/// A closure and, when it has run, its result.
struct Closure<F, R> {
    work: Option<F>,
    result: Option<std::thread::Result<R>>,
}

impl<F: FnOnce() -> R, R> Closure<F, R> {
    /// Runs the closure. A panic becomes its result.
    ///
    /// # Safety
    /// - `this` points to a `Closure<F, R>` that nobody else uses during the call.
    unsafe fn run(this: *mut ()) {
        // SAFETY: the caller's duty.
        let this = unsafe { &mut *this.cast::<Self>() };
        if let Some(work) = this.work.take() {
            this.result = Some(catch_unwind(AssertUnwindSafe(work)));
        }
    }

    /// [`Closure::run`] for the type of `_closure`, which has no name.
    fn runner(_closure: &Self) -> unsafe fn(*mut ()) {
        Self::run
    }
}

/// A slot in which nothing is published.
pub(super) struct FreeSlot<'a> {
    slot: &'a AtomicPtr<Deferred>,
    signal: &'a Signal,
}

impl FreeSlot<'_> {
    /// Main thread: publishes `deferred`, runs `now`, and then runs `deferred` itself if no worker has claimed it.
    pub fn run<A, B: Send>(self, now: impl FnOnce() -> A, deferred: impl FnOnce() -> B + Send) -> (A, B) {
        let Self { slot, signal } = self;
        let mut closure = Closure { work: Some(deferred), result: None };
        let now = {
            let run = Closure::runner(&closure);
            let mut task =
                Deferred { run, closure: std::ptr::from_mut(&mut closure).cast(), done: AtomicBool::new(false) };
            let task = std::ptr::from_mut(&mut task);
            slot.store(task, Ordering::Release);
            let _published = Published { slot, signal, task };
            signal.publish();
            now()
        };
        // It was withdrawn, or is done.
        let deferred = match (closure.work, closure.result) {
            (Some(work), _) => work(),
            (None, Some(Ok(result))) => result,
            (None, Some(Err(panic))) => resume_unwind(panic),
            (None, None) => unreachable!("a claimed task leaves a result or a panic"),
        };
        (now, deferred)
    }
}

/// The deferred task is published until this is dropped, also by a panic of `now`. The drop withdraws it, or waits
/// until the worker that claimed it is done.
struct Published<'a> {
    slot: &'a AtomicPtr<Deferred>,
    signal: &'a Signal,
    task: *mut Deferred,
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        let null = std::ptr::null_mut();
        if self.slot.compare_exchange(self.task, null, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: the task is in the block of `FreeSlot::run` that made this, and is dropped after it.
            let task = unsafe { &*self.task };
            self.signal.wait(Duration::ZERO, || task.done.load(Ordering::Acquire));
        }
    }
}
