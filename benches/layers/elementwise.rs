//! Everything that goes element by element or row by row: the elementary functions, the activations, dropout, layer
//! normalisation, and softmax with cross-entropy. Throughput is in bytes: X and Y, or Y, dY and dX, once each.

use super::Limits;
use criterion::{BenchmarkId, Criterion, Throughput};
use groundup_benches::{Flops, check, execs, random, widen};
use layers::{Dropout, DropoutForm, Layer, LayerNorm, Pass, Relu, Sigmoid, SoftmaxLoss, Tanh};
use tensor::{Exec, Tensor, vec};
use testkit::rng::Rng;

const BATCH: usize = 100;
const WIDTH: usize = 100;
const CLASSES: usize = 10;

type Function = (&'static str, fn(Exec, &[f32], &mut [f32]), fn(f64) -> f64);

const FUNCTIONS: [Function; 4] = [
    ("exp", vec::exp, f64::exp),
    ("ln", vec::ln, f64::ln),
    ("tanh", vec::tanh, f64::tanh),
    ("sigmoid", vec::sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
];

pub fn benches(c: &mut Criterion<Flops>, limits: &Limits) {
    let mut rng = Rng::new(1);
    let mut group = c.benchmark_group("elementwise");
    let bytes = |matrices: usize, width: usize| (matrices * BATCH * width * size_of::<f32>()) as u64;
    limits.memory(bytes(2, WIDTH));
    group.throughput(Throughput::Bytes(bytes(2, WIDTH)));
    let x: Vec<f32> = (0..BATCH * WIDTH).map(|_| rng.f32_in(0.1, 4.0)).collect();
    let mut y = vec![0.0; x.len()];
    for exec in execs() {
        for (name, function, reference) in FUNCTIONS {
            function(exec, &x, &mut y);
            check(name, &y, &x.iter().map(|&x| reference(f64::from(x))).collect::<Vec<_>>());
            let id = BenchmarkId::new(name, format!("{}/{}", exec.isa().name(), x.len()));
            group.bench_function(id, |b| b.iter(|| function(exec, &x, &mut y)));
        }
    }

    let (x, dy) = (random(&mut rng, [BATCH, WIDTH]), random(&mut rng, [BATCH, WIDTH]));
    let (mut y, mut dx) = (Tensor::zeros([BATCH, WIDTH]), Tensor::zeros([BATCH, WIDTH]));
    for exec in execs() {
        let layers: [Box<dyn Layer>; 5] = [
            Box::new(Relu::new(WIDTH)),
            Box::new(Sigmoid::new(WIDTH)),
            Box::new(Tanh::new(WIDTH)),
            Box::new(Dropout::new(WIDTH, 0.2, DropoutForm::Torch, 1, 0)),
            Box::new(LayerNorm::new(WIDTH)),
        ];
        for mut layer in layers {
            let pass = Pass::Training { step: 1 };
            layer.forward(exec, pass, x.view(), y.view_mut()).expect("the shapes fit");
            let want: Vec<f64> = match layer.kind() {
                "relu" => testkit::activation::relu(&widen(&x)),
                "sigmoid" => testkit::activation::sigmoid(&widen(&x)),
                "tanh" => testkit::activation::tanh(&widen(&x)),
                "dropout" => {
                    widen(&x).iter().zip(y.as_slice()).map(|(x, &y)| if y == 0.0 { 0.0 } else { x / 0.8 }).collect()
                }
                "layer_norm" => {
                    let sizes = testkit::layer_norm::LayerNorm { batch: BATCH, features: WIDTH };
                    sizes.forward(&widen(&x), &[1.0; WIDTH], &[0.0; WIDTH])
                }
                other => panic!("{other} has no reference here"),
            };
            check(layer.kind(), y.as_slice(), &want);
            let name = format!("{}/{}/{BATCH}x{WIDTH}", layer.kind(), exec.isa().name());
            limits.memory(bytes(2, WIDTH));
            group.throughput(Throughput::Bytes(bytes(2, WIDTH)));
            group.bench_function(BenchmarkId::new("forward", &name), |b| {
                b.iter(|| layer.forward(exec, pass, x.view(), y.view_mut()));
            });
            limits.memory(bytes(3, WIDTH));
            group.throughput(Throughput::Bytes(bytes(3, WIDTH)));
            group.bench_function(BenchmarkId::new("backward", &name), |b| {
                b.iter(|| layer.backward(exec, x.view(), y.view(), dy.view(), Some(dx.view_mut())));
            });
        }
    }

    let logits = random(&mut rng, [BATCH, CLASSES]);
    let labels: Vec<u8> = (0..BATCH).map(|i| (i % CLASSES) as u8).collect();
    let mut gradient = Tensor::zeros([BATCH, CLASSES]);
    let indices: Vec<usize> = labels.iter().map(|&label| usize::from(label)).collect();
    let want = testkit::softmax_loss::softmax_loss(&widen(&logits), &indices, CLASSES);
    limits.memory(bytes(2, CLASSES));
    group.throughput(Throughput::Bytes(bytes(2, CLASSES)));
    for exec in execs() {
        let mut loss = SoftmaxLoss::new(CLASSES, BATCH);
        let mut run = || loss.forward_backward(exec, logits.view(), &labels, gradient.view_mut());
        let value = run().expect("the shapes fit");
        check("loss", &[value], &[want.loss]);
        let name = format!("{}/{BATCH}x{CLASSES}", exec.isa().name());
        group.bench_function(BenchmarkId::new("softmax_loss", name), |b| b.iter(&mut run));
        check("gradient", gradient.as_slice(), &want.dlogits);
    }
    group.finish();
}
