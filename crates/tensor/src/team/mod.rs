//! Threads that pay at ten microseconds: sharing a piece of work without allocating, and a team that stays awake for a
//! whole training step.
//!
//! A step of the chapter's network is some twenty kernels of 1 to 100 µs. Waking a sleeping thread for one costs its
//! caller 5 to 12 µs, and 25 to 40 µs pass until it is there, so a fork and a join a kernel would make the step slower.
//! In a [`session`] the other threads of the pool are called once and then stand by, spinning; a kernel is shared with
//! them in half a microsecond.
//!
//! ```text
//! session ──┬── main:    kernel, kernel, …  each: publish a job ─▶ take own chunks ─▶ take the others' ─▶ wait until all are done
//!           └── helper:  spin until a job is published ─▶ take own chunks ─▶ take the others' ─▶ spin …  until the session closes
//! ```
//!
//! 1. *Every thread has its own chunks, the same ones in every kernel.* Rows 0 to 63 of a batch stay in the cache of
//!    the thread that computed them in the layer before. Who has finished his own takes what others have not begun.
//! 2. *Nobody waits for a thread that is not there.* A helper that comes late, or never (its core is another
//!    program's), finds its chunks done. What cannot be helped is a helper that is taken off its core in the middle of
//!    a chunk: the others wait until it is back. A session in which that happened, or to which nobody came, is followed
//!    by some without helpers: 16 of them, then four times as many each time, up to 4096. So a run with a second thread
//!    on a busy machine loses a few milliseconds now and then, and not every step.
//! 3. *A kernel that nobody waits for is done beside the others* ([`beside`]): in the backward pass the main thread
//!    goes down the chain of dX, while a helper computes dW of the layers above and updates their weights. Those
//!    kernels are so small that sharing each of them between two cores gained little: the lines of the operands that
//!    change cores cost most of what the second core saves.
//! 4. *No bit depends on any of this*: chunks are disjoint, and each is computed as if alone.

mod chunk;
mod patience;

pub(crate) use chunk::{chunk, share, uneven};
use patience::Patience;

use crate::exec::Exec;
use crate::profile;
use std::cell::Cell;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What the other threads of the pool are doing, as far as this thread can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// Nothing was shared out for some microseconds, or this thread is in no pool: they sleep. Waking one cost the
    /// caller 12 µs where this was measured, and 25 to 40 µs passed before it was there; after a millisecond often more
    /// than another one.
    Asleep,
    /// This thread has just finished a product: it is in the middle of a run of them, and the others spin, or are worth
    /// waking.
    Awake,
    /// This thread is in a [`session`], and helpers stand by.
    Helping,
}

/// How long a thread without work spins before it sleeps: 7 µs of rayon's where this was measured.
const SPIN: Duration = Duration::from_micros(6);

thread_local! {
    /// When this thread last finished a product that it was allowed to share.
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    /// The team of the session this thread has opened.
    static TEAM: Cell<*const Team> = const { Cell::new(std::ptr::null()) };
    /// This thread helps in another's session: what it calls is done on this thread alone.
    static HELPING: Cell<bool> = const { Cell::new(false) };
}

impl Workers {
    /// Asks about the workers of the pool this is called in.
    pub fn now() -> Self {
        if helped_team().is_some() {
            return Self::Helping;
        }
        let recent = LAST.get().is_some_and(|last| last.elapsed() < SPIN);
        if recent && rayon::current_thread_index().is_some() { Self::Awake } else { Self::Asleep }
    }
}

/// Notes the end of a product.
pub(crate) fn finished() {
    LAST.set(Some(Instant::now()));
}

/// Most threads of a session.
const MOST: usize = 64;

/// A counter on a cache line of its own.
#[derive(Default)]
#[repr(align(64))]
struct Counter(AtomicUsize);

/// What the threads of a session share.
struct Team {
    /// The number of jobs and offers published so far: what helpers look at while they wait.
    news: Counter,
    /// The job there is, or null.
    job: AtomicPtr<Job<'static>>,
    /// Work that may be done beside the main thread's; who takes a pointer out does it.
    offers: [AtomicPtr<Offer>; OFFERS],
    /// Helpers that may be looking at the job.
    active: Counter,
    /// Helpers that have come.
    present: AtomicUsize,
    closed: AtomicBool,
    /// A helper panicked.
    broken: AtomicBool,
    /// The main thread waited for long.
    stalled: Cell<bool>,
    /// The main thread is sharing a job; what is called in it does not share again.
    sharing: Cell<bool>,
    /// The next chunk of each thread's own.
    next: [Counter; MOST],
}

// SAFETY: the cells are the main thread's; everything else is atomic.
unsafe impl Sync for Team {}

/// A piece of work in chunks.
struct Job<'a> {
    work: &'a (dyn Fn(usize) + Sync),
    chunks: usize,
    threads: usize,
    done: Counter,
}

impl Job<'_> {
    /// The chunks of thread `thread`.
    fn own(&self, thread: usize) -> Range<usize> {
        let at = |thread: usize| self.chunks * thread / self.threads;
        at(thread)..at(thread + 1)
    }

    /// Does chunks until none is left: first those of `thread`, then the others'.
    fn work(&self, team: &Team, thread: usize) {
        for turn in 0..self.threads {
            let owner = (thread + turn) % self.threads;
            let end = self.own(owner).end;
            while team.next[owner].0.load(Ordering::Relaxed) < end {
                let chunk = team.next[owner].0.fetch_add(1, Ordering::Relaxed);
                if chunk < end {
                    (self.work)(chunk);
                    self.done.0.fetch_add(1, Ordering::Release);
                }
            }
        }
    }
}

/// The team of the session this thread is the main thread of.
fn team() -> Option<&'static Team> {
    // SAFETY: `session` sets the pointer while its team lives, and resets it before; the reference is used only within
    // calls made in the session.
    unsafe { TEAM.get().as_ref() }
}

/// That team, if a helper has come.
fn helped_team() -> Option<&'static Team> {
    team().filter(|team| team.present.load(Ordering::Relaxed) > 0)
}

/// Runs `f` with the other threads of the pool standing by: kernels called in it with an [`Exec`] of several threads
/// are shared with up to `exec.threads() − 1` of them. Outside of a pool, with one thread, inside another session, or
/// after one that went wrong, it only runs `f`.
///
/// The helpers spin as long as `f` runs: open a session around some hundred microseconds of kernels, such as a training
/// step.
pub fn session<R: Send>(exec: Exec, f: impl FnOnce() -> R + Send) -> R {
    // In this order: to ask rayon for its threads outside of a pool would start one.
    let inside = team().is_some() || HELPING.get();
    if exec.threads() == 1 || inside || rayon::current_thread_index().is_none() || Patience::is_out() {
        return f();
    }
    // More threads than cores would take each other's.
    let helpers = exec.threads().min(MOST).min(rayon::current_num_threads()).min(cores()).saturating_sub(1);
    if helpers == 0 { f() } else { open(helpers, f) }
}

/// A session with up to so many helpers, on a thread of a pool that is in none.
fn open<R: Send>(helpers: usize, f: impl FnOnce() -> R + Send) -> R {
    let team = Team {
        news: Counter::default(),
        offers: [const { AtomicPtr::new(std::ptr::null_mut()) }; OFFERS],
        job: AtomicPtr::default(),
        active: Counter::default(),
        present: AtomicUsize::new(0),
        closed: AtomicBool::new(false),
        broken: AtomicBool::new(false),
        stalled: Cell::new(false),
        sharing: Cell::new(false),
        next: [const { Counter(AtomicUsize::new(0)) }; MOST],
    };
    let shared = &team;
    let (result, came, closed_at) = rayon::join(
        move || {
            let _open = Open::new(shared);
            let result = f();
            (result, shared.present.load(Ordering::Relaxed) > 0, Instant::now())
        },
        || stand_by(shared, helpers),
    )
    .0;
    Patience::note(came && !team.stalled.get() && closed_at.elapsed() < STALL);
    result
}

/// The cores this program may use, asked for once.
fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// Most offers at a time: one a layer. What is offered beyond them is done at once.
const OFFERS: usize = 32;

/// Work that another thread may do.
struct Offer {
    run: unsafe fn(*mut ()),
    data: *mut (),
    done: AtomicBool,
}

impl Offer {
    /// Does the work of an offer that was taken out of its place; of a null pointer, nothing.
    ///
    /// # Safety
    /// - `offer` is null, or lives until its work is done, and nobody else does it.
    unsafe fn accept(offer: *mut Self) {
        // SAFETY: as promised. The main thread drops it only when it sees `done`, so it is not used after that.
        if let Some(offer) = unsafe { offer.as_ref() } {
            // SAFETY: `run` was made for `data`, in `beside`.
            unsafe { (offer.run)(offer.data) }
            offer.done.store(true, Ordering::Release);
        }
    }
}

/// Work offered to the helpers, and its result.
struct Offered<F, R> {
    work: Option<F>,
    result: Option<std::thread::Result<R>>,
}

impl<F: FnOnce() -> R, R> Offered<F, R> {
    /// # Safety
    /// - `this` points to an `Offered<F, R>` that nobody else uses meanwhile.
    unsafe fn run(this: *mut ()) {
        // SAFETY: as promised.
        let this = unsafe { &mut *this.cast::<Self>() };
        if let Some(work) = this.work.take() {
            this.result = Some(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)));
        }
    }
}

/// Takes an offer back, or waits until it is done, before it goes.
struct Standing<'a> {
    team: &'a Team,
    place: &'a AtomicPtr<Offer>,
    offer: *mut Offer,
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let none = std::ptr::null_mut();
        if self.place.compare_exchange(self.offer, none, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // SAFETY: it stands in the frame of `beside` that made this, too.
            let offer = unsafe { &*self.offer };
            self.team.wait(STALL, || offer.done.load(Ordering::Acquire));
        }
    }
}

/// The team that work can be offered to; while kernels are being timed, none.
fn offers_to() -> Option<&'static Team> {
    helped_team().filter(|_| !profile::is_active())
}

/// Whether work can be offered to a helper here and now: in a [`session`] to which one has come.
pub fn is_helped() -> bool {
    offers_to().is_some()
}

/// Runs `now`, and `later` beside it on a helper of the [`session`], or after it on this thread if no helper has taken
/// it by then. Without helpers `later` is run first, while what it uses is in the cache.
pub fn beside<A, B: Send>(now: impl FnOnce() -> A, later: impl FnOnce() -> B + Send) -> (A, B) {
    let place = offers_to()
        .and_then(|team| Some((team, team.offers.iter().find(|place| place.load(Ordering::Relaxed).is_null())?)));
    let Some((team, place)) = place else {
        let later = later();
        return (now(), later);
    };
    let mut offered = Offered { work: Some(later), result: None };
    let now = {
        fn runner<F: FnOnce() -> R, R>(_: &Offered<F, R>) -> unsafe fn(*mut ()) {
            Offered::<F, R>::run
        }
        let run = runner(&offered);
        let mut offer = Offer { run, data: std::ptr::from_mut(&mut offered).cast(), done: AtomicBool::new(false) };
        let offer = std::ptr::from_mut(&mut offer);
        place.store(offer, Ordering::Release);
        let _standing = Standing { team, place, offer };
        team.news.0.fetch_add(1, Ordering::Release);
        now()
    };
    // It was taken back undone, or is done.
    let later = match (offered.work, offered.result) {
        (Some(work), _) => work(),
        (None, Some(Ok(result))) => result,
        (None, Some(Err(panic))) => std::panic::resume_unwind(panic),
        (None, None) => unreachable!("work that was taken is done, one way or the other"),
    };
    (now, later)
}

/// The session is open on this thread until this is dropped.
struct Open<'a>(&'a Team);

impl<'a> Open<'a> {
    fn new(team: &'a Team) -> Self {
        TEAM.set(team);
        Self(team)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        TEAM.set(std::ptr::null());
        self.0.closed.store(true, Ordering::Release);
    }
}

/// Makes helpers of `helpers` threads, or of fewer where the pool's are busy. Who comes after the session was closed
/// leaves at once.
fn stand_by(team: &Team, helpers: usize) {
    if helpers > 1 {
        rayon::join(|| stand_by(team, 1), || stand_by(team, helpers - 1));
    } else {
        help(team);
    }
}

/// Rounds that a helper spins before it offers its core to others: some 200 µs, longer than the main thread is on its
/// own in a step.
const IDLE: u32 = 5000;

/// This thread helps until this is dropped.
struct Helping;

impl Helping {
    fn new() -> Self {
        HELPING.set(true);
        Self
    }
}

impl Drop for Helping {
    fn drop(&mut self) {
        HELPING.set(false);
    }
}

/// Helps until the session closes.
fn help(team: &Team) {
    // A thread that is in a session, or helps in one, may wait for rayon, and be handed a call for help: its own, or
    // another's. To stand by would be to wait for who waits for it.
    if !TEAM.get().is_null() || HELPING.get() {
        return;
    }
    let _helping = Helping::new();
    // Numbers as they come: the threads of a job are the first of them.
    let thread = 1 + team.present.fetch_add(1, Ordering::Relaxed);
    let mut seen = team.news.0.load(Ordering::Relaxed);
    let mut idle = 0_u32;
    while !team.closed.load(Ordering::Acquire) {
        let published = team.news.0.load(Ordering::Acquire);
        if published == seen {
            std::hint::spin_loop();
            idle = idle.wrapping_add(1);
            if idle.is_multiple_of(IDLE) {
                // Perhaps it is the main thread's core that this one spins on.
                std::thread::yield_now();
            }
            continue;
        }
        seen = published;
        // What is offered goes before a share of the job, which the main thread does if nobody else does.
        while team.accept_one() {}
        let _looking = Looking::new(team);
        // SAFETY: the main thread takes the pointer away and then waits until nobody is looking before the job's end;
        // it is not null, and this thread was looking before it read it, so the job lives. (Both orders are
        // sequentially consistent: either this thread sees the null, or the main thread sees it looking.)
        if let Some(job) = unsafe { team.job.load(Ordering::SeqCst).as_ref() }
            && thread < job.threads
        {
            job.work(team, thread);
        }
    }
}

/// A helper is looking at the job until this is dropped.
struct Looking<'a>(&'a Team);

impl<'a> Looking<'a> {
    fn new(team: &'a Team) -> Self {
        team.active.0.fetch_add(1, Ordering::SeqCst);
        Self(team)
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.store(true, Ordering::Release);
        }
        self.0.active.0.fetch_sub(1, Ordering::Release);
    }
}

/// The job is published until this is dropped, which waits until no helper is looking.
struct Published<'a>(&'a Team);

impl Drop for Published<'_> {
    fn drop(&mut self) {
        self.0.sharing.set(false);
        self.0.job.store(std::ptr::null_mut(), Ordering::SeqCst);
        self.0.wait(STALL, || self.0.active.0.load(Ordering::SeqCst) == 0);
    }
}

impl Team {
    /// Does the work of an offer, if there is one that nobody else does.
    fn accept_one(&self) -> bool {
        self.offers.iter().any(|place| {
            if place.load(Ordering::Relaxed).is_null() {
                return false;
            }
            let offer = place.swap(std::ptr::null_mut(), Ordering::Acquire);
            // SAFETY: whoever takes a pointer out of an offer's place does it, once; the main thread keeps it until it
            // is done.
            unsafe { Offer::accept(offer) }
            !offer.is_null()
        })
    }

    /// Shares a job with the helpers, and returns when it is done.
    fn share(&self, job: &Job<'_>) {
        for thread in 0..job.threads {
            self.next[thread].0.store(job.own(thread).start, Ordering::Relaxed);
        }
        let started = Instant::now();
        self.sharing.set(true);
        let published = Published(self);
        self.job.store(std::ptr::from_ref(job).cast_mut().cast(), Ordering::SeqCst);
        self.news.0.fetch_add(1, Ordering::Release);
        job.work(self, 0);
        // A helper's chunk may be as long as all of this thread's.
        let patience = STALL + started.elapsed();
        self.wait(patience, || job.done.0.load(Ordering::Acquire) == job.chunks || self.broken.load(Ordering::Acquire));
        drop(published);
        assert!(!self.broken.load(Ordering::Acquire), "a helper of the team panicked");
    }

    /// Spins until `done`, and notes if that took longer than `patience`.
    fn wait(&self, patience: Duration, done: impl Fn() -> bool) {
        let mut rounds = 0_u32;
        let mut since = None;
        while !done() {
            std::hint::spin_loop();
            rounds = rounds.wrapping_add(1);
            if rounds.is_multiple_of(256) {
                // Some 10 µs; a clock that is read every round would be slower than the rounds.
                let since: &mut Instant = since.get_or_insert_with(Instant::now);
                if since.elapsed() > patience {
                    self.stalled.set(true);
                    std::thread::yield_now();
                }
            }
        }
    }
}

/// So long nobody waits for a helper that has its core, beyond what the helper's share takes: work that is offered
/// takes less.
const STALL: Duration = Duration::from_micros(500);

/// Calls `work(0)`, …, `work(chunks − 1)`, each once, on at most `threads` threads: of the [`session`] there is, else
/// of the rayon pool this is called in; with one thread on this one, without touching rayon.
///
/// The chunks are claimed one by one, so a thread that comes late finds fewer left. What is handed to rayon is a tree
/// of `rayon::join`, whose jobs live on the stack: a `scope` would allocate.
pub(crate) fn parallel(threads: usize, chunks: usize, work: &(impl Fn(usize) + Sync)) {
    fn fan(threads: usize, work: &(impl Fn() + Sync)) {
        if threads <= 1 {
            work();
        } else {
            rayon::join(|| fan(threads / 2, work), || fan(threads - threads / 2, work));
        }
    }
    if threads <= 1 || chunks <= 1 || HELPING.get() {
        (0..chunks).for_each(work);
        return;
    }
    if let Some(team) = team() {
        let threads = threads.min(team.present.load(Ordering::Relaxed) + 1).min(MOST);
        if threads == 1 || team.sharing.get() {
            (0..chunks).for_each(work);
        } else {
            team.share(&Job { work, chunks, threads, done: Counter::default() });
        }
        return;
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    fan(threads.min(chunks), &|| {
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks {
                break;
            }
            work(chunk);
            done.fetch_add(1, Ordering::Release);
        }
        for _ in 0..WAIT {
            if done.load(Ordering::Acquire) == chunks {
                break;
            }
            std::hint::spin_loop();
        }
    });
}

/// Rounds that a thread spins for the chunks of the others, 50 to 100 µs. Left to rayon, it would sleep after seven,
/// and 25 more would pass until it is woken for the end of this product or the start of the next.
const WAIT: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until so many helpers stand by, and says whether they do.
    fn wait_for(helpers: usize) -> bool {
        let start = Instant::now();
        let here = || team().is_some_and(|team| team.present.load(Ordering::Relaxed) >= helpers);
        while !here() && start.elapsed() < Duration::from_secs(60) {
            std::thread::yield_now();
        }
        here()
    }

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("so many threads can be had")
    }

    /// More helpers than cores: they come and go in any order.
    #[test]
    fn seven_helpers_do_every_chunk_exactly_once_and_what_they_call_is_not_shared_again() {
        pool(8).install(|| {
            for round in 0..30 {
                open(7, || {
                    if round % 3 == 0 {
                        assert!(wait_for(7), "the helpers do not come");
                    }
                    for chunks in [1, 2, 7, 8, 9, 100] {
                        let calls: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                        let inner = AtomicUsize::new(0);
                        parallel(8, chunks, &|chunk| {
                            calls[chunk].fetch_add(1, Ordering::Relaxed);
                            parallel(4, 5, &|_| {
                                inner.fetch_add(1, Ordering::Relaxed);
                            });
                        });
                        assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1), "{chunks} chunks");
                        assert_eq!(inner.load(Ordering::Relaxed), 5 * chunks);
                    }
                });
            }
        });
    }

    #[test]
    fn what_is_offered_is_done_once_also_when_there_are_more_offers_than_places() {
        fn nest(depth: usize, done: &AtomicUsize) -> usize {
            if depth == 0 {
                return 0;
            }
            let later = || {
                parallel(8, 3, &|_| {
                    done.fetch_add(1, Ordering::Relaxed);
                });
                depth
            };
            let (below, own) = beside(|| nest(depth - 1, done), later);
            below + own
        }
        for helpers in [1, 3, 7] {
            pool(8).install(|| {
                for helped in [false, true, true] {
                    let done = AtomicUsize::new(0);
                    let sum = open(helpers, || {
                        assert!(!helped || wait_for(helpers), "the helpers do not come");
                        nest(3 * OFFERS, &done)
                    });
                    assert_eq!((sum, done.load(Ordering::Relaxed)), ((1..=3 * OFFERS).sum(), 9 * OFFERS));
                }
            });
        }
    }

    #[test]
    fn a_panic_beside_or_now_is_passed_on_and_the_other_is_done_or_never_begun() {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        pool(2).install(|| {
            for now_panics in [false, true] {
                for _ in 0..20 {
                    let done = AtomicUsize::new(0);
                    let result = catch_unwind(AssertUnwindSafe(|| {
                        open(1, || {
                            assert!(wait_for(1), "the helper does not come");
                            beside(
                                || assert!(!now_panics, "now"),
                                || {
                                    done.fetch_add(1, Ordering::Relaxed);
                                    assert!(now_panics, "later");
                                },
                            )
                        })
                    }));
                    assert!(result.is_err(), "the panic was lost");
                    assert!(done.load(Ordering::Relaxed) <= 1);
                    assert!(TEAM.get().is_null() && !HELPING.get(), "the session is still open");
                }
            }
        });
    }

    #[test]
    fn every_chunk_runs_exactly_once() {
        for threads in 0..9 {
            for chunks in 0..20 {
                let calls: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                parallel(threads, chunks, &|chunk| {
                    calls[chunk].fetch_add(1, Ordering::Relaxed);
                });
                assert!(
                    calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1),
                    "{threads} threads, {chunks} chunks"
                );
            }
        }
    }
}
