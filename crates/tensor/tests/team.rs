//! Sessions: what is computed in one has the bits it has outside, and whatever happens in it, the thread and the pool
//! are as before when it ends.

#[path = "support/sessions.rs"]
mod sessions;

use sessions::{can_help, helped};
use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tensor::gemm::{Gemm, Workers};
use tensor::isa::AnyIsa;
use tensor::team::session;
use tensor::vec::for_each_piece;
use tensor::{Exec, Tensor, View};
use testkit::compare::assert_bits;
use testkit::panics::message;
use testkit::rng::Rng;

/// So long something that must happen is waited for, on a machine that may be busy.
const MINUTE: Duration = Duration::from_secs(60);

/// Whether there is one core alone, where no session has helpers: such a test is skipped, and says so.
fn is_alone() -> bool {
    let alone = !can_help();
    if alone {
        println!("SKIPPED: a session has no helpers on one core");
    }
    alone
}

/// So many threads of the best ISA there is.
fn exec(threads: usize) -> Exec {
    Exec::with_isa(AnyIsa::available().last().expect("portable is always there"), threads)
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("so many threads can be had")
}

/// A product of matrices that may lie transposed, and the bits it has on one thread.
struct Product {
    a: Tensor<f32, 2>,
    b: Tensor<f32, 2>,
    turned: [bool; 2],
    want: Vec<f32>,
}

fn view(x: &Tensor<f32, 2>, turned: bool) -> View<'_, f32, 2> {
    if turned { x.view().t() } else { x.view() }
}

impl Product {
    fn new(rng: &mut Rng, [m, k, n]: [usize; 3], turned: [bool; 2]) -> Self {
        let mut draw = |[rows, cols]: [usize; 2], turned: bool| {
            let shape = if turned { [cols, rows] } else { [rows, cols] };
            Tensor::from_slice(&rng.vec_f32(rows * cols), shape).expect("fits")
        };
        let (a, b) = (draw([m, k], turned[0]), draw([k, n], turned[1]));
        let product = Self { a, b, turned, want: Vec::new() };
        Self { want: product.compute(exec(1)), ..product }
    }

    fn compute(&self, exec: Exec) -> Vec<f32> {
        let (a, b) = (view(&self.a, self.turned[0]), view(&self.b, self.turned[1]));
        let mut c = Tensor::<f32, 2>::zeros([a.rows(), b.cols()]);
        c.as_mut_slice().fill(f32::NAN);
        Gemm::new(a, b, c.view_mut()).run(exec).expect("the shapes go together");
        c.as_slice().to_vec()
    }

    fn check(&self, exec: Exec, place: &str) {
        let shape = [self.a.shape(), self.b.shape()];
        let name = format!("{shape:?}, turned {:?}, {} threads {place}", self.turned, exec.threads());
        assert_bits(&name, &self.compute(exec), &self.want);
    }
}

/// Products as a training step has them, of matrices of `size` rows and columns: in place, packed, and with turned
/// columns.
fn small_products(size: usize) -> Vec<Product> {
    let mut rng = Rng::new(1);
    let layouts = [[false, false], [false, true], [true, false]];
    layouts.map(|turned| Product::new(&mut rng, [size; 3], turned)).into()
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

/// Keeps so many other threads of this pool busy, all that it has, until what it returns is dropped.
fn keep_busy(others: usize) -> Vec<mpsc::Sender<()>> {
    let (began, begun) = mpsc::channel();
    let ends = (0..others).map(|_| {
        let (end, ended) = mpsc::channel::<()>();
        let began = began.clone();
        rayon::spawn(move || {
            // Who waits for it may have given up.
            let _ = began.send(());
            // Nothing is ever sent: it ends when the other side is dropped.
            let _ = ended.recv();
        });
        end
    });
    let ends: Vec<_> = ends.collect();
    for _ in 0..others {
        begun.recv_timeout(MINUTE).expect("another thread takes it");
    }
    ends
}

/// Runs a test on a thread of its own, so that one that hangs fails.
fn within_two_minutes(test: impl FnOnce() + Send + 'static) {
    let (done, result) = mpsc::channel();
    let runs = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match result.recv_timeout(2 * MINUTE) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => runs.join().expect("its assertions hold"),
    }
}

/// Runs the test of that name, whose body this is, in a process of its own: because it counts all threads there are, or
/// would leave spinning ones behind if it failed.
fn alone(name: &str, body: impl FnOnce()) {
    const ALONE: &str = "TEAM_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        body();
        return;
    }
    let mut run = Command::new(std::env::current_exe().expect("this test has a path"));
    run.args(["--exact", name]).env(ALONE, "1").stdout(Stdio::piped());
    let mut child = run.spawn().expect("this test runs");
    let start = Instant::now();
    while child.try_wait().expect("a child can be asked").is_none() {
        if start.elapsed() > MINUTE {
            child.kill().expect("a child can be ended");
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("it has ended");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{} after {:?}: {text}", output.status, start.elapsed());
}

/// For a panic that is expected.
fn fails() {
    panic!("on purpose");
}

#[test]
fn a_product_has_the_same_bits_in_a_session_and_outside() {
    if is_alone() {
        return;
    }
    let products: Vec<Product> = small_products(100).into_iter().chain(large_products()).collect();
    for threads in [2, 3, 8] {
        pool(threads).install(|| {
            session(exec(threads), || {
                assert!(helped(), "no helper came");
                for _ in 0..5 {
                    products.iter().for_each(|product| product.check(exec(threads), "in a session"));
                }
            });
            products.iter().for_each(|product| product.check(exec(threads), "after a session"));
        });
    }
}

#[test]
fn a_session_in_a_session_leaves_the_outer_one_open() {
    if is_alone() {
        return;
    }
    let products = small_products(100);
    pool(3).install(|| {
        session(exec(3), || {
            assert!(helped(), "no helper came");
            for threads in [1, 2, 3] {
                let inner = session(exec(threads), || {
                    assert_eq!(Workers::now(), Workers::Helping, "the helpers of the outer session are there");
                    products.iter().for_each(|product| product.check(exec(3), "in an inner session"));
                    threads
                });
                assert_eq!(inner, threads);
                assert_eq!(Workers::now(), Workers::Helping, "the outer session goes on");
                products.iter().for_each(|product| product.check(exec(3), "after an inner session"));
            }
        });
        assert_ne!(Workers::now(), Workers::Helping, "the outer session has ended");
    });
}

#[test]
fn outside_of_a_pool_a_session_only_runs_its_closure() {
    let products = small_products(100);
    let here = thread::current().id();
    for threads in [1, 2, 8] {
        let mut runs = 0;
        let answer = session(exec(threads), || {
            assert_eq!(thread::current().id(), here, "on the thread that opened it");
            assert_ne!(Workers::now(), Workers::Helping, "nobody is called");
            products.iter().for_each(|product| product.check(exec(threads), "in a session outside of a pool"));
            runs += 1;
            "an answer"
        });
        assert_eq!((answer, runs), ("an answer", 1));
    }
}

#[test]
fn a_session_uses_no_more_threads_than_it_and_its_kernels_were_given() {
    if is_alone() {
        return;
    }
    for (of_session, of_kernels) in [(2, 8), (8, 2), (3, 2), (3, 3)] {
        pool(8).install(|| {
            session(exec(of_session), || {
                assert!(helped(), "no helper came");
                let seen = Mutex::new(HashSet::new());
                let mut data = vec![0.0_f32; 1 << 18];
                for _ in 0..20 {
                    for_each_piece(exec(of_kernels), [data.as_mut_slice()], &|_, _| {
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
    if is_alone() {
        return;
    }
    let products = small_products(100);
    for threads in [2, 3, 8] {
        pool(threads).install(|| {
            for waits in [false, true] {
                let said = message(|| {
                    session(exec(threads), || {
                        assert!(!waits || helped(), "no helper came");
                        fails();
                    });
                });
                assert_eq!(said, "on purpose");
                assert_ne!(Workers::now(), Workers::Helping, "the session is closed");
            }
            session(exec(threads), || {
                assert!(helped(), "no helper came");
                products.iter().for_each(|product| product.check(exec(threads), "after a panic"));
            });
        });
    }
}

#[test]
fn a_panic_of_a_helper_is_passed_on_and_the_thread_can_open_another() {
    if is_alone() {
        return;
    }
    let products = small_products(100);
    for threads in [2, 3, 8] {
        pool(threads).install(|| {
            let main = thread::current().id();
            let began = AtomicBool::new(false);
            let mut data = vec![0.0_f32; 1 << 20];
            let said = message(|| {
                session(exec(threads), || {
                    assert!(helped(), "no helper came");
                    for_each_piece(exec(threads), [data.as_mut_slice()], &|_, _| {
                        if thread::current().id() != main {
                            began.store(true, Ordering::Release);
                            fails();
                        }
                        let start = Instant::now();
                        while !began.load(Ordering::Acquire) {
                            assert!(start.elapsed() < MINUTE, "no helper took a piece");
                            thread::yield_now();
                        }
                    });
                });
            });
            assert!(said.contains("a helper of the team panicked"), "{said}");
            assert_ne!(Workers::now(), Workers::Helping, "the session is closed");
            session(exec(threads), || {
                assert!(helped(), "no helper came");
                products.iter().for_each(|product| product.check(exec(threads), "after a helper's panic"));
            });
        });
    }
}

#[test]
fn ten_thousand_short_sessions_give_the_same_bits() {
    if is_alone() {
        return;
    }
    // Threads of a session, and of its pool: as many, fewer, and more.
    const POOLS: [(usize, usize); 9] = [(2, 2), (2, 1), (2, 5), (3, 3), (3, 2), (3, 6), (8, 8), (8, 3), (8, 12)];
    // On a busy machine, sessions that stall are followed by some without helpers; a new pool does not know of them.
    const NEW_POOLS: usize = 4;
    const SESSIONS: usize = 10_000_usize.div_ceil(POOLS.len() * NEW_POOLS);
    // Portable Rust may call the library for each multiply-add; these are enough to be shared.
    let size = if exec(1).isa().name() == "portable" { 50 } else { 100 };
    let products = small_products(size);
    for (threads, of_pool) in POOLS {
        for _ in 0..NEW_POOLS {
            pool(of_pool).install(|| {
                for at in 0..SESSIONS {
                    session(exec(threads), || {
                        assert!(at > 0 || of_pool == 1 || helped(), "no helper came");
                        let place = "in a short session";
                        products.iter().for_each(|product| product.check(exec(threads), place));
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
                session(exec(3), || {
                    products.iter().for_each(|product| product.check(exec(3), "beside busy threads"));
                    assert_ne!(Workers::now(), Workers::Helping, "all the others are busy");
                });
            }
            drop(busy);
            for _ in 0..20 {
                session(exec(3), || products.iter().for_each(|product| product.check(exec(3), "after busy threads")));
            }
        });
    });
}

#[test]
fn a_session_to_which_nobody_came_is_followed_by_sixteen_without_helpers() {
    if is_alone() {
        return;
    }
    pool(2).install(|| {
        let busy = keep_busy(1);
        session(exec(2), || assert_ne!(Workers::now(), Workers::Helping, "the other is busy"));
        drop(busy);
        for at in 1..=16 {
            session(exec(2), || {
                // Time enough for a helper to come.
                thread::sleep(Duration::from_millis(5));
                assert_ne!(Workers::now(), Workers::Helping, "session {at} after it");
            });
        }
        assert!(session(exec(2), helped), "after sixteen, helpers are called again");
    });
}

#[test]
fn a_session_that_waits_for_another_pool_while_its_own_is_busy_ends() {
    alone("a_session_that_waits_for_another_pool_while_its_own_is_busy_ends", || {
        let other = pool(1);
        pool(2).install(|| {
            let busy = keep_busy(1);
            // A thread that waits does what stands in its queue: also the call for helpers, if nobody has taken it.
            let answer = session(exec(2), || other.install(|| 42));
            drop(busy);
            assert_eq!(answer, 42);
        });
    });
}

#[test]
fn a_kernel_inside_of_a_shared_kernel_changes_nothing_of_either() {
    if is_alone() {
        return;
    }
    alone("a_kernel_inside_of_a_shared_kernel_changes_nothing_of_either", || {
        pool(2).install(|| {
            session(exec(2), || {
                assert!(helped(), "no helper came");
                for round in 0..200 {
                    let mut outer = vec![0.0_f32; 1 << 17];
                    for_each_piece(exec(2), [outer.as_mut_slice()], &|_, [piece]| {
                        let mut inner = vec![0.0_f32; 1 << 16];
                        for_each_piece(exec(2), [inner.as_mut_slice()], &|range, [piece]| {
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
    alone("a_session_of_one_thread_starts_no_others", || {
        let threads = || std::fs::read_dir("/proc/self/task").expect("this process has threads").count();
        let products = small_products(20);
        let before = threads();
        session(exec(1), || products.iter().for_each(|product| product.check(exec(1), "on one thread")));
        assert_eq!(threads(), before, "threads of this process");
    });
}
