//! The ladder: each rung and the real thing on the same products, one thread. `cargo run --release -- ladder` draws it.

use criterion::{BenchmarkId, Criterion, Throughput};
use groundup_benches::{Flops, Peaks, best, criterion};
use tensor::gemm::ladder::{Operands, RUNGS};
use tensor::{Exec, Gemm, View, ViewMut};
use testkit::compare::{Bound, assert_close};
use testkit::gemm as reference;
use testkit::rng::Rng;

/// m, k, n: a first layer of the chapter's networks, and squares that fit L1, L2 and neither.
const SHAPES: [[usize; 3]; 4] = [[100, 784, 100], [64, 64, 64], [256, 256, 256], [768, 768, 768]];

fn benches(c: &mut Criterion<Flops>, exec: Exec) {
    let mut rng = Rng::new(1);
    let mut group = c.benchmark_group("ladder");
    for [m, k, n] in SHAPES {
        let (a, b) = (rng.vec_f32(m * k), rng.vec_f32(k * n));
        let mut out = vec![f32::NAN; m * n];
        let product = reference::Gemm::product(m, n, k, &a, &b);
        let want = product.reference();
        let check = |name: &str, got: &[f32]| {
            assert_close(name, got, &want.values, Bound::PerElement(&want.bounds()));
        };
        let name = format!("{m}x{k}x{n}");
        group.throughput(Throughput::Elements((2 * m * k * n) as u64));
        for rung in RUNGS.iter().filter(|rung| rung.name != "threads") {
            let run = |out: &mut [f32]| rung.run(exec, Operands { m, k, n, a: &a, b: &b, c: out });
            run(&mut out);
            check(rung.name, &out);
            group.bench_function(BenchmarkId::new(rung.name, &name), |b| b.iter(|| run(&mut out)));
        }
        let run = |out: &mut [f32]| {
            let view = |data, shape| View::new(data, shape).expect("the shape fits");
            let c = ViewMut::new(out, [m, n]).expect("the shape fits");
            Gemm::new(view(&a, [m, k]), view(&b, [k, n]), c).run(exec).expect("the shapes go together");
        };
        run(&mut out);
        check("gemm", &out);
        group.bench_function(BenchmarkId::new("gemm", &name), |b| b.iter(|| run(&mut out)));
    }
    group.finish();
}

fn main() {
    let exec = best(1);
    let (flops, peak) = Flops::new();
    peak.set(Peaks::measure().of(exec));
    let mut c = criterion().with_measurement(flops);
    benches(&mut c, exec);
    c.final_summary();
}
