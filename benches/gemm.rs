//! The matrix product: the shapes of training, squares from 16 to 2048, odd ones; with `matrixmultiply` beside it, and
//! with `--features peers` also `faer` and `gemm` (that feature gives `matrixmultiply` threads: set
//! `MATMUL_NUM_THREADS=1`).
//!
//! Names are m×k×n; ᵀ marks a transposed operand. Each ISA is timed on one thread, the best one also on all cores (pin
//! the bench to one core, `taskset -c 0`, for one thread alone). `after 1 ms` is a call that comes after the program
//! has slept, as calls in a program do; there the threads of a pool are asleep too.

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use groundup_benches::{CurrentLimit, Engine, Flops, Peaks, Product, best, criterion, enter_pool, execs};
use std::time::{Duration, Instant};
use testkit::rng::Rng;
use testkit::shapes::{self, Shape};

struct Bench {
    peaks: Peaks,
    current: CurrentLimit,
    cores: usize,
}

impl Bench {
    fn time(&self, group: &mut BenchmarkGroup<'_, Flops>, product: &mut Product, engine: Engine, threads: usize) {
        self.current.set(match engine {
            Engine::Ours(exec) => self.peaks.of(exec),
            _ => self.peaks.best(threads),
        });
        product.multiply(engine);
        product.check(engine.name());
        let name = if threads > 1 { format!("{}, {threads} threads", engine.name()) } else { engine.name().to_owned() };
        group.bench_function(BenchmarkId::new(name, product.name()), |b| b.iter(|| product.multiply(engine)));
    }

    fn shapes(&self, c: &mut Criterion<Flops>, name: &str, list: &[Shape]) {
        let mut group = c.benchmark_group(name);
        for &shape in list {
            let mut product = Product::new(shape, &mut Rng::new(1));
            group.throughput(Throughput::Elements(shape.flops()));
            for exec in execs() {
                self.time(&mut group, &mut product, Engine::Ours(exec), 1);
            }
            for rival in Engine::rivals(1) {
                self.time(&mut group, &mut product, rival, 1);
            }
            if self.cores > 1 {
                self.time(&mut group, &mut product, Engine::Ours(best(self.cores)), self.cores);
            }
        }
        group.finish();
    }

    /// One thread and all cores, each call after a millisecond of sleep.
    fn after_idleness(&self, c: &mut Criterion<Flops>) {
        let mut group = c.benchmark_group("after 1 ms");
        for shape in shapes::CHAPTER.into_iter().chain(shapes::SQUARES) {
            let mut product = Product::new(shape, &mut Rng::new(1));
            group.throughput(Throughput::Elements(shape.flops()));
            for threads in [1, self.cores] {
                let exec = best(threads);
                self.current.set(self.peaks.of(exec));
                group.bench_function(BenchmarkId::new(format!("{threads} threads"), product.name()), |b| {
                    b.iter_custom(|calls| {
                        let mut busy = Duration::ZERO;
                        for _ in 0..calls.min(1000) {
                            std::thread::sleep(Duration::from_millis(1));
                            let start = Instant::now();
                            product.multiply(Engine::Ours(exec));
                            busy += start.elapsed();
                        }
                        busy.mul_f64(calls as f64 / calls.min(1000) as f64)
                    });
                });
            }
        }
        group.finish();
    }
}

fn main() {
    let (flops, current) = Flops::new();
    let mut c = criterion().with_measurement(flops);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 1 {
        enter_pool(cores);
    }
    let bench = Bench { peaks: Peaks::measure(), current, cores };
    bench.shapes(&mut c, "chapter", &shapes::CHAPTER);
    bench.shapes(&mut c, "squares", &shapes::SQUARES);
    bench.shapes(&mut c, "others", &shapes::OTHERS);
    if cores > 1 {
        bench.after_idleness(&mut c);
    }
    c.final_summary();
}
