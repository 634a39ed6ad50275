//! Layer normalisation on every ISA, against the f64 reference, and as a layer of a network.

mod common;

use common::{Step, training_step};
use layers::{Affine, Fusion, Init, Layer, LayerNorm, Network, NetworkLayer, Pass, Relu, Stream, stream};
use tensor::isa::AnyIsa;
use tensor::{Exec, ShapeError, Tensor, View};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::gradcheck::{assert_gradient, central_difference};
use testkit::layer_norm as reference;
use testkit::rng::Rng;
use testkit::softmax_loss::softmax_loss;
use testkit::vector::widen;

/// Around the lanes of a vector (16), and around the four chains of a sum (64).
const WIDTHS: [usize; 9] = [1, 10, 15, 16, 17, 63, 65, 100, 260];
/// Around the rows of a block of the column pass (4).
const BATCHES: [usize; 4] = [1, 4, 7, 300];

fn isas() -> impl Iterator<Item = Exec> {
    AnyIsa::available().map(|isa| Exec::with_isa(isa, 1))
}

/// A layer with the given γ and β.
fn layer(gamma: &[f32], beta: &[f32]) -> LayerNorm {
    let mut layer = LayerNorm::new(gamma.len());
    let mut values = [gamma, beta].into_iter();
    layer.parameters(&mut |parameter| parameter.value.copy_from_slice(values.next().unwrap()));
    layer
}

/// γ and β, X and dY. Rows of X have different centres and spreads.
fn draw(seed: u64, batch: usize, width: usize) -> [Vec<f32>; 4] {
    let mut rng = Rng::new(seed);
    let gamma = (0..width).map(|_| rng.f32_in(0.5, 1.5)).collect();
    let beta = rng.vec_normal(width);
    let place = |(i, x): (usize, f32)| (i / width % 5) as f32 - 2.0 + (0.5 + (i / width % 3) as f32) * x;
    let x = rng.vec_normal(batch * width).into_iter().enumerate().map(place).collect();
    [gamma, beta, x, rng.vec_normal(batch * width)]
}

fn assert_same_step(name: &str, got: &Step, want: &Step) {
    assert_bits(&format!("{name}: Y"), &got.y, &want.y);
    assert_bits(&format!("{name}: dX"), &got.dx, &want.dx);
    assert_bits(&format!("{name}: dγ"), &got.gradients[0], &want.gradients[0]);
    assert_bits(&format!("{name}: dβ"), &got.gradients[1], &want.gradients[1]);
}

#[test]
fn forward_and_backward_agree_with_the_reference_at_every_shape() {
    for width in WIDTHS {
        for batch in BATCHES {
            let [gamma, beta, x, dy] = draw((batch * 1000 + width) as u64, batch, width);
            let sizes = reference::LayerNorm { batch, features: width };
            let want = sizes.forward(&widen(&x), &widen(&gamma), &widen(&beta));
            let gradients = sizes.backward(&widen(&x), &widen(&gamma), &widen(&dy));
            for exec in isas() {
                let got = training_step(&mut layer(&gamma, &beta), exec, 0, 0, &x, &dy);
                let check = |operand: &str, got: &[f32], want: &[f64], atol: f64| {
                    let name = format!("{operand} of {batch}×{width} on {}", exec.isa().name());
                    assert_close(&name, got, want, Bound::Allclose { rtol: 3e-6, atol });
                };
                check("Y", &got.y, &want, 1e-5);
                check("dX", &got.dx, &gradients.dx, 1e-5);
                let sum = 2e-6 + 1e-7 * batch as f64;
                check("dγ", &got.gradients[0], &gradients.dgamma, sum);
                check("dβ", &got.gradients[1], &gradients.dbeta, sum);
            }
        }
    }
}

#[test]
fn backward_is_the_slope_of_forward() {
    for (batch, width) in [(4, 18), (7, 5)] {
        let [gamma, beta, x, dy] = draw(3, batch, width);
        let sizes = reference::LayerNorm { batch, features: width };
        let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            let y = sizes.forward(x, gamma, beta);
            y.iter().zip(&dy).map(|(y, &dy)| y * f64::from(dy)).sum::<f64>()
        };
        let (x64, gamma64, beta64) = (widen(&x), widen(&gamma), widen(&beta));
        let dx = central_difference(|x| loss(x, &gamma64, &beta64), &x64, 1e-5);
        let dgamma = central_difference(|gamma| loss(&x64, gamma, &beta64), &gamma64, 1e-5);
        let dbeta = central_difference(|beta| loss(&x64, &gamma64, beta), &beta64, 1e-5);
        for exec in isas() {
            let got = training_step(&mut layer(&gamma, &beta), exec, 0, 0, &x, &dy);
            // Every element of the numeric gradient must be different from 0.
            assert_gradient("X", &got.dx, &dx, 1e-5, 1e-5, 1.0);
            assert_gradient("γ", &got.gradients[0], &dgamma, 1e-5, 1e-5, 1.0);
            assert_gradient("β", &got.gradients[1], &dbeta, 1e-5, 1e-5, 1.0);
        }
    }
}

#[test]
fn the_bits_are_the_same_on_every_isa_with_two_threads_and_with_padded_rows() {
    // The last is large enough to be shared by two threads.
    for (batch, width) in [(5, 1), (9, 15), (7, 16), (6, 17), (33, 100), (1100, 1000)] {
        let [gamma, beta, x, dy] = draw(4, batch, width);
        let want = training_step(&mut layer(&gamma, &beta), Exec::serial(), 0, 0, &x, &dy);
        assert!(want.y.iter().chain(&want.dx).all(|value| value.is_finite()));
        for isa in AnyIsa::available() {
            for (threads, pad) in [(1, 0), (2, 0), (1, 13)] {
                let exec = Exec::with_isa(isa, threads);
                let got = training_step(&mut layer(&gamma, &beta), exec, 0, pad, &x, &dy);
                let name = format!("{batch}×{width} on {}, {threads} threads, {pad} between rows", isa.name());
                assert_same_step(&name, &got, &want);
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_others_and_a_pass_on_none_before() {
    let (batch, width) = (6, 21);
    let [gamma, beta, x, dy] = draw(5, batch, width);
    for exec in isas() {
        let mut used = layer(&gamma, &beta);
        let all = training_step(&mut used, exec, 0, 0, &x, &dy);
        for (i, (x, dy)) in x.chunks(width).zip(dy.chunks(width)).enumerate() {
            let alone = training_step(&mut used, exec, 0, 0, x, dy);
            assert_bits("Y of a row alone", &alone.y, &all.y[i * width..][..width]);
            assert_bits("dX of a row alone", &alone.dx, &all.dx[i * width..][..width]);
        }
        assert_same_step("the batch again", &training_step(&mut used, exec, 0, 0, &x, &dy), &all);
    }
}

#[test]
fn inference_is_the_training_pass_and_leaves_what_backward_needs() {
    let (batch, width) = (4, 19);
    let [gamma, beta, x, dy] = draw(6, batch, width);
    let [_, _, other, _] = draw(7, batch, width);
    for exec in isas() {
        let want = training_step(&mut layer(&gamma, &beta), exec, 0, 0, &x, &dy);
        let view = |values| View::new(values, [batch, width]).unwrap();
        let mut layer = layer(&gamma, &beta);
        let [mut y, mut dx] = [(); 2].map(|()| Tensor::from_fn([batch, width], |_| f32::NAN));
        layer.forward(exec, Pass::Inference, view(&x), y.view_mut()).unwrap();
        assert_bits("Y at inference", y.as_slice(), &want.y);
        layer.forward(exec, Pass::Training { step: 0 }, view(&x), y.view_mut()).unwrap();
        layer.forward(exec, Pass::Inference, view(&other), y.view_mut()).unwrap();
        assert!(y.as_slice() != want.y, "another batch has another Y");
        layer.backward(exec, view(&x), view(&want.y), view(&dy), Some(dx.view_mut())).unwrap();
        assert_bits("dX", dx.as_slice(), &want.dx);
    }
}

#[test]
fn a_width_of_one_gives_beta_and_has_no_gradient_but_betas() {
    let x = [3.5_f32, -1e6, 0.0, 0.1, 7.0];
    let dy = [1.0_f32, 2.0, -4.0, 0.5, 0.25];
    for exec in isas() {
        let got = training_step(&mut layer(&[2.0], &[0.75]), exec, 0, 0, &x, &dy);
        assert_bits("Y", &got.y, &[0.75; 5]);
        assert!(got.dx.iter().chain(&got.gradients[0]).all(|&d| d == 0.0), "{got:?}");
        assert_bits("dβ", &got.gradients[1], &[-0.25]);
    }
}

#[test]
fn a_constant_row_gives_beta_and_stays_finite() {
    let (batch, width) = (5, 20);
    let [gamma, beta, _, dy] = draw(8, batch, width);
    // Multiples of ¼: sum and mean are exact, and the variance is 0.
    let x: Vec<f32> = (0..batch * width).map(|i| (i / width) as f32 * 0.25 - 0.5).collect();
    for exec in isas() {
        let got = training_step(&mut layer(&gamma, &beta), exec, 0, 0, &x, &dy);
        assert_bits("Y", &got.y, &beta.repeat(batch));
        assert!(got.dx.iter().all(|dx| dx.is_finite()));
        assert!(got.gradients[0].iter().all(|&d| d == 0.0), "dγ is {:?}", got.gradients[0]);
    }
}

#[test]
fn a_mean_far_from_zero_does_not_cost_the_variance_its_digits() {
    // Σx² − D·μ² would be left with an error about as large as the variance, which is 1.
    let (batch, width) = (5, 300);
    let [gamma, beta, x, dy] = draw(9, batch, width);
    let x: Vec<f32> = x.iter().map(|x| 1024.0 + x).collect();
    let sizes = reference::LayerNorm { batch, features: width };
    let want = sizes.forward(&widen(&x), &widen(&gamma), &widen(&beta));
    let gradients = sizes.backward(&widen(&x), &widen(&gamma), &widen(&dy));
    for exec in isas() {
        let got = training_step(&mut layer(&gamma, &beta), exec, 0, 0, &x, &dy);
        // The inputs are 2⁻¹³ apart, and the sum behind the mean is rounded more than that.
        assert_close("Y", &got.y, &want, Bound::Allclose { rtol: 1e-4, atol: 1e-3 });
        assert_close("dX", &got.dx, &gradients.dx, Bound::Allclose { rtol: 1e-4, atol: 3e-4 });
    }
}

#[test]
fn a_nan_spoils_its_row_alone() {
    let (batch, width) = (3, 18);
    let [gamma, beta, clean, dy] = draw(10, batch, width);
    for exec in isas() {
        let want = training_step(&mut layer(&gamma, &beta), exec, 0, 0, &clean, &dy);
        for at in width..2 * width {
            let mut x = clean.clone();
            x[at] = f32::NAN;
            let view = |values| View::new(values, [batch, width]).unwrap();
            let mut y = Tensor::zeros([batch, width]);
            layer(&gamma, &beta).forward(exec, Pass::Inference, view(&x), y.view_mut()).unwrap();
            let rows: Vec<&[f32]> = y.as_slice().chunks(width).collect();
            assert!(rows[1].iter().all(|y| y.is_nan()), "a NaN at {at}: {:?}", rows[1]);
            assert_bits("the row before", rows[0], &want.y[..width]);
            assert_bits("the row behind", rows[2], &want.y[2 * width..]);
        }
    }
}

#[test]
fn parameters_come_as_scale_and_shift_that_start_at_one_and_zero() {
    let (mut found, mut layer) = (Vec::new(), LayerNorm::new(3));
    layer.parameters(&mut |parameter| {
        found.push((parameter.role.name(), parameter.shape, parameter.value.to_vec()));
    });
    assert_eq!(found, [("gamma", [3, 1], vec![1.0; 3]), ("beta", [3, 1], vec![0.0; 3])]);
    assert_eq!((layer.kind(), layer.outputs(), layer.weights().len()), ("layer_norm", 3, 0));
    layer.statistics(&mut |statistic| panic!("a layer norm has no running {}", statistic.name));
}

#[test]
fn a_wrong_shape_is_an_error_that_names_the_operand() {
    let exec = Exec::serial();
    let name = |result: Result<(), ShapeError>| match result.unwrap_err() {
        ShapeError::Mismatch { what: "layer_norm", left_name, .. } => left_name,
        other => panic!("not the error of two shapes: {other}"),
    };
    let matrix = Tensor::<f32, 2>::zeros;
    let forward = |x: [usize; 2], y: [usize; 2]| {
        name(LayerNorm::new(5).forward(exec, Pass::Inference, matrix(x).view(), matrix(y).view_mut()))
    };
    assert_eq!(forward([4, 6], [4, 5]), "X");
    assert_eq!(forward([4, 5], [4, 6]), "Y");
    assert_eq!(forward([4, 5], [3, 5]), "Y");
    let backward = |reserved: usize, x: [usize; 2], dy: [usize; 2], dx: [usize; 2]| {
        let mut layer = LayerNorm::new(5);
        layer.reserve(reserved);
        let (x, dy) = (matrix(x), matrix(dy));
        name(layer.backward(exec, x.view(), dy.view(), dy.view(), Some(matrix(dx).view_mut())))
    };
    assert_eq!(backward(4, [4, 6], [4, 5], [4, 5]), "X");
    assert_eq!(backward(4, [4, 5], [3, 5], [4, 5]), "dY");
    assert_eq!(backward(4, [4, 5], [4, 5], [4, 6]), "dX");
    assert_eq!(backward(3, [4, 5], [4, 5], [4, 5]), "the batch");
}

/// affine 6→17, layer norm, ReLU, affine 17→3.
fn network(exec: Exec, batch: usize) -> Network {
    let mut rng = stream(1, Stream::Weights);
    let mut affine = |inputs, outputs| NetworkLayer::from(Affine::new(exec, inputs, outputs, Init::He, &mut rng));
    let (first, last) = (affine(6, 17), affine(17, 3));
    let layers = vec![first, NetworkLayer::custom(LayerNorm::new(17)), Relu::new(17).into(), last];
    Network::from_layers(exec, 6, layers, batch, Fusion::default())
}

/// The loss of that network in f64, from its parameters in network order.
fn loss_of(parameters: &[Vec<f64>], x: &[f64], labels: &[usize]) -> f64 {
    let [w0, b0, gamma, beta, w1, b1] = parameters else { panic!("{} parameters", parameters.len()) };
    let batch = labels.len();
    let hidden = testkit::affine::Affine { batch, inputs: 6, outputs: 17 }.forward(x, w0, b0);
    let normed = reference::LayerNorm { batch, features: 17 }.forward(&hidden, gamma, beta);
    let last = testkit::affine::Affine { batch, inputs: 17, outputs: 3 };
    softmax_loss(&last.forward(&testkit::activation::relu(&normed), w1, b1), labels, 3).loss
}

#[test]
fn a_network_with_layer_norm_has_the_gradients_of_central_differences_and_the_same_bits_on_every_isa() {
    let batch = 7;
    let x = Rng::new(2).vec_normal(batch * 6);
    let labels: Vec<u8> = (0..batch).map(|i| (i * 2 % 3) as u8).collect();
    let whole: Vec<usize> = labels.iter().map(|&label| usize::from(label)).collect();
    let mut first: Option<Vec<Vec<f32>>> = None;
    for exec in isas() {
        let mut network = network(exec, batch + 2);
        assert_eq!(network.kinds(), ["affine", "layer_norm", "relu", "affine"]);
        let loss = network.loss_and_gradients(exec, 0, View::new(&x, [batch, 6]).unwrap(), &labels).unwrap();
        let (mut values, mut gradients, mut names) = (Vec::new(), Vec::new(), Vec::new());
        network.parameters(&mut |layer, parameter| {
            values.push(widen(parameter.value));
            gradients.push(parameter.gradient.to_vec());
            names.push(format!("{} of layer {layer} on {}", parameter.role.name(), exec.isa().name()));
        });
        let want = loss_of(&values, &widen(&x), &whole);
        assert_close("loss", &[loss], &[want], Bound::Allclose { rtol: 1e-6, atol: 0.0 });
        for (p, name) in names.iter().enumerate() {
            let mut point = values.clone();
            let slope = |value: &[f64]| {
                point[p].copy_from_slice(value);
                loss_of(&point, &widen(&x), &whole)
            };
            let numeric = central_difference(slope, &values[p], 1e-6);
            assert_gradient(name, &gradients[p], &numeric, 2e-5, 2e-6, 0.9);
        }
        let first = first.get_or_insert_with(|| gradients.clone());
        for ((got, want), name) in gradients.iter().zip(first).zip(&names) {
            assert_bits(name, got, want);
        }
    }
}
