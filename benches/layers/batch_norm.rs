//! Batch normalisation, forward and backward. Throughput is in bytes that must move: X and Y forward; X, dY and dX
//! backward; whatever a kernel reads again costs it time, not bytes.

use super::Limits;
use criterion::{BenchmarkId, Criterion, Throughput};
use groundup_benches::{Flops, check, execs, random, widen};
use layers::{BatchNorm, BatchNormForm, Layer, Pass};
use tensor::Tensor;
use testkit::batch_norm as reference;
use testkit::preset::Preset;
use testkit::rng::Rng;

/// Batch and features: L1, L2, and far beyond the caches.
const SIZES: [[usize; 2]; 3] = [[100, 100], [512, 1024], [8192, 4096]];

pub fn benches(c: &mut Criterion<Flops>, limits: &Limits) {
    let mut rng = Rng::new(1);
    let mut group = c.benchmark_group("batch_norm");
    for [batch, features] in SIZES {
        let (x, dy) = (random(&mut rng, [batch, features]), random(&mut rng, [batch, features]));
        let (mut y, mut dx) = (Tensor::zeros([batch, features]), Tensor::zeros([batch, features]));
        let bytes = (batch * features * size_of::<f32>()) as u64;
        // The largest is checked on its first columns: each column stands for itself.
        let some = features.min(1 << 20 >> batch.ilog2());
        let cut = |tensor: &Tensor<f32, 2>| {
            tensor.view().slice(1, 0..some).map(tensor::View::to_tensor).expect("the columns are there")
        };
        let judge = reference::BatchNorm { preset: Preset::Book, batch, features: some };
        let running = reference::Running::start(Preset::Book, some);
        let (ones, zeros) = (vec![1.0; some], vec![0.0; some]);
        let want = judge.forward(&widen(&cut(&x)), &ones, &zeros, &running).y;
        let want_dx = judge.backward(&widen(&cut(&x)), &ones, &widen(&cut(&dy))).dx;
        for exec in execs() {
            let mut layer = BatchNorm::new(features, BatchNormForm::Book);
            let pass = Pass::Training { step: 0 };
            layer.forward(exec, pass, x.view(), y.view_mut()).expect("the shapes fit");
            check("forward", cut(&y).as_slice(), &want);
            layer.backward(exec, x.view(), y.view(), dy.view(), Some(dx.view_mut())).expect("the shapes fit");
            check("dX", cut(&dx).as_slice(), &want_dx);

            let name = format!("{}/{batch}x{features}", exec.isa().name());
            limits.memory(2 * bytes);
            group.throughput(Throughput::Bytes(2 * bytes));
            group.bench_function(BenchmarkId::new("forward", &name), |b| {
                b.iter(|| layer.forward(exec, pass, x.view(), y.view_mut()));
            });
            limits.memory(3 * bytes);
            group.throughput(Throughput::Bytes(3 * bytes));
            group.bench_function(BenchmarkId::new("backward", &name), |b| {
                b.iter(|| layer.backward(exec, x.view(), y.view(), dy.view(), Some(dx.view_mut())));
            });
        }
    }
    group.finish();
}
