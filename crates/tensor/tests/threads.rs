//! Sessions: what is computed in one has the bits it has outside, and whatever happens in it, the thread and the pool
//! are as before when it ends.

#[path = "support/isolation.rs"]
mod isolation;
#[path = "support/sessions.rs"]
mod sessions;

use isolation::{MINUTE, in_a_process, keep_busy, within_two_minutes};
use sessions::{can_have_workers, worker_came};
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tensor::Gemm;
use tensor::isa::AnyIsa;
use tensor::threads::{has_workers, session};
use tensor::vec::for_each_piece;
use tensor::{Exec, Tensor, View};
use testkit::compare::assert_bits;
use testkit::panics::message;
use testkit::rng::Rng;

/// Whether the machine has one core, where no session has workers. A test that needs workers is then skipped, and says
/// so.
fn has_one_core() -> bool {
    let one = !can_have_workers();
    if one {
        println!("SKIPPED: a session has no workers on one core");
    }
    one
}

/// The best ISA there is and `threads` threads.
fn exec(threads: usize) -> Exec {
    Exec::with_isa(AnyIsa::available().last().expect("portable is always there"), threads)
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of this size can be built")
}

/// A product of matrices that may lie transposed, and the bits it has on one thread.
struct Product {
    a: Tensor<f32, 2>,
    b: Tensor<f32, 2>,
    transposed: [bool; 2],
    want: Vec<f32>,
}

fn view(x: &Tensor<f32, 2>, transposed: bool) -> View<'_, f32, 2> {
    if transposed { x.view().t() } else { x.view() }
}

impl Product {
    fn new(rng: &mut Rng, [m, k, n]: [usize; 3], transposed: [bool; 2]) -> Self {
        let mut draw = |[rows, cols]: [usize; 2], transposed: bool| {
            let shape = if transposed { [cols, rows] } else { [rows, cols] };
            Tensor::from_slice(&rng.vec_f32(rows * cols), shape).expect("fits")
        };
        let (a, b) = (draw([m, k], transposed[0]), draw([k, n], transposed[1]));
        let product = Self { a, b, transposed, want: Vec::new() };
        Self { want: product.compute(exec(1)), ..product }
    }

    fn compute(&self, exec: Exec) -> Vec<f32> {
        let (a, b) = (view(&self.a, self.transposed[0]), view(&self.b, self.transposed[1]));
        let mut c = Tensor::<f32, 2>::zeros([a.rows(), b.cols()]);
        c.as_mut_slice().fill(f32::NAN);
        Gemm::new(a, b, c.view_mut()).run(exec).expect("the shapes go together");
        c.as_slice().to_vec()
    }

    fn check(&self, exec: Exec, place: &str) {
        let shape = [self.a.shape(), self.b.shape()];
        let name = format!("{shape:?}, transposed {:?}, {} threads {place}", self.transposed, exec.threads());
        assert_bits(&name, &self.compute(exec), &self.want);
    }
}

/// Products as a training step has them, of matrices of `size` rows and columns: in place, packed, and with
/// transposed columns.
fn small_products(size: usize) -> Vec<Product> {
    let mut rng = Rng::new(1);
    let layouts = [[false, false], [false, true], [true, false]];
    layouts.map(|transposed| Product::new(&mut rng, [size; 3], transposed)).into()
}

/// Products that are shared by rows and by columns, and one that is worth waking threads for.
fn large_products() -> Vec<Product> {
    let mut rng = Rng::new(2);
    let (plain, gradient) = ([false, false], [true, false]);
    vec![
        Product::new(&mut rng, [100, 784, 100], plain),
        Product::new(&mut rng, [784, 100, 100], gradient),
        Product::new(&mut rng, [7, 300, 400], plain),
        Product::new(&mut rng, [100, 100, 784], [false, true]),
        Product::new(&mut rng, [300, 300, 300], plain),
    ]
}

/// For a panic that is expected.
fn fails() {
    panic!("on purpose");
}

#[test]
fn a_product_has_the_same_bits_in_a_session_and_outside() {
    if has_one_core() {
        return;
    }
    let products: Vec<Product> = small_products(100).into_iter().chain(large_products()).collect();
    for threads in [2, 3, 8] {
        pool(threads).install(|| {
            session(exec(threads), |exec| {
                assert!(exec.is_in_session() && worker_came(), "no worker came");
                for _ in 0..5 {
                    products.iter().for_each(|product| product.check(exec, "in a session"));
                }
            });
            products.iter().for_each(|product| product.check(exec(threads), "after a session"));
        });
    }
}

#[test]
fn a_session_in_a_session_leaves_the_outer_one_open() {
    if has_one_core() {
        return;
    }
    let products = small_products(100);
    pool(3).install(|| {
        session(exec(3), |outer| {
            assert!(worker_came(), "no worker came");
            for threads in [1, 2, 3] {
                let inner = session(exec(threads), |given| {
                    assert!(!given.is_in_session(), "an inner session hands on what it was given");
                    assert!(has_workers(), "the workers of the outer session stand by");
                    products.iter().for_each(|product| product.check(outer, "in an inner session"));
                    threads
                });
                assert_eq!(inner, threads);
                assert!(has_workers(), "the outer session goes on");
                products.iter().for_each(|product| product.check(outer, "after an inner session"));
            }
        });
        assert!(!has_workers(), "the outer session has ended");
    });
}

#[test]
fn outside_of_a_pool_a_session_only_runs_its_closure() {
    let products = small_products(100);
    let here = thread::current().id();
    for threads in [1, 2, 8] {
        let mut runs = 0;
        let answer = session(exec(threads), |exec| {
            assert_eq!(thread::current().id(), here, "on the thread that opened it");
            assert!(!exec.is_in_session() && !has_workers(), "nobody is called");
            products.iter().for_each(|product| product.check(exec, "in a session outside of a pool"));
            runs += 1;
            "an answer"
        });
        assert_eq!((answer, runs), ("an answer", 1));
    }
}

#[test]
fn a_session_uses_no_more_threads_than_it_and_its_kernels_were_given() {
    if has_one_core() {
        return;
    }
    for (of_session, of_kernels) in [(2, 8), (8, 2), (3, 2), (3, 3)] {
        pool(8).install(|| {
            session(exec(of_session), |_| {
                assert!(worker_came(), "no worker came");
                let seen = Mutex::new(HashSet::new());
                let mut data = vec![0.0_f32; 1 << 18];
                for _ in 0..20 {
                    for_each_piece(exec(of_kernels).in_session(), [data.as_mut_slice()], &|_, _| {
                        seen.lock().expect("nobody panicked").insert(thread::current().id());
                        // Time for others to come.
                        thread::sleep(Duration::from_micros(50));
                    });
                }
                let seen = seen.into_inner().expect("nobody panicked").len();
                assert!(seen <= of_session.min(of_kernels), "{seen} threads of {of_session} and {of_kernels}");
            });
        });
    }
}

#[test]
fn a_panic_in_a_session_is_passed_on_and_the_thread_can_open_another() {
    if has_one_core() {
        return;
    }
    let products = small_products(100);
    for threads in [2, 3, 8] {
        pool(threads).install(|| {
            for waits in [false, true] {
                let said = message(|| {
                    session(exec(threads), |_| {
                        assert!(!waits || worker_came(), "no worker came");
                        fails();
                    });
                });
                assert_eq!(said, "on purpose");
                assert!(!has_workers(), "the session is closed");
            }
            session(exec(threads), |exec| {
                assert!(worker_came(), "no worker came");
                products.iter().for_each(|product| product.check(exec, "after a panic"));
            });
        });
    }
}

#[test]
fn a_panic_of_a_worker_is_passed_on_and_the_thread_can_open_another() {
    if has_one_core() {
        return;
    }
    let products = small_products(100);
    for threads in [2, 3, 8] {
        pool(threads).install(|| {
            let main = thread::current().id();
            let began = AtomicBool::new(false);
            let mut data = vec![0.0_f32; 1 << 20];
            let said = message(|| {
                session(exec(threads), |exec| {
                    assert!(worker_came(), "no worker came");
                    for_each_piece(exec, [data.as_mut_slice()], &|_, _| {
                        if thread::current().id() != main {
                            began.store(true, Ordering::Release);
                            fails();
                        }
                        let start = Instant::now();
                        while !began.load(Ordering::Acquire) {
                            assert!(start.elapsed() < MINUTE, "no worker took a piece");
                            thread::yield_now();
                        }
                    });
                });
            });
            assert!(said.contains("a worker of the session panicked"), "{said}");
            assert!(!has_workers(), "the session is closed");
            session(exec(threads), |exec| {
                assert!(worker_came(), "no worker came");
                products.iter().for_each(|product| product.check(exec, "after a worker's panic"));
            });
        });
    }
}

#[test]
fn ten_thousand_short_sessions_give_the_same_bits() {
    if has_one_core() {
        return;
    }
    // Threads of a session, and of its pool: as many, fewer, and more.
    const POOLS: [(usize, usize); 9] = [(2, 2), (2, 1), (2, 5), (3, 3), (3, 2), (3, 6), (8, 8), (8, 3), (8, 12)];
    // On a busy machine, backoff follows a session that stalls. The threads of a new pool are not in backoff.
    const NEW_POOLS: usize = 4;
    const SESSIONS: usize = 10_000_usize.div_ceil(POOLS.len() * NEW_POOLS);
    // Portable Rust may call the library for each multiply-add; these are enough to be shared.
    let size = if exec(1).isa().name() == "portable" { 50 } else { 100 };
    let products = small_products(size);
    for (threads, of_pool) in POOLS {
        for _ in 0..NEW_POOLS {
            pool(of_pool).install(|| {
                for at in 0..SESSIONS {
                    session(exec(threads), |exec| {
                        assert!(at > 0 || of_pool == 1 || worker_came(), "no worker came");
                        let place = "in a short session";
                        products.iter().for_each(|product| product.check(exec, place));
                    });
                }
            });
        }
    }
}

#[test]
fn a_session_of_a_pool_whose_other_threads_are_busy_ends_with_the_same_bits() {
    within_two_minutes(|| {
        let products: Vec<Product> = small_products(100).into_iter().chain(large_products()).collect();
        pool(3).install(|| {
            let busy = keep_busy(2);
            for _ in 0..20 {
                session(exec(3), |exec| {
                    products.iter().for_each(|product| product.check(exec, "with busy threads"));
                    assert!(!has_workers(), "all the others are busy");
                });
            }
            drop(busy);
            for _ in 0..20 {
                session(exec(3), |exec| products.iter().for_each(|product| product.check(exec, "after busy threads")));
            }
        });
    });
}

#[test]
fn a_session_to_which_no_worker_came_is_followed_by_sixteen_without_workers() {
    if has_one_core() {
        return;
    }
    pool(2).install(|| {
        let busy = keep_busy(1);
        session(exec(2), |_| assert!(!has_workers(), "the other is busy"));
        drop(busy);
        for at in 1..=16 {
            session(exec(2), |exec| {
                // Time enough for a worker to come.
                thread::sleep(Duration::from_millis(5));
                assert!(!exec.is_in_session() && !has_workers(), "session {at} after it");
            });
        }
        assert!(session(exec(2), |_| worker_came()), "after sixteen, workers are called again");
    });
}

#[test]
fn a_session_that_waits_for_another_pool_while_its_own_is_busy_ends() {
    in_a_process("a_session_that_waits_for_another_pool_while_its_own_is_busy_ends", || {
        let other = pool(1);
        pool(2).install(|| {
            let busy = keep_busy(1);
            // A thread that waits runs what is in its queue, and so the call for workers, if nobody has taken it.
            let answer = session(exec(2), |_| other.install(|| 42));
            drop(busy);
            assert_eq!(answer, 42);
        });
    });
}

#[test]
fn a_kernel_inside_of_a_shared_kernel_changes_nothing_of_either() {
    if has_one_core() {
        return;
    }
    in_a_process("a_kernel_inside_of_a_shared_kernel_changes_nothing_of_either", || {
        pool(2).install(|| {
            session(exec(2), |exec| {
                assert!(worker_came(), "no worker came");
                for round in 0..200 {
                    let mut outer = vec![0.0_f32; 1 << 17];
                    for_each_piece(exec, [outer.as_mut_slice()], &|_, [piece]| {
                        let mut inner = vec![0.0_f32; 1 << 16];
                        for_each_piece(exec, [inner.as_mut_slice()], &|range, [piece]| {
                            for (x, i) in piece.iter_mut().zip(range) {
                                *x += i as f32;
                            }
                        });
                        let once = inner.iter().enumerate().all(|(i, &x)| x == i as f32);
                        assert!(once, "round {round}: each element of the inner slice once");
                        for x in piece {
                            *x += 1.0;
                        }
                    });
                    assert!(outer.iter().all(|&x| x == 1.0), "round {round}: each element of the outer slice once");
                }
            });
        });
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_session_of_one_thread_starts_no_others() {
    in_a_process("a_session_of_one_thread_starts_no_others", || {
        let threads = || std::fs::read_dir("/proc/self/task").expect("this process has threads").count();
        let products = small_products(20);
        let before = threads();
        session(exec(1), |exec| products.iter().for_each(|product| product.check(exec, "on one thread")));
        assert_eq!(threads(), before, "threads of this process");
    });
}
