//! The affine layer, forward and backward, alone and with its ReLU, at the chapter's sizes. Throughput is in
//! operations.

use super::Limits;
use criterion::{BenchmarkId, Criterion, Throughput};
use groundup_benches::{Flops, check, execs, random, widen};
use layers::{Affine, Init, Layer, Pass, Stream, stream};
use tensor::Tensor;
use testkit::rng::Rng;

/// Batch, inputs, outputs.
const SIZES: [[usize; 3]; 4] = [[100, 784, 100], [100, 100, 100], [100, 100, 10], [512, 1024, 1024]];

pub fn benches(c: &mut Criterion<Flops>, limits: &Limits) {
    let mut rng = Rng::new(1);
    let mut group = c.benchmark_group("affine");
    for [batch, inputs, outputs] in SIZES {
        let (x, dy) = (random(&mut rng, [batch, inputs]), random(&mut rng, [batch, outputs]));
        let (mut y, mut dx) = (Tensor::zeros([batch, outputs]), Tensor::zeros([batch, inputs]));
        let flops = (2 * batch * inputs * outputs) as u64;
        for exec in execs() {
            limits.arithmetic(exec);
            let init = Init::Normal(0.1);
            let mut layer = Affine::new(exec, inputs, outputs, init, &mut stream(1, Stream::Weights));
            layer.reserve(batch);
            let reference = testkit::affine::Affine { batch, inputs, outputs };
            let mut parameters = Vec::new();
            layer.parameters(&mut |p| parameters.push(testkit::vector::widen(p.value)));
            let want = reference.forward(&widen(&x), &parameters[0], &parameters[1]);
            layer.forward(exec, Pass::Inference, x.view(), y.view_mut()).expect("the shapes fit");
            check("forward", y.as_slice(), &want);
            layer.backward(exec, x.view(), y.view(), dy.view(), Some(dx.view_mut())).expect("the shapes fit");
            check("dX", dx.as_slice(), &reference.backward(&widen(&x), &parameters[0], &widen(&dy)).dx);

            let name = format!("{}/{}/{batch}x{inputs}x{outputs}", layer.kind(), exec.isa().name());
            group.throughput(Throughput::Elements(flops));
            group.bench_function(BenchmarkId::new("forward", &name), |b| {
                b.iter(|| layer.forward(exec, Pass::Inference, x.view(), y.view_mut()));
            });
            group.throughput(Throughput::Elements(2 * flops));
            group.bench_function(BenchmarkId::new("backward", &name), |b| {
                b.iter(|| layer.backward(exec, x.view(), y.view(), dy.view(), Some(dx.view_mut())));
            });
        }
    }
    group.finish();
}
