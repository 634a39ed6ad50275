//! Dropout: its mask, and what is done with it, in both forms and on every ISA.

mod common;

use common::training_step;
use layers::{Dropout, DropoutForm, Layer, Pass};
use tensor::isa::AnyIsa;
use tensor::{Exec, Tensor, View};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::dropout as reference;
use testkit::preset::Preset;
use testkit::rng::Rng;
use testkit::vector::widen;

const WIDTHS: [usize; 7] = [1, 10, 16, 63, 64, 65, 100];
const BATCHES: [usize; 4] = [1, 4, 7, 300];
const FORMS: [(DropoutForm, Preset); 2] = [(DropoutForm::Book, Preset::Book), (DropoutForm::Torch, Preset::Torch)];

fn isas() -> impl Iterator<Item = Exec> {
    AnyIsa::available().map(|isa| Exec::with_isa(isa, 1))
}

/// The mask of a step, element by element.
fn mask(layer: &Dropout, step: u64, batch: usize) -> Vec<bool> {
    let width = layer.outputs();
    (0..batch * width).map(|i| layer.keeps(step, i / width, i % width)).collect()
}

/// `count` numbers none of which is 0, so that a 0 was dropped.
fn nonzero(rng: &mut Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| rng.f32_in(0.5, 2.0)).collect()
}

#[test]
fn training_follows_the_plain_mask_at_every_shape() {
    for (form, preset) in FORMS {
        for (i, width) in WIDTHS.into_iter().enumerate() {
            for batch in BATCHES {
                let ratio = [0.15, 0.375, 0.5, 0.7][(i + batch) % 4];
                let step = (1 << 40) + width as u64;
                let mut rng = Rng::new(step + batch as u64);
                let (x, dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * width));
                let keep = mask(&Dropout::new(width, ratio, form, 77, 3), step, batch);
                let y = reference::training(preset, f64::from(ratio), &keep, &widen(&x));
                let dx = reference::backward(preset, f64::from(ratio), &keep, &widen(&dy));
                for exec in isas() {
                    let got = training_step(&mut Dropout::new(width, ratio, form, 77, 3), exec, step, 0, &x, &dy);
                    let name = format!("{form:?} {ratio} of {batch}×{width} on {}", exec.isa().name());
                    assert_close(&format!("{name}: Y"), &got.y, &y, Bound::Ulp(2));
                    assert_close(&format!("{name}: dX"), &got.dx, &dx, Bound::Ulp(2));
                    assert!(got.gradients.is_empty(), "{name} has no parameters");
                }
            }
        }
    }
}

#[test]
fn the_book_keeps_values_as_they_are_and_scales_at_inference_and_torch_the_other_way_round() {
    let (batch, width, ratio) = (7, 65, 0.375);
    let x = nonzero(&mut Rng::new(1), batch * width);
    for (form, preset) in FORMS {
        for exec in isas() {
            let mut layer = Dropout::new(width, ratio, form, 1, 0);
            let got = training_step(&mut layer, exec, 5, 0, &x, &x);
            let factor = if form == DropoutForm::Book { 1.0 } else { 1.6 }; // 1/(1 − ⅜)
            for ((&y, &x), keep) in got.y.iter().zip(&x).zip(mask(&layer, 5, batch)) {
                let want = if keep { factor * x } else { 0.0 };
                assert!((y - want).abs() <= 2e-7 * want, "{form:?}: {y} of {x}, kept: {keep}");
            }
            assert_bits("backward is the same map", &got.dx, &got.y);

            let mut y = Tensor::from_fn([batch, width], |_| f32::NAN);
            layer.forward(exec, Pass::Inference, View::new(&x, [batch, width]).unwrap(), y.view_mut()).unwrap();
            let want = reference::inference(preset, f64::from(ratio), &widen(&x));
            assert_close("inference", y.as_slice(), &want, Bound::Ulp(1));
            assert!(y.as_slice().iter().all(|&y| y != 0.0), "nothing is dropped at inference");
        }
    }
}

#[test]
fn backward_has_the_mask_of_the_forward_before_it() {
    let (batch, width) = (6, 50);
    let mut layer = Dropout::new(width, 0.5, DropoutForm::Book, 9, 1);
    let ones = vec![1.0; batch * width];
    for exec in isas() {
        for step in [3, 4, 3, 1000] {
            let got = training_step(&mut layer, exec, step, 0, &ones, &ones);
            assert_bits("dX", &got.dx, &got.y);
            let want: Vec<f32> = mask(&layer, step, batch).iter().map(|&keep| f32::from(u8::from(keep))).collect();
            assert_bits("the mask", &got.y, &want);
        }
    }
}

#[test]
fn inference_between_forward_and_backward_does_not_change_the_mask() {
    let (batch, width, exec) = (6, 50, Exec::serial());
    let mut layer = Dropout::new(width, 0.5, DropoutForm::Torch, 9, 1);
    let x = nonzero(&mut Rng::new(2), batch * width);
    let step = training_step(&mut layer, exec, 8, 0, &x, &x);
    let x = View::new(&x, [batch, width]).unwrap();
    let (mut y, mut dx) = (Tensor::zeros([batch, width]), Tensor::zeros([batch, width]));
    layer.forward(exec, Pass::Inference, x, y.view_mut()).unwrap();
    layer.backward(exec, x, y.view(), x, Some(dx.view_mut())).unwrap();
    assert_bits("dX", dx.as_slice(), &step.dx);
}

#[test]
fn masks_of_another_step_layer_or_seed_are_independent() {
    let (batch, width, ratio) = (300, 100, 0.3);
    let of = |seed, layer, step| mask(&Dropout::new(width, ratio, DropoutForm::Book, seed, layer), step, batch);
    let base = of(1, 0, 0);
    assert_eq!(base, of(1, 0, 0));
    // Two independent masks differ in 2·0.3·0.7 = 42 % of the elements; five standard deviations are 1.4 %.
    for (seed, layer, step) in [(1, 0, 1), (1, 1, 0), (2, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1 << 32), (1 << 32, 0, 0)]
    {
        let other = of(seed, layer, step);
        let differ = base.iter().zip(&other).filter(|(a, b)| a != b).count() as f64 / base.len() as f64;
        assert!((differ - 0.42).abs() < 0.0143, "seed {seed}, layer {layer}, step {step}: {differ} differ");
    }
    // Nor is a row the one before it, or a column its neighbour.
    for shift in [1, width] {
        let differ = base.iter().zip(&base[shift..]).filter(|(a, b)| a != b).count() as f64 / base.len() as f64;
        assert!((differ - 0.42).abs() < 0.0148, "shifted by {shift}: {differ} differ");
    }
}

#[test]
fn the_kept_share_is_one_minus_the_ratio() {
    let (batch, width) = (300, 100);
    let x = nonzero(&mut Rng::new(3), batch * width);
    for ratio in [0.05, 0.25, 0.5, 0.75, 0.95] {
        for step in 0..3 {
            let mut layer = Dropout::new(width, ratio, DropoutForm::Book, 4, 0);
            let y = training_step(&mut layer, Exec::serial(), step, 0, &x, &x).y;
            let kept = y.iter().filter(|&&y| y != 0.0).count() as f64 / y.len() as f64;
            let spread = (f64::from(ratio) * f64::from(1.0 - ratio) / y.len() as f64).sqrt();
            let error = kept - f64::from(1.0 - ratio);
            assert!(error.abs() < 4.5 * spread, "ratio {ratio}, step {step}: kept {kept}");
        }
    }
}

#[test]
fn rows_of_a_short_batch_have_the_mask_of_the_first_rows_of_a_long_one() {
    let (width, ratio) = (33, 0.5);
    let x = vec![1.0; 20 * width];
    let mut layer = Dropout::new(width, ratio, DropoutForm::Book, 4, 0);
    let long = training_step(&mut layer, Exec::serial(), 2, 0, &x, &x).y;
    let short = training_step(&mut layer, Exec::serial(), 2, 3, &x[..6 * width], &x[..6 * width]).y;
    assert_bits("the first six rows", &short, &long[..6 * width]);
}

#[test]
fn a_ratio_outside_of_zero_to_one_is_refused() {
    for ratio in [-0.1, 1.0, 1.5, f32::NAN, f32::INFINITY] {
        let made = std::panic::catch_unwind(|| Dropout::new(4, ratio, DropoutForm::Book, 0, 0));
        let message = *made.expect_err("the ratio was accepted").downcast::<String>().unwrap();
        assert!(message.contains(&format!("dropout ratio of {ratio}")), "{message}");
    }
    for ratio in [0.0, 0.999] {
        assert_eq!(Dropout::new(4, ratio, DropoutForm::Book, 0, 0).outputs(), 4);
    }
}
