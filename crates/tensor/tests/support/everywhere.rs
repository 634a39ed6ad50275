//! Every ISA, and every number of threads.

use crate::sessions::{can_have_workers, worker_came};
use tensor::Exec;
use tensor::isa::AnyIsa;
use tensor::threads::session;

/// Calls `check` on one thread of every ISA, and with 1, 2, 3 and 8 of the best one: in a pool, and in a session of it
/// whose workers have come. It is also told whether workers stand by.
pub fn everywhere(check: impl Fn(Exec, bool) + Sync) {
    for isa in AnyIsa::available() {
        check(Exec::with_isa(isa, 1), false);
    }
    let best = AnyIsa::available().last().expect("portable is always there");
    for threads in [1, 2, 3, 8] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("so many threads can be had");
        let exec = Exec::with_isa(best, threads);
        pool.install(|| {
            check(exec, false);
            session(exec, |exec| {
                let workers = threads > 1 && can_have_workers();
                assert!(!workers || worker_came(), "no worker came");
                check(exec, workers);
            });
        });
    }
}
