//! The matrix product on the shapes of training and on squares, with `matrixmultiply` beside it.
//!
//! Names are m×k×n; ᵀ marks a transposed operand. Throughput is in operations (a multiply-add counts as two), so criterion
//! prints Gelem/s for GFLOP/s. Largest shapes: `cargo bench --bench gemm -- 2048`.

use criterion::{BenchmarkId, Throughput, criterion_group, criterion_main};
use criterion::{Criterion, measurement::WallTime};
use groundup_benches::{criterion, execs, random};
use tensor::{Exec, Gemm, Tensor, View};
use testkit::compare::{Bound, assert_close};
use testkit::gemm as reference;
use testkit::rng::Rng;
use testkit::shapes::{self, Shape};

/// The operands of a shape: the tensors as they lie in memory.
struct Operands {
    shape: Shape,
    a: Tensor<f32, 2>,
    b: Tensor<f32, 2>,
    c: Tensor<f32, 2>,
}

impl Operands {
    fn new(shape: Shape, rng: &mut Rng) -> Self {
        let turned = |[rows, cols]: [usize; 2], turn: bool| if turn { [cols, rows] } else { [rows, cols] };
        let a = random(rng, turned([shape.m, shape.k], shape.a_transposed));
        let b = random(rng, turned([shape.k, shape.n], shape.b_transposed));
        Self { shape, a, b, c: Tensor::zeros([shape.m, shape.n]) }
    }

    fn views(&self) -> (View<'_, f32, 2>, View<'_, f32, 2>) {
        let (a, b) = (self.a.view(), self.b.view());
        (if self.shape.a_transposed { a.t() } else { a }, if self.shape.b_transposed { b.t() } else { b })
    }

    fn ours(&mut self, exec: Exec) {
        let mut c = std::mem::replace(&mut self.c, Tensor::zeros([0, 0]));
        let (a, b) = self.views();
        Gemm::new(a, b, c.view_mut()).run(exec).expect("the shapes go together");
        self.c = c;
    }

    /// The rival: `matrixmultiply`, built for one thread.
    fn rival(&mut self) {
        let Shape { m, k, n, .. } = self.shape;
        let (a, b) = self.views();
        let [[rsa, csa], [rsb, csb]] = [a.strides(), b.strides()].map(|strides| strides.map(usize::cast_signed));
        let (a, b) = (a.data().as_ptr(), b.data().as_ptr());
        let c = self.c.as_mut_slice().as_mut_ptr();
        // SAFETY: the views were checked to reach all their elements; C is m×n, row-major and its own.
        unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, rsa, csa, b, rsb, csb, 0.0, c, n.cast_signed(), 1) }
    }

    /// Holds C against the f64 reference, or, where that would take seconds, against Freivalds' test.
    fn check(&self, who: &str) {
        let Shape { m, k, n, .. } = self.shape;
        let (a, b) = self.views();
        let matrix = |view: View<'_, f32, 2>| view.to_tensor();
        let (a, b) = (matrix(a), matrix(b));
        let product = reference::Gemm::product(m, n, k, a.as_slice(), b.as_slice());
        if self.shape.flops() < 100_000_000 {
            let want = product.reference();
            assert_close(who, self.c.as_slice(), &want.values, Bound::PerElement(&want.bounds()));
        } else {
            testkit::freivalds::freivalds(&product, self.c.as_slice(), &mut Rng::new(9)).expect("C is A times B");
        }
    }
}

fn bench_shapes(c: &mut Criterion<WallTime>, group: &str, list: &[Shape]) {
    let mut rng = Rng::new(1);
    let mut group = c.benchmark_group(group);
    for &shape in list {
        let mark = |turned| if turned { "ᵀ" } else { "" };
        let (m, k, n) = (shape.m, shape.k, shape.n);
        let name = format!("{m}x{k}{}x{n}{}", mark(shape.a_transposed), mark(shape.b_transposed));
        let mut operands = Operands::new(shape, &mut rng);
        group.throughput(Throughput::Elements(shape.flops()));
        for exec in execs() {
            operands.ours(exec);
            operands.check(&name);
            group.bench_function(BenchmarkId::new(exec.isa().name(), &name), |b| b.iter(|| operands.ours(exec)));
        }
        operands.rival();
        operands.check(&name);
        group.bench_function(BenchmarkId::new("matrixmultiply", &name), |b| b.iter(|| operands.rival()));
    }
    group.finish();
}

fn benches(c: &mut Criterion<WallTime>) {
    bench_shapes(c, "chapter", &shapes::CHAPTER);
    bench_shapes(c, "large", &shapes::LARGE);
    bench_shapes(c, "odd", &shapes::ODD);
}

criterion_group! {
    name = group;
    config = criterion();
    targets = benches
}
criterion_main!(group);
