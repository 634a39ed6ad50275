//! One update of every optimizer: a hidden layer's weights (L1/L2) and ten million parameters (memory). Throughput is
//! in bytes moved: weights, gradient and state, once each way.

use super::Limits;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use groundup_benches::{Flops, check, execs};
use optim::{Form, Optimizer, Rule};
use testkit::optim::{self as reference, State};
use testkit::preset::Preset;
use testkit::rng::Rng;

const SIZES: [usize; 2] = [10_000, 10_000_000];

/// Each rule, its reference, and the floats it moves an element.
const RULES: [(Rule, reference::Rule, usize); 7] = [
    (Rule::SGD, reference::Rule::Sgd, 3),
    (Rule::MOMENTUM, reference::Rule::Momentum { alpha: 0.9 }, 5),
    (Rule::NESTEROV, reference::Rule::Nesterov { alpha: 0.9 }, 5),
    (Rule::ADAGRAD, reference::Rule::AdaGrad, 5),
    (Rule::RMSPROP, reference::Rule::RmsProp { rho: 0.99 }, 5),
    (Rule::ADAM, reference::Rule::Adam { beta1: 0.9, beta2: 0.999 }, 7),
    (Rule::ADAMW, reference::Rule::AdamW { beta1: 0.9, beta2: 0.999, weight_decay: 1e-2 }, 7),
];

pub fn benches(c: &mut Criterion<Flops>, limits: &Limits) {
    assert_eq!(RULES.map(|(rule, ..)| rule).as_slice(), Rule::ALL.as_slice(), "every rule is timed");
    let mut rng = Rng::new(1);
    let mut group = c.benchmark_group("optimizers");
    for len in SIZES {
        let (start, gradient) = (rng.vec_f32(len), rng.vec_f32(len));
        for (rule, reference, floats) in RULES {
            let bytes = (len * floats * size_of::<f32>()) as u64;
            // What is read and written lies in memory once.
            limits.memory((floats.div_ceil(2) * len * size_of::<f32>()) as u64);
            group.throughput(Throughput::Bytes(bytes));
            for exec in execs() {
                let mut weights = start.clone();
                let mut optimizer = Optimizer::new(rule, Form::Torch, 0.01, &[len]);
                let mut step = |weights: &mut [f32]| {
                    optimizer.begin_step();
                    optimizer.update(exec, 0, weights, &gradient, 0.0);
                };
                step(&mut weights);
                let some = len.min(1000);
                let mut want = testkit::vector::widen(&start[..some]);
                State::new(reference, Preset::Torch, 0.01, some)
                    .step(&mut want, &testkit::vector::widen(&gradient[..some]));
                check(rule.name(), &weights[..some], &want);
                let name = format!("{}/{len}", exec.isa().name());
                group.bench_function(BenchmarkId::new(rule.name(), name), |b| {
                    b.iter_batched(|| (), |()| step(&mut weights), BatchSize::SmallInput);
                });
            }
        }
    }
    group.finish();
}
