//! Batch normalisation, in both forms and on every ISA, against the f64 reference.

mod common;

use common::training_step;
use layers::{BatchNorm, BatchNormForm, Layer, Pass};
use tensor::isa::AnyIsa;
use tensor::{Exec, Tensor, View};
use testkit::batch_norm::{self as reference, Running};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::preset::Preset;
use testkit::rng::Rng;
use testkit::vector::widen;

const WIDTHS: [usize; 7] = [1, 10, 16, 63, 64, 65, 100];
const FORMS: [(BatchNormForm, Preset); 2] =
    [(BatchNormForm::Book, Preset::Book), (BatchNormForm::Torch, Preset::Torch)];

fn isas() -> impl Iterator<Item = Exec> {
    AnyIsa::available().map(|isa| Exec::with_isa(isa, 1))
}

/// A layer with the given γ and β.
fn layer(form: BatchNormForm, gamma: &[f32], beta: &[f32]) -> BatchNorm {
    let mut layer = BatchNorm::new(gamma.len(), form);
    let mut values = [gamma, beta].into_iter();
    layer.parameters(&mut |parameter| parameter.value.copy_from_slice(values.next().unwrap()));
    layer
}

fn running(layer: &mut BatchNorm) -> [Vec<f32>; 2] {
    let mut found = Vec::new();
    layer.statistics(&mut |statistic| found.push((statistic.name, statistic.value.to_vec())));
    let [(mean_name, mean), (var_name, var)] = <[_; 2]>::try_from(found).unwrap();
    assert_eq!((mean_name, var_name), ("running_mean", "running_var"));
    [mean, var]
}

fn inference(layer: &mut BatchNorm, exec: Exec, x: &[f32]) -> Vec<f32> {
    let shape = [x.len() / layer.outputs(), layer.outputs()];
    let mut y = Tensor::from_fn(shape, |_| f32::NAN);
    layer.forward(exec, Pass::Inference, View::new(x, shape).unwrap(), y.view_mut()).unwrap();
    y.as_slice().to_vec()
}

/// Columns of different centres and spreads.
fn columns(rng: &mut Rng, batch: usize, width: usize) -> Vec<f32> {
    let x = rng.vec_normal(batch * width);
    x.iter().enumerate().map(|(i, x)| (i % width % 5) as f32 - 2.0 + (0.5 + (i % width % 3) as f32) * x).collect()
}

#[test]
fn three_batches_and_inference_agree_with_the_reference_at_every_width() {
    for (form, preset) in FORMS {
        for width in WIDTHS {
            let mut rng = Rng::new(width as u64);
            let gamma: Vec<f32> = (0..width).map(|_| rng.f32_in(0.5, 1.5)).collect();
            let beta = rng.vec_f32(width);
            let batches =
                [7, 300, 4].map(|batch| (batch, columns(&mut rng, batch, width), rng.vec_normal(batch * width)));
            let unseen = columns(&mut rng, 5, width);
            for exec in isas() {
                let mut layer = layer(form, &gamma, &beta);
                let mut state = Running::start(preset, width);
                for (batch, x, dy) in &batches {
                    let sizes = reference::BatchNorm { preset, batch: *batch, features: width };
                    let forward = sizes.forward(&widen(x), &widen(&gamma), &widen(&beta), &state);
                    let backward = sizes.backward(&widen(x), &widen(&gamma), &widen(dy));
                    let got = training_step(&mut layer, exec, 0, 0, x, dy);
                    let [mean, var] = running(&mut layer);
                    let check = |operand: &str, got: &[f32], want: &[f64], atol: f64| {
                        let name = format!("{operand} of {form:?}, {batch}×{width}, on {}", exec.isa().name());
                        assert_close(&name, got, want, Bound::Allclose { rtol: 3e-6, atol });
                    };
                    check("Y", &got.y, &forward.y, 1e-5);
                    check("dX", &got.dx, &backward.dx, 1e-5);
                    let sum = 2e-6 + 1e-7 * *batch as f64;
                    check("dγ", &got.gradients[0], &backward.dgamma, sum);
                    check("dβ", &got.gradients[1], &backward.dbeta, sum);
                    check("the running mean", &mean, &forward.running.mean, 1e-6);
                    check("the running variance", &var, &forward.running.variance, 1e-6);
                    state = forward.running;
                }
                let sizes = reference::BatchNorm { preset, batch: 5, features: width };
                let want = sizes.inference(&widen(&unseen), &widen(&gamma), &widen(&beta), &state);
                let name = format!("inference of {form:?}, width {width}, on {}", exec.isa().name());
                let got = inference(&mut layer, exec, &unseen);
                assert_close(&name, &got, &want, Bound::Allclose { rtol: 3e-6, atol: 1e-5 });
            }
        }
    }
}

#[test]
fn a_new_layer_is_the_identity_at_inference_only_in_the_form_of_torch() {
    let x = [1.0, -2.0, 3.0, 0.5];
    for exec in isas() {
        let mut torch = BatchNorm::new(2, BatchNormForm::Torch);
        assert_eq!(running(&mut torch), [vec![0.0; 2], vec![1.0; 2]]);
        let want: Vec<f64> = x.iter().map(|&x| f64::from(x) / (1.0 + 1e-5_f64).sqrt()).collect();
        assert_close("torch", &inference(&mut torch, exec, &x), &want, Bound::Ulp(2));
        // The book's running variance starts at 0, which leaves only ε.
        let mut book = BatchNorm::new(2, BatchNormForm::Book);
        assert_eq!(running(&mut book), [vec![0.0; 2], vec![0.0; 2]]);
        let want: Vec<f64> = x.iter().map(|&x| 1e3 * f64::from(x)).collect();
        assert_close("book", &inference(&mut book, exec, &x), &want, Bound::Ulp(4));
    }
}

#[test]
fn a_batch_of_one_gives_beta_and_has_no_gradient_but_betas() {
    // PyTorch refuses it in training; here its variance is 0, and nothing may become NaN.
    let width = 19;
    let mut rng = Rng::new(8);
    let (gamma, beta) = (rng.vec_normal(width), rng.vec_normal(width));
    let (x, dy) = (rng.vec_normal(width), rng.vec_normal(width));
    for (form, preset) in FORMS {
        for exec in isas() {
            let mut layer = layer(form, &gamma, &beta);
            let got = training_step(&mut layer, exec, 0, 0, &x, &dy);
            assert_bits("Y", &got.y, &beta);
            assert!(got.dx.iter().chain(&got.gradients[0]).all(|&g| g == 0.0), "{:?} {:?}", got.dx, got.gradients[0]);
            assert_bits("dβ", &got.gradients[1], &dy);
            let [mean, var] = running(&mut layer);
            let want: Vec<f64> = x.iter().map(|&x| 0.1 * f64::from(x)).collect();
            assert_close("the running mean", &mean, &want, Bound::Ulp(2));
            let kept = 0.9 * Running::start(preset, 1).variance[0];
            assert_close("the running variance", &var, &vec![kept; width], Bound::Ulp(1));
        }
    }
}

#[test]
fn a_mean_far_from_zero_does_not_cost_the_variance_its_digits() {
    // Σx² − B·μ² would be left with an error about as large as the variance, which is 1.
    let (batch, width) = (300, 17);
    let mut rng = Rng::new(9);
    let x: Vec<f32> = rng.vec_normal(batch * width).iter().map(|x| 1024.0 + x).collect();
    let dy = rng.vec_normal(batch * width);
    let (gamma, beta) = (vec![1.0; width], vec![0.0; width]);
    for (form, preset) in FORMS {
        let sizes = reference::BatchNorm { preset, batch, features: width };
        let start = Running::start(preset, width);
        let want = sizes.forward(&widen(&x), &widen(&gamma), &widen(&beta), &start);
        let gradients = sizes.backward(&widen(&x), &widen(&gamma), &widen(&dy));
        for exec in isas() {
            let mut layer = layer(form, &gamma, &beta);
            let got = training_step(&mut layer, exec, 0, 0, &x, &dy);
            let [_, var] = running(&mut layer);
            // The inputs are 2⁻¹³ apart, and the sums behind the mean are rounded more than that.
            assert_close("Y", &got.y, &want.y, Bound::Allclose { rtol: 1e-4, atol: 3e-3 });
            assert_close("dX", &got.dx, &gradients.dx, Bound::Allclose { rtol: 1e-4, atol: 3e-4 });
            assert_close("variance", &var, &want.running.variance, Bound::Allclose { rtol: 1e-4, atol: 0.0 });
        }
    }
}

#[test]
fn a_constant_column_gives_beta_and_stays_finite() {
    let (batch, width) = (7, 20);
    let mut rng = Rng::new(10);
    let (gamma, beta) = (rng.vec_normal(width), rng.vec_normal(width));
    let x: Vec<f32> = (0..batch * width).map(|i| (i % width) as f32 * 0.25 - 2.0).collect();
    let dy = rng.vec_normal(batch * width);
    for (form, _) in FORMS {
        for exec in isas() {
            let got = training_step(&mut layer(form, &gamma, &beta), exec, 0, 0, &x, &dy);
            let want: Vec<f64> = (0..batch).flat_map(|_| widen(&beta)).collect();
            // The columns are multiples of ¼, so sum and mean are exact and the variance is 0.
            assert_close("Y", &got.y, &want, Bound::Exact);
            assert!(got.dx.iter().all(|dx| dx.is_finite()));
            assert!(got.gradients[0].iter().all(|&d| d == 0.0), "dγ is {:?}", got.gradients[0]);
        }
    }
}

#[test]
fn statistics_that_are_put_back_are_used() {
    // What a checkpoint does.
    let (gamma, beta) = ([2.0_f32, 3.0], [0.5_f32, -0.5]);
    let state = Running { mean: vec![1.0, -1.0], variance: vec![4.0, 0.25] };
    let x = [3.0_f32, 0.0, 1.0, -1.0];
    for (form, preset) in FORMS {
        let mut layer = layer(form, &gamma, &beta);
        let mut values = [[1.0, -1.0], [4.0, 0.25]].into_iter();
        layer.statistics(&mut |statistic| statistic.value.copy_from_slice(&values.next().unwrap()));
        let sizes = reference::BatchNorm { preset, batch: 2, features: 2 };
        let want = sizes.inference(&widen(&x), &widen(&gamma), &widen(&beta), &state);
        let got = inference(&mut layer, Exec::serial(), &x);
        assert_close("inference", &got, &want, Bound::Allclose { rtol: 1e-6, atol: 1e-6 });
    }
}

#[test]
fn a_training_batch_of_no_samples_is_refused_and_leaves_the_running_values() {
    for (form, _) in FORMS {
        for exec in isas() {
            let mut layer = BatchNorm::new(3, form);
            let before = running(&mut layer);
            let (x, mut y) = (Tensor::zeros([0, 3]), Tensor::zeros([0, 3]));
            assert!(layer.forward(exec, Pass::Training { step: 0 }, x.view(), y.view_mut()).is_err());
            assert_eq!(running(&mut layer), before, "{form:?}");
            assert!(layer.forward(exec, Pass::Inference, x.view(), y.view_mut()).is_ok());
        }
    }
}

#[test]
fn parameters_come_as_scale_and_shift_that_start_at_one_and_zero() {
    let mut found = Vec::new();
    BatchNorm::new(3, BatchNormForm::Book).parameters(&mut |parameter| {
        found.push((parameter.role.name(), parameter.shape, parameter.value.to_vec()));
    });
    assert_eq!(found, [("gamma", [3, 1], vec![1.0; 3]), ("beta", [3, 1], vec![0.0; 3])]);
}
