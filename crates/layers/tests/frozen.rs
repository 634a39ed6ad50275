//! Layers and networks against values made once with PyTorch (`tests/frozen/make_frozen.py`), on every ISA.

mod common;

use common::training_step;
use layers::{
    Activation, Affine, Architecture, BatchNorm, BatchNormForm, Dropout, DropoutForm, Init, Layer, Network, Pass, Role,
    SoftmaxLoss,
};
use serde_json::Value;
use std::collections::BTreeMap;
use tensor::isa::AnyIsa;
use tensor::{Exec, Tensor, View};
use testkit::compare::{Bound, assert_close};
use testkit::vector::narrow;

/// One case of a file.
struct Case {
    file: Value,
    name: &'static str,
}

impl Case {
    fn load(file: &str, name: &'static str) -> Self {
        let path = format!("{}/../../tests/frozen/{file}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect("the frozen values are committed");
        Self { file: serde_json::from_str(&text).expect("valid JSON"), name }
    }

    fn at(&self, key: &str) -> &Value {
        self.file[self.name].get(key).unwrap_or_else(|| panic!("{} has {key}", self.name))
    }

    fn number(&self, key: &str) -> f64 {
        self.at(key).as_f64().expect("a number")
    }

    fn wide(&self, key: &str) -> Vec<f64> {
        let data = self.at(key)["data"].as_array().expect("a tensor");
        data.iter().map(|x| x.as_f64().expect("a number")).collect()
    }

    /// An input: exact in f32.
    fn input(&self, key: &str) -> Vec<f32> {
        let wide = self.wide(key);
        let input = narrow(&wide);
        assert!(input.iter().zip(&wide).all(|(&x, &wide)| f64::from(x) == wide), "{key} of {} is exact", self.name);
        input
    }

    fn shape(&self, key: &str) -> [usize; 2] {
        let shape = self.at(key)["shape"].as_array().expect("a shape");
        let axis = |i: usize| shape[i].as_u64().expect("a length") as usize;
        [axis(0), axis(1)]
    }

    fn labels(&self) -> Vec<u8> {
        self.wide("labels").into_iter().map(|label| label as u8).collect()
    }

    #[track_caller]
    fn check(&self, exec: Exec, key: &str, got: &[f32], rtol: f64, atol: f64) {
        let name = format!("{} of {} on {}", key, self.name, exec.isa().name());
        assert_close(&name, got, &self.wide(key), Bound::Allclose { rtol, atol });
    }
}

fn isas() -> impl Iterator<Item = Exec> {
    AnyIsa::available().map(|isa| Exec::with_isa(isa, 1))
}

#[test]
fn affine_and_activations_are_those_of_pytorch() {
    let case = Case::load("layers", "affine");
    for exec in isas() {
        let weight = Tensor::from_slice(&case.input("w"), case.shape("w")).unwrap();
        let bias = Tensor::from_slice(&case.input("b"), [case.shape("w")[1]]).unwrap();
        let mut layer = Affine::from_parts(weight, bias).unwrap();
        let got = training_step(&mut layer, exec, 0, 0, &case.input("x"), &case.input("dy"));
        for (key, got) in [("y", &got.y), ("dx", &got.dx), ("dw", &got.gradients[0]), ("db", &got.gradients[1])] {
            case.check(exec, key, got, 1e-6, 1e-6);
        }
    }
    for kind in Activation::ALL {
        let case = Case::load("layers", kind.name());
        for exec in isas() {
            let mut layer = kind.layer(case.shape("x")[1]);
            let got = training_step(&mut *layer, exec, 0, 0, &case.input("x"), &case.input("dy"));
            case.check(exec, "y", &got.y, 2e-7, 0.0);
            // The slope is computed from y, and 1 − y has an absolute error where y is almost 1.
            case.check(exec, "dx", &got.dx, 1e-6, 1e-7);
        }
    }
}

#[test]
fn batch_norm_is_the_books_and_pytorchs_for_three_batches_and_inference() {
    for (form, name) in [(BatchNormForm::Book, "book_batch_norm"), (BatchNormForm::Torch, "torch_batch_norm")] {
        let case = Case::load("layers", name);
        for exec in isas() {
            let shape = case.shape("x_inference");
            let mut layer = BatchNorm::new(shape[1], form);
            let mut start = ["gamma", "beta"].into_iter();
            layer.parameters(&mut |parameter| {
                parameter.value.copy_from_slice(&case.input(start.next().unwrap()));
            });
            for i in 1..=3 {
                let key = |key: &str| format!("{key}{i}");
                let got = training_step(&mut layer, exec, 0, 0, &case.input(&key("x")), &case.input(&key("dy")));
                case.check(exec, &key("y"), &got.y, 2e-6, 2e-6);
                case.check(exec, &key("dx"), &got.dx, 2e-6, 5e-6);
                case.check(exec, &key("dgamma"), &got.gradients[0], 2e-6, 2e-6);
                case.check(exec, &key("dbeta"), &got.gradients[1], 2e-6, 1e-6);
                layer.statistics(&mut |statistic| {
                    case.check(exec, &key(statistic.name), statistic.value, 1e-6, 1e-6);
                });
            }
            let mut y = Tensor::from_fn(shape, |_| f32::NAN);
            let x = case.input("x_inference");
            layer.forward(exec, Pass::Inference, View::new(&x, shape).unwrap(), y.view_mut()).unwrap();
            case.check(exec, "y_inference", y.as_slice(), 2e-6, 2e-6);
        }
    }
}

#[test]
fn dropout_keeps_the_values_that_the_book_and_pytorch_keep() {
    // The file's mask cannot be put into our layer. So its kept elements are looked up in steps whose own mask keeps
    // them as well, until each has been.
    for (form, name) in [(DropoutForm::Book, "book_dropout"), (DropoutForm::Torch, "torch_dropout")] {
        let case = Case::load("layers", name);
        let (shape, mask) = (case.shape("x"), case.wide("mask"));
        let (x, dy, ratio) = (case.input("x"), case.input("dy"), case.number("ratio") as f32);
        for exec in isas() {
            let mut layer = Dropout::new(shape[1], ratio, form, 1, 0);
            let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            let mut missing: Vec<usize> = (0..mask.len()).filter(|&i| mask[i] == 1.0).collect();
            assert!(missing.len() > 8, "the file keeps elements");
            for step in 0..30 {
                let got = training_step(&mut layer, exec, step, 0, &x, &dy);
                missing.retain(|&i| {
                    let kept = layer.keeps(step, i / shape[1], i % shape[1]);
                    if kept {
                        (y[i], dx[i]) = (got.y[i], got.dx[i]);
                    }
                    !kept
                });
            }
            assert_eq!(missing, [0_usize; 0], "kept by none of thirty masks");
            case.check(exec, "y", &y, 2e-7, 0.0);
            case.check(exec, "dx", &dx, 2e-7, 0.0);
            let mut y = Tensor::from_fn(shape, |_| f32::NAN);
            layer.forward(exec, Pass::Inference, View::new(&x, shape).unwrap(), y.view_mut()).unwrap();
            case.check(exec, "y_inference", y.as_slice(), 1e-7, 0.0);
        }
    }
}

#[test]
fn softmax_cross_entropy_is_pytorchs_also_with_large_logits() {
    for name in ["softmax_cross_entropy", "softmax_cross_entropy_large"] {
        let case = Case::load("layers", name);
        for exec in isas() {
            let (shape, labels) = (case.shape("logits"), case.labels());
            let logits = case.input("logits");
            let mut gradient = Tensor::from_fn(shape, |_| f32::NAN);
            let value = SoftmaxLoss::new(shape[1], shape[0])
                .forward_backward(exec, View::new(&logits, shape).unwrap(), &labels, gradient.view_mut())
                .unwrap();
            let bound = Bound::Allclose { rtol: 1e-6, atol: 0.0 };
            assert_close(name, &[value], &[case.number("loss")], bound);
            case.check(exec, "dlogits", gradient.as_slice(), 1e-6, 5e-8);
            // The layer keeps no probabilities: they are what the gradient is made of.
            let batch = shape[0] as f32;
            let probability = |(i, g): (usize, &f32)| {
                g * batch + if i % shape[1] == usize::from(labels[i / shape[1]]) { 1.0 } else { 0.0 }
            };
            let probabilities: Vec<f32> = gradient.as_slice().iter().enumerate().map(probability).collect();
            case.check(exec, "probabilities", &probabilities, 2e-6, 2e-7);
        }
    }
}

/// The file's names of a network's parameters, in network order: `w1`, `b1`, `gamma1`, `beta1`, `w2`, …
fn keys(network: &mut Network) -> Vec<String> {
    let (mut keys, mut depth) = (Vec::new(), 0);
    network.parameters(&mut |_, parameter| {
        depth += usize::from(parameter.role == Role::Weight);
        let name = match parameter.role {
            Role::Weight => "w",
            Role::Bias => "b",
            Role::Scale => "gamma",
            Role::Shift => "beta",
        };
        keys.push(format!("{name}{depth}"));
    });
    keys
}

/// Ten steps of gradient descent on one batch.
fn train(name: &'static str, activation: Activation, batch_norm: Option<BatchNormForm>) {
    let case = Case::load("network", name);
    let (x, labels, shape) = (case.input("x"), case.labels(), case.shape("x"));
    let x = View::new(&x, shape).unwrap();
    let rate = case.number("lr") as f32;
    for exec in isas() {
        let architecture = Architecture {
            inputs: shape[1],
            hidden: vec![8, 8],
            classes: 4,
            activation,
            init: Init::Zeros,
            batch_norm,
            dropout: None,
        };
        let mut network = Network::new(exec, architecture, 0, shape[0]);
        let keys = keys(&mut network);
        let mut next = keys.iter();
        network.parameters(&mut |_, parameter| {
            parameter.value.copy_from_slice(&case.input(next.next().unwrap()));
        });
        // The biases before a batch normalisation have no gradient, and what they get is rounding.
        let still = |key: &str| batch_norm.is_some() && (key == "b1" || key == "b2");

        let mut losses = Vec::new();
        for step in 0..10 {
            losses.push(network.loss_and_gradients(exec, step, x, &labels).unwrap());
            if step == 0 {
                let logits = network.activation(network.depth() - 1, shape[0]).to_tensor();
                case.check(exec, "logits", logits.as_slice(), 2e-6, 2e-6);
                let mut next = keys.iter();
                network.parameters(&mut |_, parameter| {
                    let key = next.next().unwrap();
                    if still(key) {
                        assert!(parameter.gradient.iter().all(|d| d.abs() < 1e-6), "d{key}: {:?}", parameter.gradient);
                    } else {
                        case.check(exec, &format!("d{key}"), parameter.gradient, 5e-6, 1e-6);
                    }
                });
            }
            network.parameters(&mut |_, parameter| {
                for (w, g) in parameter.value.iter_mut().zip(parameter.gradient) {
                    *w -= rate * g;
                }
            });
        }
        let mut next = keys.iter();
        network.parameters(&mut |_, parameter| {
            case.check(exec, &format!("{}_final", next.next().unwrap()), parameter.value, 1e-5, 5e-6);
        });
        let mut statistics = BTreeMap::<&str, usize>::new();
        network.statistics(&mut |_, statistic| {
            let depth = statistics.entry(statistic.name).or_default();
            *depth += 1;
            case.check(exec, &format!("{}{depth}_final", statistic.name), statistic.value, 1e-5, 5e-6);
        });
        let depths: Vec<usize> = statistics.into_values().collect();
        assert_eq!(depths, if batch_norm.is_some() { vec![2, 2] } else { vec![] });
        let logits = network.forward(exec, Pass::Inference, x).unwrap().to_tensor();
        case.check(exec, "logits_final", logits.as_slice(), 1e-5, 1e-5);
        if batch_norm.is_none() {
            // Nothing distinguishes the two passes then.
            let last = case.wide("losses")[10];
            let loss = network.loss(exec, &labels).unwrap();
            assert_close("the loss at inference", &[loss], &[last], Bound::Allclose { rtol: 1e-5, atol: 0.0 });
        }
        losses.push(network.loss_and_gradients(exec, 10, x, &labels).unwrap());
        case.check(exec, "losses", &losses, 1e-5, 0.0);
    }
}

#[test]
fn a_relu_network_learns_as_in_pytorch() {
    train("relu", Activation::Relu, None);
}

#[test]
fn a_batch_normalised_network_learns_as_in_pytorch() {
    train("relu_batch_norm", Activation::Relu, Some(BatchNormForm::Torch));
}

#[test]
fn a_sigmoid_network_learns_as_in_pytorch() {
    train("sigmoid", Activation::Sigmoid, None);
}
