//! Sessions with more workers than cores, which `threads::session` does not open: the threads are descheduled all the
//! time, and come and go in any order.

use super::{CURRENT, is_worker, open, with_current, with_deferred};
use crate::threads::constants::MAX_DEFERRED;
use crate::threads::parallel::parallel;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Waits until `workers` workers stand by, and returns whether they do.
fn wait_for(workers: usize) -> bool {
    let start = Instant::now();
    let here = || with_current(|session| session.is_some_and(|it| it.workers.load(Ordering::Relaxed) >= workers));
    while !here() && start.elapsed() < Duration::from_secs(60) {
        std::thread::yield_now();
    }
    here()
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of this size can be built")
}

#[test]
fn seven_workers_run_every_chunk_exactly_once_and_what_a_chunk_calls_is_not_shared_again() {
    pool(8).install(|| {
        for round in 0..30 {
            open(7, || {
                if round % 3 == 0 {
                    assert!(wait_for(7), "the workers do not come");
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
fn a_deferred_task_runs_once_also_when_there_are_more_of_them_than_slots() {
    fn nest(depth: usize, done: &AtomicUsize) -> usize {
        if depth == 0 {
            return 0;
        }
        let deferred = || {
            parallel(8, 3, &|_| {
                done.fetch_add(1, Ordering::Relaxed);
            });
            depth
        };
        let (below, own) = with_deferred(|| nest(depth - 1, done), deferred);
        below + own
    }
    for workers in [1, 3, 7] {
        pool(8).install(|| {
            for waits in [false, true, true] {
                let done = AtomicUsize::new(0);
                let sum = open(workers, || {
                    assert!(!waits || wait_for(workers), "the workers do not come");
                    nest(3 * MAX_DEFERRED, &done)
                });
                assert_eq!((sum, done.load(Ordering::Relaxed)), ((1..=3 * MAX_DEFERRED).sum(), 9 * MAX_DEFERRED));
            }
        });
    }
}

#[test]
fn a_panic_now_or_in_a_deferred_task_is_passed_on_and_the_other_ran_once_or_never() {
    pool(2).install(|| {
        for now_panics in [false, true] {
            for _ in 0..20 {
                let done = AtomicUsize::new(0);
                let result = catch_unwind(AssertUnwindSafe(|| {
                    open(1, || {
                        assert!(wait_for(1), "the worker does not come");
                        with_deferred(
                            || assert!(!now_panics, "now"),
                            || {
                                done.fetch_add(1, Ordering::Relaxed);
                                assert!(now_panics, "deferred");
                            },
                        )
                    })
                }));
                assert!(result.is_err(), "the panic was lost");
                assert!(done.load(Ordering::Relaxed) <= 1);
                assert!(CURRENT.get().is_null() && !is_worker(), "the session is still open");
            }
        }
    });
}
