//! Softmax with cross-entropy, and argmax, on every ISA.

use layers::{SoftmaxLoss, argmax, count_right};
use tensor::isa::AnyIsa;
use tensor::{Exec, ShapeError, Tensor, View};
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::poison::Poisoned;
use testkit::rng::Rng;
use testkit::softmax_loss::softmax_loss as reference;
use testkit::vector::widen;

fn isas() -> impl Iterator<Item = Exec> {
    AnyIsa::available().map(|isa| Exec::with_isa(isa, 1))
}

/// Loss and gradient of logits whose rows lie `pad` elements apart, among poison.
fn run(loss: &mut SoftmaxLoss, exec: Exec, pad: usize, logits: &[f32], labels: &[u8]) -> (f32, Vec<f32>) {
    let shape @ [rows, cols] = [labels.len(), logits.len() / labels.len()];
    let strides = [cols + pad, 1];
    let x = Poisoned::matrix(rows, cols, strides[0], 19).with_values(logits);
    let mut dx = Poisoned::matrix(rows, cols, strides[0], 19);
    let to = tensor::ViewMut::with_strides(dx.as_mut_slice(), shape, strides).unwrap();
    let from = View::with_strides(x.as_slice(), shape, strides).unwrap();
    let value = loss.forward_backward(exec, from, labels, to).unwrap();
    dx.assert_guards_untouched();
    assert_bits("the logits after the loss", &x.values(), logits);
    (value, dx.values())
}

fn draw(rng: &mut Rng, batch: usize, classes: usize) -> (Vec<f32>, Vec<u8>) {
    let logits = rng.vec_normal(batch * classes).iter().map(|x| 3.0 * x).collect();
    (logits, (0..batch).map(|_| rng.usize_in(0..classes) as u8).collect())
}

fn whole(labels: &[u8]) -> Vec<usize> {
    labels.iter().map(|&label| usize::from(label)).collect()
}

#[test]
fn loss_and_gradient_agree_with_the_reference_at_every_shape() {
    for classes in [2, 10, 16, 17, 63, 64, 65, 100, 256] {
        for batch in [1, 4, 7, 16, 17, 300] {
            let (logits, labels) = draw(&mut Rng::new((classes * 1000 + batch) as u64), batch, classes);
            let want = reference(&widen(&logits), &whole(&labels), classes);
            for exec in isas() {
                let mut loss = SoftmaxLoss::new(classes, batch);
                let (value, gradient) = run(&mut loss, exec, 0, &logits, &labels);
                let name = format!("{batch}×{classes} on {}", exec.isa().name());
                assert_close(&name, &[value], &[want.loss], Bound::Allclose { rtol: 1e-6, atol: 3e-7 });
                let bound = Bound::Allclose { rtol: 2e-6, atol: 1.5e-7 / batch as f64 };
                assert_close(&name, &gradient, &want.dlogits, bound);
                let (padded_value, padded) = run(&mut loss, exec, 11, &logits, &labels);
                assert_bits(&name, &[padded_value], &[value]);
                assert_bits(&name, &padded, &gradient);
            }
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_isa_or_on_an_earlier_larger_batch() {
    let mut rng = Rng::new(1);
    let (many, many_labels) = draw(&mut rng, 50, 10);
    let (logits, labels) = draw(&mut rng, 21, 10);
    let want = run(&mut SoftmaxLoss::new(10, 21), Exec::serial(), 0, &logits, &labels);
    for exec in isas() {
        let mut used = SoftmaxLoss::new(10, 50);
        let first = run(&mut used, exec, 0, &many, &many_labels);
        assert_ne!(first.0, want.0);
        let got = run(&mut used, exec, 0, &logits, &labels);
        assert_bits(exec.isa().name(), &[got.0], &[want.0]);
        assert_bits(exec.isa().name(), &got.1, &want.1);
    }
}

#[test]
fn large_logits_neither_overflow_nor_saturate_the_loss() {
    // Sure and right, sure and wrong (by 170 and by 10⁴), and large but equal.
    let rows: [([f32; 4], u8); 5] = [
        ([80.0, -90.0, 0.0, 1.0], 0),
        ([80.0, -90.0, 0.0, 1.0], 1),
        ([1e4, 0.0, 5.0, -1e4], 1),
        ([1e4, 1e4, 1e4, 1e4], 2),
        ([-1e4, -1e4, -90.0, -1e4], 2),
    ];
    for exec in isas() {
        for (logits, label) in rows {
            let (value, gradient) = run(&mut SoftmaxLoss::new(4, 1), exec, 0, &logits, &[label]);
            let want = reference(&widen(&logits), &[usize::from(label)], 4);
            let name = format!("{logits:?}, class {label}, on {}", exec.isa().name());
            assert_close(&name, &[value], &[want.loss], Bound::Allclose { rtol: 1e-6, atol: 1e-7 });
            // The probabilities are right to the last of e⁻⁸⁰; only p − 1 of the label is rounded where 1 is.
            let mut bounds: Vec<f64> = want.dlogits.iter().map(|d| 1e-6 * d.abs() + 3e-45).collect();
            bounds[usize::from(label)] = 1e-7;
            assert_close(&name, &gradient, &want.dlogits, Bound::PerElement(&bounds));
        }
        let (logits, labels) = (rows.map(|row| row.0).concat(), rows.map(|row| row.1));
        let (value, _) = run(&mut SoftmaxLoss::new(4, 5), exec, 0, &logits, &labels);
        let want = reference(&widen(&logits), &whole(&labels), 4).loss;
        assert_close("all of them", &[value], &[want], Bound::Allclose { rtol: 1e-6, atol: 0.0 });
    }
}

#[test]
fn a_single_class_has_no_loss_and_no_gradient() {
    for exec in isas() {
        let got = run(&mut SoftmaxLoss::new(1, 3), exec, 0, &[5.0, -1e4, 0.0], &[0, 0, 0]);
        assert_eq!(got, (0.0, vec![0.0; 3]));
    }
}

#[test]
fn a_nan_among_the_logits_makes_the_loss_nan_wherever_it_stands() {
    let (batch, classes) = (3, 18);
    let (clean, labels) = draw(&mut Rng::new(2), batch, classes);
    for exec in isas() {
        let mut loss = SoftmaxLoss::new(classes, batch);
        for at in 0..clean.len() {
            let mut logits = clean.clone();
            logits[at] = f32::NAN;
            let (value, gradient) = run(&mut loss, exec, 0, &logits, &labels);
            assert!(value.is_nan(), "a NaN at {at} of {batch}×{classes} on {}: loss {value}", exec.isa().name());
            let row = at / classes * classes;
            assert!(gradient[row..row + classes].iter().all(|g| g.is_nan()), "a NaN at {at}: {gradient:?}");
            assert_eq!(gradient.iter().filter(|g| g.is_nan()).count(), classes, "other rows are not touched");
        }
        assert!(run(&mut loss, exec, 0, &clean, &labels).0.is_finite(), "the NaN outlives its batch");
    }
}

#[test]
fn a_wrong_shape_is_an_error_that_names_the_operand() {
    let exec = Exec::serial();
    let refused = |logits: [usize; 2], labels: usize, gradient: [usize; 2]| {
        let (x, mut dx) = (Tensor::<f32, 2>::zeros(logits), Tensor::<f32, 2>::zeros(gradient));
        let mut loss = SoftmaxLoss::new(10, 4);
        let error = loss.forward_backward(exec, x.view(), &vec![0; labels], dx.view_mut()).unwrap_err();
        match error {
            ShapeError::Mismatch { what: "softmax_loss", left_name, .. } => left_name,
            other => panic!("not the error of two shapes: {other}"),
        }
    };
    assert_eq!(refused([4, 9], 4, [4, 9]), "the logits");
    assert_eq!(refused([4, 10], 3, [4, 10]), "the labels");
    assert_eq!(refused([4, 10], 4, [3, 10]), "the gradient");
    assert_eq!(refused([4, 10], 4, [4, 11]), "the gradient");
    assert_eq!(refused([5, 10], 5, [5, 10]), "the batch");
}

#[test]
#[should_panic(expected = "label 10 of 10 classes")]
fn a_label_that_is_no_class_is_refused() {
    run(&mut SoftmaxLoss::new(10, 2), Exec::serial(), 0, &[0.0; 20], &[9, 10]);
}

#[test]
fn argmax_is_the_first_of_equals_and_the_class_of_a_nan() {
    assert_eq!(argmax(&[1.0, 3.0, 2.0]), 1);
    assert_eq!(argmax(&[3.0, 1.0, 3.0]), 0);
    assert_eq!(argmax(&[-5.0, -2.0, -2.0]), 1);
    assert_eq!(argmax(&[0.0, -0.0, 0.0]), 0);
    assert_eq!(argmax(&[f32::NEG_INFINITY; 4]), 0);
    assert_eq!(argmax(&[f32::NEG_INFINITY, -1e30]), 1);
    assert_eq!(argmax(&[1.0, f32::INFINITY, f32::INFINITY]), 1);
    // A diverged net predicts class 0; of a single NaN NumPy gives the place.
    assert_eq!(argmax(&[f32::NAN; 10]), 0);
    assert_eq!(argmax(&[1.0, 9.0, f32::NAN, 10.0]), 2);
}

#[test]
fn rows_are_counted_as_right_where_argmax_is_their_label_ties_infinities_and_nans_among_them() {
    let mut rng = Rng::new(9);
    for (rows, classes) in [(1, 1), (5, 3), (16, 10), (17, 10), (500, 10), (33, 16), (40, 17), (20, 40)] {
        // Few values, so that many are equal; and every second row has an odd one somewhere.
        let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0];
        let mut logits: Vec<f32> = (0..rows * classes).map(|_| (rng.f32_in(-2.5, 2.5)).round()).collect();
        for row in (1..rows).step_by(2) {
            logits[row * classes + (row * 7) % classes] = odd[row / 2 % odd.len()];
        }
        logits[..classes].fill(f32::NEG_INFINITY);
        let found: Vec<usize> = logits.chunks_exact(classes).map(argmax).collect();
        let view = View::new(&logits, [rows, classes]).unwrap();
        for exec in isas() {
            // Labels that are right, wrong by one either way, and drawn.
            for by in [0, 1, classes - 1] {
                let labels: Vec<u8> = found.iter().map(|class| ((class + by) % classes) as u8).collect();
                let want = if by % classes == 0 { rows } else { 0 };
                assert_eq!(count_right(exec, view, &labels), want, "{rows}×{classes}, labels {by} beside");
            }
            let labels: Vec<u8> = (0..rows).map(|row| (row % classes) as u8).collect();
            let want = found.iter().zip(&labels).filter(|(class, label)| **class == usize::from(**label)).count();
            assert_eq!(count_right(exec, view, &labels), want, "{rows}×{classes} on {}", exec.isa().name());
        }
    }
    assert_eq!(count_right(Exec::serial(), View::new(&[], [0, 10]).unwrap(), &[]), 0);
}
