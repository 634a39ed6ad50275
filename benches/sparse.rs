//! Products that skip the zeros of A, beside the same products with every step done, from one element in ten that is not
//! 0 to all of them: what the densities of `tensor/src/sparse/kernels.rs` are read from.
//!
//! The rate counts all steps, also those that are skipped. So the lines of one shape cross where skipping no longer pays.

use criterion::Criterion;
use criterion::{BenchmarkId, Throughput, criterion_group, criterion_main};
use groundup_benches::{criterion, execs};
use tensor::matmul::{Lhs, Zeros};
use tensor::vec::ByteRows;
use tensor::{Gemm, Tensor, View};
use testkit::rng::Rng;

const DENSITIES: [f64; 6] = [0.1, 0.2, 0.4, 0.6, 0.8, 1.0];

/// Times A·B for an A of bytes and of floats, and the transpose of each.
fn shape(
    c: &mut Criterion,
    name: &str,
    [m, k, n]: [usize; 3],
    a_of: impl for<'a> Fn(&'a [u8], &'a [f32], &'a [usize]) -> Lhs<'a>,
) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements((2 * m * k * n) as u64));
    for density in DENSITIES {
        let mut rng = Rng::new(1);
        let bytes: Vec<u8> =
            (0..m * k).map(|_| if rng.unit() < density { rng.usize_in(1..256) as u8 } else { 0 }).collect();
        let floats: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect();
        let (b, indices) = (rng.vec_normal(k * n), (0..m.max(k)).collect::<Vec<_>>());
        let (a, b) = (a_of(&bytes, &floats, &indices), View::new(&b, [k, n]).expect("fits"));
        for exec in execs() {
            let [mut skipped, mut full] = [(); 2].map(|()| Tensor::zeros([m, n]));
            let multiply = |zeros, c: &mut Tensor<f32, 2>| Gemm::new(a, b, c.view_mut()).zeros(zeros).run(exec);
            // Checked before it is timed: the bits are the same.
            multiply(Zeros::Ask, &mut skipped).expect("the shapes fit");
            multiply(Zeros::Never, &mut full).expect("the shapes fit");
            assert_eq!(skipped, full, "{name} at density {density} on {}", exec.isa().name());
            for (zeros, c) in [(Zeros::Ask, &mut skipped), (Zeros::Never, &mut full)] {
                let name = format!("{zeros:?}, {}", exec.isa().name());
                group.bench_function(BenchmarkId::new(name, density), |bench| bench.iter(|| multiply(zeros, c)));
            }
        }
    }
    group.finish();
}

fn benches(c: &mut Criterion) {
    shape(c, "Y of bytes 128x784x100", [128, 784, 100], |bytes, _, rows| {
        ByteRows::new(bytes, 784, &rows[..128]).into()
    });
    shape(c, "dW of bytes 784x128x100", [784, 128, 100], |bytes, _, rows| {
        Lhs::from(ByteRows::new(bytes, 784, &rows[..128])).t()
    });
    shape(c, "Y of floats 128x100x100", [128, 100, 100], |_, a, _| View::new(a, [128, 100]).expect("fits").into());
    shape(c, "dW of floats 100x128x100", [100, 128, 100], |_, a, _| View::new(a, [128, 100]).expect("fits").t().into());
}

criterion_group! {
    name = group;
    config = criterion();
    targets = benches
}
criterion_main!(group);
