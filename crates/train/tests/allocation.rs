//! A warm training step allocates nothing: every allocation of this thread is counted; and with a second thread next to
//! nothing: those of both threads of the pool are.

mod common;

use common::{images, small};
use mnist_io::{Dataset, Sampling};
use optim::Rule;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tensor::Exec;
use tensor::isa::AnyIsa;
use tensor::threads::{has_workers, session};
use testkit::rng::Rng;
use train::{Config, Preset, Trainer};

/// The system's allocator, counting.
struct Counting;

thread_local! {
    /// Of this thread alone: the test harness allocates on its own, whenever it likes. A constant without a destructor,
    /// so that reaching it does not allocate.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Whether this thread is one of the pool whose allocations are counted together.
    static IN_POOL: Cell<bool> = const { Cell::new(false) };
}

/// Of all threads of the pool.
static OF_POOL: AtomicUsize = AtomicUsize::new(0);

fn count_one() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
    if IN_POOL.get() {
        OF_POOL.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is handed to `System` unchanged, which keeps the contract; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller's duties are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count_one();
        // SAFETY: the caller's duties are those of `System`, which made `at`.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are those of `System`, which made `at`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Allocations of each of `steps` steps after two, and of the loss after each; and those of making the trainer.
fn allocations(config: &Config, exec: Exec, data: &Dataset, steps: usize) -> (Vec<usize>, usize) {
    let mut trainer = None;
    let to_make = count(|| trainer = Some(Trainer::new(config.clone(), exec, data.clone()).unwrap()));
    let mut trainer = trainer.unwrap();
    let mut losses = [f64::NAN; 2];
    let mut step = |losses: &mut [f64; 2]| *losses = [trainer.step().unwrap(), trainer.loss_after().unwrap()];
    for _ in 0..2 {
        step(&mut losses);
    }
    let counts = (0..steps).map(|_| count(|| step(&mut losses))).collect();
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    (counts, to_make)
}

/// ReLU alone, batch normalisation, dropout and both, with every rule, in each preset.
fn every_config(from: &Config) -> Vec<(String, Config)> {
    let mut all = Vec::new();
    for preset in [Preset::Book, Preset::Torch] {
        for rule in Rule::ALL {
            for (batch_norm, dropout) in [(false, false), (true, false), (false, true), (true, true)] {
                let sampling = preset.sampling();
                let mut config =
                    Config { preset, rule, sampling, learning_rate: 0.01, weight_decay: 0.001, ..from.clone() };
                config.architecture.batch_norm = batch_norm.then(|| preset.batch_norm_form());
                config.architecture.dropout = dropout.then(|| (0.2, preset.dropout_form()));
                let name =
                    format!("{preset:?}, {}, batch norm {batch_norm}, dropout {dropout}, {sampling:?}", rule.name());
                all.push((name, config));
            }
        }
    }
    all
}

#[test]
fn a_warm_step_allocates_nothing_whatever_the_network_the_rule_and_the_batches() {
    let data = images(50, 1);
    let mut found = Vec::new();
    for isa in AnyIsa::available() {
        for (name, config) in every_config(&small(&[33, 20])) {
            // Six batches an epoch: a shuffled run shuffles again on the way.
            let (counts, to_make) = allocations(&config, Exec::with_isa(isa, 1), &data, 8);
            assert!(to_make > 10, "the counter counts: {to_make} allocations of a new trainer");
            if counts.iter().any(|&count| count != 0) {
                found.push(format!("{name} on {}: {counts:?}", isa.name()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// 200 images of 784 pixels, and a network for them.
fn of_the_chapters_size() -> (Config, Dataset) {
    let pixels: Vec<u8> = Rng::new(1).vec_f32(200 * 784).iter().map(|x| (127.0 + 127.0 * x) as u8).collect();
    let data = Dataset::new(pixels, (0..200).map(|i| (i % 10) as u8).collect(), 28, 28).unwrap();
    let mut config = Config { batch: 128, sampling: Sampling::Replacement, rule: Rule::ADAM, ..small(&[100, 100]) };
    config.learning_rate = 0.001;
    config.architecture.inputs = 784;
    (config, data)
}

#[test]
fn a_warm_step_of_the_chapters_size_allocates_nothing_also_where_its_products_are_packed_and_shared_out() {
    let (config, data) = of_the_chapters_size();
    // A pool of this one thread: four parts of every product, one after the other, where they are counted.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for threads in [1, 4] {
        let exec = Exec::new(threads).unwrap();
        let (counts, _) = pool.install(|| allocations(&config, exec, &data, 3));
        assert_eq!(counts, [0; 3], "{threads} threads");
    }
}

/// A step of a trainer in a session that a helper has joined before it begins, and whether one has: sessions that go
/// wrong, as on a busy machine, are followed by some without.
fn helped_step(exec: Exec, trainer: &mut Trainer) -> bool {
    session(exec, |_| {
        let begun = Instant::now();
        while !has_workers() && begun.elapsed() < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        let helped = has_workers();
        assert!(trainer.step().unwrap().is_finite());
        helped
    })
}

/// Not nothing at all: which kernels a helper takes part in is a matter of time, and what a thread packs and lists for
/// a product grows when it first meets one so large, also long after the first steps.
#[test]
fn a_step_that_a_second_thread_helps_in_allocates_nothing_but_for_what_a_thread_has_not_met_yet() {
    const STEPS: usize = 300;
    if std::thread::available_parallelism().map_or(1, usize::from) == 1 {
        println!("SKIPPED: a step with a helper: there is one core");
        return;
    }
    let (config, data) = of_the_chapters_size();
    let exec = Exec::new(2).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    pool.broadcast(|_| IN_POOL.set(true));
    let (to_make, counts, helped) = pool.install(|| {
        // The trainer's own sessions are inside another, and use its `Exec` as it is.
        let mut trainer = Trainer::new(config, exec.in_session(), data).unwrap();
        let to_make = OF_POOL.load(Ordering::Relaxed);
        for _ in 0..100 {
            helped_step(exec, &mut trainer);
        }
        let (mut counts, mut helped) = (vec![0; STEPS], 0);
        for count in &mut counts {
            let before = OF_POOL.load(Ordering::Relaxed);
            helped += usize::from(helped_step(exec, &mut trainer));
            *count = OF_POOL.load(Ordering::Relaxed) - before;
        }
        (to_make, counts, helped)
    });
    assert!(to_make > 10, "the counter counts: {to_make} allocations of a new trainer");
    if helped < STEPS / 10 {
        println!("SKIPPED: a step with a helper: the machine is too busy, {helped} of {STEPS} steps had one");
    }
    let allocating = counts.iter().filter(|&&count| count > 0).count();
    assert!(allocating <= STEPS / 20, "{allocating} of {STEPS} steps allocate, {helped} helped: {counts:?}");
}
