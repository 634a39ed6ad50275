//! The one call by which a kernel is shared: in a session with its workers, else with the threads of the rayon pool.

use super::constants::ROUNDS_FOR_RAYON;
use super::session::{is_worker, with_current};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `work(0)`, …, `work(chunks − 1)`, each once, on at most `threads` threads.
///
/// The threads are those of the session that is open on this thread, else those of the rayon pool it is called in. With
/// one thread everything is done on this one, and rayon is not touched. A call inside of a chunk or of a deferred task
/// is not shared again.
pub(crate) fn parallel(threads: usize, chunks: usize, work: &(impl Fn(usize) + Sync)) {
    if threads <= 1 || chunks <= 1 || is_worker() {
        (0..chunks).for_each(work);
        return;
    }
    with_current(|session| match session {
        Some(session) => session.run_task(threads, chunks, work),
        None => on_rayon(threads.min(chunks), chunks, work),
    });
}

/// The chunks are claimed one by one, so that a thread that wakes late finds fewer left. What rayon gets is a tree of
/// `rayon::join`, whose jobs live on the stack; a `rayon::scope` would allocate.
fn on_rayon(threads: usize, chunks: usize, work: &(impl Fn(usize) + Sync)) {
    fn fork(threads: usize, work: &(impl Fn() + Sync)) {
        if threads <= 1 {
            work();
        } else {
            rayon::join(|| fork(threads / 2, work), || fork(threads - threads / 2, work));
        }
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    fork(threads, &|| {
        loop {
            let chunk = next.fetch_add(1, Ordering::Relaxed);
            if chunk >= chunks {
                break;
            }
            work(chunk);
            done.fetch_add(1, Ordering::Release);
        }
        for _ in 0..ROUNDS_FOR_RAYON {
            if done.load(Ordering::Acquire) == chunks {
                break;
            }
            std::hint::spin_loop();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_runs_exactly_once() {
        for threads in 0..9 {
            for chunks in 0..20 {
                let calls: Vec<AtomicUsize> = (0..chunks).map(|_| AtomicUsize::new(0)).collect();
                parallel(threads, chunks, &|chunk| {
                    calls[chunk].fetch_add(1, Ordering::Relaxed);
                });
                let once = calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1);
                assert!(once, "{threads} threads, {chunks} chunks");
            }
        }
    }
}
