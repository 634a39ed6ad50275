//! Every backward against central differences of the f64 forward, and whole networks against the f64 network.

mod common;

use common::training_step;
use layers::{
    Activation, Affine, Architecture, BatchNorm, BatchNormForm, Dropout, DropoutForm, Init, Layer, Network, Role,
    SoftmaxLoss,
};
use tensor::isa::AnyIsa;
use tensor::{Exec, Tensor, View};
use testkit::compare::{Bound, assert_close};
use testkit::gradcheck::{assert_gradient, central_difference};
use testkit::preset::Preset;
use testkit::rng::Rng;
use testkit::vector::widen;
use testkit::{activation, affine, batch_norm, dropout, network as reference, softmax_loss};

const STEP: f64 = 1e-5;

fn isas() -> impl Iterator<Item = Exec> {
    AnyIsa::available().map(|isa| Exec::with_isa(isa, 1))
}

/// Σ y·dy: the loss whose gradient with respect to y is dy.
fn weigh(y: &[f64], dy: &[f32]) -> f64 {
    y.iter().zip(dy).map(|(y, &dy)| y * f64::from(dy)).sum()
}

/// Numbers at least 0.1 from 0: a ReLU's corner has no slope.
fn off_zero(rng: &mut Rng, count: usize) -> Vec<f32> {
    rng.vec_normal(count).into_iter().map(|x| x + 0.1_f32.copysign(x)).collect()
}

#[test]
fn affine_backward_is_the_slope_of_forward() {
    let sizes = affine::Affine { batch: 5, inputs: 19, outputs: 17 };
    let mut rng = Rng::new(1);
    let (x, w, b, dy) = (rng.vec_normal(95), rng.vec_normal(19 * 17), rng.vec_normal(17), rng.vec_normal(85));
    let (x64, w64, b64) = (widen(&x), widen(&w), widen(&b));
    let forward = |x: &[f64], w: &[f64], b: &[f64]| sizes.forward(x, w, b);
    let dx = central_difference(|x| weigh(&forward(x, &w64, &b64), &dy), &x64, STEP);
    let dw = central_difference(|w| weigh(&forward(&x64, w, &b64), &dy), &w64, STEP);
    let db = central_difference(|b| weigh(&forward(&x64, &w64, b), &dy), &b64, STEP);
    for exec in isas() {
        let (weight, bias) = (Tensor::from_slice(&w, [19, 17]).unwrap(), Tensor::from_slice(&b, [17]).unwrap());
        let mut layer = Affine::from_parts(weight, bias).unwrap();
        let got = training_step(&mut layer, exec, 0, 0, &x, &dy);
        assert_gradient("X", &got.dx, &dx, 1e-5, 1e-5, 1.0);
        assert_gradient("W", &got.gradients[0], &dw, 1e-5, 1e-5, 1.0);
        assert_gradient("b", &got.gradients[1], &db, 1e-5, 1e-5, 1.0);
    }
}

#[test]
fn an_activations_backward_is_the_slope_of_forward() {
    let (batch, width) = (5, 19);
    let mut rng = Rng::new(2);
    let (x, dy) = (off_zero(&mut rng, batch * width), off_zero(&mut rng, batch * width));
    type Forward = fn(&[f64]) -> Vec<f64>;
    for kind in Activation::ALL {
        let (forward, alive): (Forward, f64) = match kind {
            Activation::Relu => (activation::relu, 0.4),
            Activation::Sigmoid => (activation::sigmoid, 1.0),
            Activation::Tanh => (activation::tanh, 1.0),
        };
        let dx = central_difference(|x| weigh(&forward(x), &dy), &widen(&x), STEP);
        for exec in isas() {
            let got = training_step(&mut *kind.layer(width), exec, 0, 0, &x, &dy);
            assert_gradient(kind.name(), &got.dx, &dx, 1e-5, 1e-6, alive);
        }
    }
}

#[test]
fn batch_norm_backward_is_the_slope_of_forward_in_both_forms() {
    let width = 18;
    for (form, preset) in [(BatchNormForm::Book, Preset::Book), (BatchNormForm::Torch, Preset::Torch)] {
        for batch in [4, 7] {
            let mut rng = Rng::new(3);
            let (x, dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * width));
            let (gamma, beta) = (off_zero(&mut rng, width), off_zero(&mut rng, width));
            let sizes = batch_norm::BatchNorm { preset, batch, features: width };
            let start = batch_norm::Running::start(preset, width);
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
                let y = sizes.forward(x, gamma, beta, &start).y;
                weigh(&y, &dy)
            };
            let (x64, gamma64, beta64) = (widen(&x), widen(&gamma), widen(&beta));
            let dx = central_difference(|x| loss(x, &gamma64, &beta64), &x64, STEP);
            let dgamma = central_difference(|gamma| loss(&x64, gamma, &beta64), &gamma64, STEP);
            let dbeta = central_difference(|beta| loss(&x64, &gamma64, beta), &beta64, STEP);
            for exec in isas() {
                let mut layer = BatchNorm::new(width, form);
                let mut values = [&gamma, &beta].into_iter();
                layer.parameters(&mut |parameter| parameter.value.copy_from_slice(values.next().unwrap()));
                let got = training_step(&mut layer, exec, 0, 0, &x, &dy);
                assert_gradient("X", &got.dx, &dx, 1e-5, 1e-5, 1.0);
                assert_gradient("γ", &got.gradients[0], &dgamma, 1e-5, 1e-5, 1.0);
                assert_gradient("β", &got.gradients[1], &dbeta, 1e-5, 1e-5, 1.0);
            }
        }
    }
}

#[test]
fn dropout_backward_is_the_slope_of_forward_in_both_forms() {
    let (batch, width, ratio, step) = (5, 19, 0.4_f32, 12);
    let mut rng = Rng::new(4);
    let (x, dy) = (off_zero(&mut rng, batch * width), off_zero(&mut rng, batch * width));
    for (form, preset) in [(DropoutForm::Book, Preset::Book), (DropoutForm::Torch, Preset::Torch)] {
        let mut layer = Dropout::new(width, ratio, form, 6, 0);
        let keep: Vec<bool> = (0..batch * width).map(|i| layer.keeps(step, i / width, i % width)).collect();
        let forward = |x: &[f64]| weigh(&dropout::training(preset, f64::from(ratio), &keep, x), &dy);
        let dx = central_difference(forward, &widen(&x), STEP);
        for exec in isas() {
            let got = training_step(&mut layer, exec, step, 0, &x, &dy);
            assert_gradient("X", &got.dx, &dx, 1e-6, 1e-6, 0.5);
        }
    }
}

#[test]
fn the_gradient_of_the_loss_is_its_slope() {
    for (batch, classes) in [(4, 10), (5, 19)] {
        let mut rng = Rng::new(5);
        let logits = rng.vec_normal(batch * classes);
        let labels: Vec<u8> = (0..batch).map(|_| rng.usize_in(0..classes) as u8).collect();
        let whole: Vec<usize> = labels.iter().map(|&label| usize::from(label)).collect();
        let slope = |z: &[f64]| softmax_loss::softmax_loss(z, &whole, classes).loss;
        let dx = central_difference(slope, &widen(&logits), STEP);
        for exec in isas() {
            let mut got = Tensor::from_fn([batch, classes], |_| f32::NAN);
            let x = View::new(&logits, [batch, classes]).unwrap();
            SoftmaxLoss::new(classes, batch).forward_backward(exec, x, &labels, got.view_mut()).unwrap();
            assert_gradient("the logits", got.as_slice(), &dx, 1e-5, 1e-7, 1.0);
        }
    }
}

/// The f64 network of an architecture; masks are those of `seed` and `step`.
fn reference_of(architecture: &Architecture, seed: u64, step: u64, batch: usize) -> reference::Network {
    let mut layers = Vec::new();
    for (depth, &units) in architecture.hidden.iter().enumerate() {
        layers.push(reference::Layer::Affine { outputs: units });
        layers.extend(architecture.batch_norm.map(|form| reference::Layer::BatchNorm {
            preset: if form == BatchNormForm::Book { Preset::Book } else { Preset::Torch },
        }));
        layers.push(match architecture.activation {
            Activation::Relu => reference::Layer::Relu,
            Activation::Sigmoid => reference::Layer::Sigmoid,
            Activation::Tanh => reference::Layer::Tanh,
        });
        layers.extend(architecture.dropout.map(|(ratio, form)| {
            let mask = Dropout::new(units, ratio, form, seed, depth as u64);
            reference::Layer::Dropout {
                preset: if form == DropoutForm::Book { Preset::Book } else { Preset::Torch },
                ratio: f64::from(ratio),
                keep: (0..batch * units).map(|i| mask.keeps(step, i / units, i % units)).collect(),
            }
        }));
    }
    layers.push(reference::Layer::Affine { outputs: architecture.classes });
    reference::Network { inputs: architecture.inputs, layers, weight_decay: 0.0 }
}

/// Loss and all gradients of a network, reserved for more rows than it is given, against the f64 network's.
fn check_network(activation: Activation, batch_norm: Option<BatchNormForm>, dropout: Option<(f32, DropoutForm)>) {
    let (seed, step, batch) = (21, 5, 9);
    let architecture = Architecture {
        inputs: 23,
        hidden: vec![20, 17, 33],
        classes: 10,
        activation,
        init: Init::He,
        batch_norm,
        dropout,
    };
    let mut rng = Rng::new(6);
    let x = rng.vec_normal(batch * 23);
    let labels: Vec<u8> = (0..batch).map(|i| (i * 7 % 10) as u8).collect();
    let whole: Vec<usize> = labels.iter().map(|&label| usize::from(label)).collect();
    let want_of = reference_of(&architecture, seed, step, batch);
    let noise = rng.vec_normal(want_of.parameter_count());
    for exec in isas() {
        let name = format!("{activation:?} {batch_norm:?} {dropout:?} on {}", exec.isa().name());
        let mut network = Network::new(exec, architecture.clone(), seed, batch + 4);
        let (mut parameters, mut noise) = (Vec::new(), noise.iter());
        network.parameters(&mut |_, parameter| {
            // Biases and shifts start at 0 and scales at 1: everywhere else is more of a test.
            parameter.value.iter_mut().for_each(|value| *value += 0.1 * noise.next().unwrap());
            parameters.extend(parameter.value.iter().map(|&value| f64::from(value)));
        });
        let want = want_of.gradients(&parameters, &widen(&x), &whole);
        // A step of another batch first: nothing of it may be left.
        let other = Rng::new(7).vec_normal((batch + 4) * 23);
        let other = View::new(&other, [batch + 4, 23]).unwrap();
        network.loss_and_gradients(exec, step + 1, other, &vec![3; batch + 4]).unwrap();

        let loss = network.loss_and_gradients(exec, step, View::new(&x, [batch, 23]).unwrap(), &labels).unwrap();
        let want_loss = want_of.loss(&parameters, &widen(&x), &whole);
        assert_close(&format!("{name}: loss"), &[loss], &[want_loss], Bound::Allclose { rtol: 1e-6, atol: 0.0 });
        let logits = network.activation(network.depth() - 1, batch).to_tensor();
        let want_logits = want_of.logits(&parameters, &widen(&x));
        let bound = Bound::Allclose { rtol: 1e-5, atol: 1e-5 };
        assert_close(&format!("{name}: logits"), logits.as_slice(), &want_logits, bound);

        let (mut at, mut seen, last) = (0, 0, network.depth() - 1);
        network.parameters(&mut |layer, parameter| {
            let name = format!("{name}: {} of layer {layer}", parameter.role.name());
            let want = &want[at..at + parameter.gradient.len()];
            at += want.len();
            seen += 1;
            if parameter.role == Role::Bias && batch_norm.is_some() && layer != last {
                // Batch normalisation takes away whatever a bias adds: there is no gradient, only rounding.
                assert!(want.iter().all(|d| d.abs() < 1e-12), "{name}");
                assert!(parameter.gradient.iter().all(|d| d.abs() < 1e-6), "{name}: {:?}", parameter.gradient);
            } else {
                assert_gradient(&name, parameter.gradient, want, 2e-5, 2e-6, 0.4);
            }
        });
        assert_eq!((at, seen), (want.len(), if batch_norm.is_some() { 14 } else { 8 }), "{name}");
    }
}

#[test]
fn a_plain_networks_gradients_are_the_references() {
    for activation in Activation::ALL {
        check_network(activation, None, None);
    }
}

#[test]
fn a_batch_normalised_networks_gradients_are_the_references_in_both_forms() {
    check_network(Activation::Relu, Some(BatchNormForm::Book), None);
    check_network(Activation::Relu, Some(BatchNormForm::Torch), None);
    check_network(Activation::Sigmoid, Some(BatchNormForm::Book), None);
    check_network(Activation::Tanh, Some(BatchNormForm::Torch), None);
}

#[test]
fn a_network_with_dropout_has_the_gradients_of_its_masks_in_both_forms() {
    check_network(Activation::Relu, None, Some((0.3, DropoutForm::Book)));
    check_network(Activation::Relu, None, Some((0.3, DropoutForm::Torch)));
    check_network(Activation::Tanh, None, Some((0.5, DropoutForm::Book)));
    check_network(Activation::Relu, Some(BatchNormForm::Book), Some((0.2, DropoutForm::Torch)));
    check_network(Activation::Sigmoid, Some(BatchNormForm::Torch), Some((0.2, DropoutForm::Book)));
}
