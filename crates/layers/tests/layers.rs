//! What every layer promises, and the affine layer and the activations against their f64 references.

mod common;

use common::{Step, training_step};
use layers::{
    Activation, Affine, BatchNorm, BatchNormForm, Dropout, DropoutForm, Fusion, Init, Layer, Network, Pass, Relu,
    Sigmoid, Stream, Tanh, stream,
};
use tensor::isa::AnyIsa;
use tensor::{Exec, ShapeError, Tensor, View, ViewMut};
use testkit::activation;
use testkit::affine as reference;
use testkit::compare::{Bound, assert_bits, assert_close};
use testkit::gemm::gemm_bound;
use testkit::rng::Rng;
use testkit::vector::widen;

/// Around the lanes of a vector (16) and the columns of a strip (64).
const WIDTHS: [usize; 7] = [1, 10, 16, 63, 64, 65, 100];
/// 300 rows are more than one block of a column sum (256).
const BATCHES: [usize; 4] = [1, 4, 7, 300];

fn isas() -> impl Iterator<Item = Exec> {
    AnyIsa::available().map(|isa| Exec::with_isa(isa, 1))
}

/// One layer of each kind and form; affine layers go from `inputs` to `outputs`, the others have `outputs` units.
fn every_layer(inputs: usize, outputs: usize) -> Vec<(usize, Box<dyn Layer>)> {
    let affine = || Affine::new(Exec::serial(), inputs, outputs, Init::He, &mut stream(3, Stream::Weights));
    let dropout = |form| Box::new(Dropout::new(outputs, 0.4, form, 5, 2));
    let mut all: Vec<(usize, Box<dyn Layer>)> = vec![
        (inputs, Box::new(affine())),
        (outputs, Box::new(Relu::new(outputs))),
        (outputs, Box::new(Sigmoid::new(outputs))),
        (outputs, Box::new(Tanh::new(outputs))),
        (outputs, Box::new(BatchNorm::new(outputs, BatchNormForm::Book))),
        (outputs, Box::new(BatchNorm::new(outputs, BatchNormForm::Torch))),
        (outputs, dropout(DropoutForm::Book)),
        (outputs, dropout(DropoutForm::Torch)),
    ];
    // No parameter at a value that a mistake could hide behind: 0 or 1.
    for (_, layer) in &mut all {
        let mut rng = Rng::new(11);
        layer.parameters(&mut |parameter| parameter.value.iter_mut().for_each(|v| *v += rng.f32_in(0.1, 0.5)));
    }
    all
}

fn values(layer: &mut dyn Layer) -> Vec<f32> {
    let mut values = Vec::new();
    layer.parameters(&mut |parameter| values.extend_from_slice(parameter.value));
    values
}

fn statistics(layer: &mut dyn Layer) -> Vec<f32> {
    let mut values = Vec::new();
    layer.statistics(&mut |statistic| values.extend_from_slice(statistic.value));
    values
}

fn assert_same_step(name: &str, got: &Step, want: &Step) {
    assert_bits(&format!("{name}: Y"), &got.y, &want.y);
    assert_bits(&format!("{name}: dX"), &got.dx, &want.dx);
    assert_eq!(got.gradients.len(), want.gradients.len(), "{name}");
    for (i, (got, want)) in got.gradients.iter().zip(&want.gradients).enumerate() {
        assert_bits(&format!("{name}: gradient of parameter {i}"), got, want);
    }
}

#[test]
fn affine_agrees_with_the_reference_at_every_shape() {
    for (i, &inputs) in WIDTHS.iter().enumerate() {
        for batch in BATCHES {
            let outputs = WIDTHS[(i + 1) % WIDTHS.len()];
            let sizes = reference::Affine { batch, inputs, outputs };
            let mut rng = Rng::new((batch * 1000 + inputs) as u64);
            let (x, dy) = (rng.vec_normal(batch * inputs), rng.vec_normal(batch * outputs));
            let (w, b) = (rng.vec_normal(inputs * outputs), rng.vec_normal(outputs));
            let absolute = |x: &[f32]| x.iter().map(|&x| f64::from(x.abs())).collect::<Vec<f64>>();

            let y_bounds = gemm_bound(inputs, &sizes.forward(&absolute(&x), &absolute(&w), &absolute(&b)));
            let y = sizes.forward(&widen(&x), &widen(&w), &widen(&b));
            let want = sizes.backward(&widen(&x), &widen(&w), &widen(&dy));
            let size = sizes.backward(&absolute(&x), &absolute(&w), &absolute(&dy));
            for exec in isas() {
                let weight = Tensor::from_slice(&w, [inputs, outputs]).unwrap();
                let mut layer = Affine::from_parts(weight, Tensor::from_slice(&b, [outputs]).unwrap()).unwrap();
                let got = training_step(&mut layer, exec, 0, 0, &x, &dy);
                let check = |operand: &str, got: &[f32], want: &[f64], bounds: Vec<f64>| {
                    let name = format!("{operand} of {inputs}→{outputs}, batch {batch}, on {}", exec.isa().name());
                    assert_close(&name, got, want, Bound::PerElement(&bounds));
                };
                check("Y", &got.y, &y, y_bounds.clone());
                check("dX", &got.dx, &want.dx, gemm_bound(outputs, &size.dx));
                check("dW", &got.gradients[0], &want.dw, gemm_bound(batch, &size.dw));
                check("db", &got.gradients[1], &want.db, gemm_bound(batch, &size.db));
            }
        }
    }
}

/// An activation and its derivative in f64, and how far from them it may be.
type Reference = (fn(&[f64]) -> Vec<f64>, fn(&[f64], &[f64]) -> Vec<f64>, [Bound<'static>; 2]);

fn reference_of(kind: Activation) -> Reference {
    match kind {
        Activation::Relu => (activation::relu, activation::relu_backward, [Bound::Exact, Bound::Exact]),
        Activation::Sigmoid => (activation::sigmoid, activation::sigmoid_backward, [Bound::Ulp(2), Bound::Ulp(3)]),
        Activation::Tanh => (activation::tanh, activation::tanh_backward, [Bound::Ulp(2), Bound::Ulp(2)]),
    }
}

#[test]
fn activations_agree_with_their_references_at_every_shape() {
    for kind in Activation::ALL {
        let (forward, backward, [y_bound, dx_bound]) = reference_of(kind);
        for width in WIDTHS {
            for batch in BATCHES {
                let mut rng = Rng::new((batch * 1000 + width) as u64);
                let x: Vec<f32> = rng.vec_normal(batch * width).into_iter().map(|x| 3.0 * x).collect();
                let dy = rng.vec_normal(batch * width);
                let want = forward(&widen(&x));
                for exec in isas() {
                    let mut layer = kind.layer(width);
                    assert_eq!((layer.kind(), layer.outputs()), (kind.name(), width));
                    let got = training_step(&mut *layer, exec, 0, 0, &x, &dy);
                    let name = format!("{} of {batch}×{width} on {}", kind.name(), exec.isa().name());
                    assert_close(&format!("{name}: Y"), &got.y, &want, y_bound);
                    // Its input is the Y of this precision.
                    assert_close(&format!("{name}: dX"), &got.dx, &backward(&widen(&got.y), &widen(&dy)), dx_bound);
                    assert!(got.gradients.is_empty(), "{name} has no parameters");
                }
            }
        }
    }
}

#[test]
fn relu_has_gradient_zero_at_zero_and_lets_nan_through() {
    // Alone, and fused; 18 wide, so that the tail is visited as well.
    let mut x = vec![2.0_f32; 18];
    (x[0], x[1], x[2], x[3]) = (0.0, -0.0, f32::NAN, -1.0);
    (x[14], x[15], x[16], x[17]) = (f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 0.0);
    let dy = vec![5.0; 18];
    for exec in isas() {
        let mut relu = Relu::new(18);
        let got = training_step(&mut relu, exec, 0, 0, &x, &dy);
        let want = |at: &dyn Fn(f32) -> f32| x.iter().map(|&x| at(x)).collect::<Vec<f32>>();
        let y: Vec<f64> = widen(&want(&|x| if x <= 0.0 { 0.0 } else { x }));
        let dx = want(&|x| if x <= 0.0 { 0.0 } else { 5.0 });
        assert_close(exec.isa().name(), &got.y, &y, Bound::Exact);
        assert_bits(exec.isa().name(), &got.dx, &dx);

        // Fused behind an affine layer that is the identity, in one output column.
        let one = Tensor::from_slice(&[1.0], [1, 1]).unwrap();
        let affine = Affine::from_parts(one, Tensor::zeros([1])).unwrap();
        let layers = vec![affine.into(), Relu::new(1).into()];
        let mut network = Network::from_layers(exec, 1, layers, 18, Fusion::default());
        assert_eq!(network.programs()[1].kernels.len(), 1, "one kernel");
        let got = network.forward(exec, Pass::Inference, View::new(&x, [18, 1]).unwrap()).unwrap();
        let got: Vec<f32> = got.iter().copied().collect();
        assert_close(exec.isa().name(), &got, &y, Bound::Exact);
    }
}

#[test]
fn sigmoid_and_tanh_saturate_without_nan_and_keep_one() {
    let x = [-1e30, -200.0, -30.0, 0.0, 30.0, 200.0, 1e30, f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
    for exec in isas() {
        for (kind, low, middle) in [(Activation::Sigmoid, 0.0_f32, 0.5_f32), (Activation::Tanh, -1.0, 0.0)] {
            let got = training_step(&mut *kind.layer(10), exec, 0, 0, &x, &[2.0; 10]);
            let name = format!("{} on {}", kind.name(), exec.isa().name());
            for (at, value) in [(0, low), (1, low), (3, middle), (4, 1.0), (5, 1.0), (6, 1.0), (7, low), (8, 1.0)] {
                assert_eq!(got.y[at], value, "{name} of {}", x[at]);
            }
            for at in [0, 1, 5, 6, 7, 8] {
                assert_eq!(got.dx[at], 0.0, "the gradient of {name} at {}", x[at]);
            }
            assert_eq!(got.dx[3], if middle == 0.0 { 2.0 } else { 0.5 }, "the gradient of {name} at 0");
            assert!(got.y[9].is_nan() && got.dx[9].is_nan(), "{name} hides a NaN");
        }
    }
}

#[test]
fn padded_rows_give_the_bits_of_dense_ones() {
    for (inputs, outputs, batch) in [(10, 33, 5), (70, 64, 4), (65, 100, 7), (16, 1, 3)] {
        let mut rng = Rng::new(1);
        for ((width, mut layer), (_, mut padded)) in
            every_layer(inputs, outputs).into_iter().zip(every_layer(inputs, outputs))
        {
            let (x, dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * outputs));
            for exec in isas() {
                let dense = training_step(&mut *layer, exec, 4, 0, &x, &dy);
                let name = format!("{} {inputs}→{outputs} on {}", layer.kind(), exec.isa().name());
                assert!(dense.y.iter().chain(&dense.dx).all(|v| v.is_finite()), "{name}");
                for pad in [1, 13, 64] {
                    assert_same_step(&name, &training_step(&mut *padded, exec, 4, pad, &x, &dy), &dense);
                }
            }
        }
    }
}

/// `values` in the middle of a larger array that is NaN elsewhere.
fn framed(values: &[f32], width: usize) -> Tensor<f32, 2> {
    let rows = values.len() / width;
    Tensor::from_fn([rows + 3, width + 5], |[i, j]| {
        let inside = (2..2 + rows).contains(&i) && (4..4 + width).contains(&j);
        if inside { values[(i - 2) * width + j - 4] } else { f32::NAN }
    })
}

/// The middle of a [`framed`] array.
fn middle(array: &Tensor<f32, 2>) -> View<'_, f32, 2> {
    let [rows, cols] = array.shape();
    array.view().slice(0, 2..rows - 1).unwrap().slice(1, 4..cols - 1).unwrap()
}

/// The middle of a [`framed`] array, to write to.
fn middle_mut(array: &mut Tensor<f32, 2>) -> ViewMut<'_, f32, 2> {
    let [rows, cols] = array.shape();
    array.view_mut().slice(0, 2..rows - 1).unwrap().slice(1, 4..cols - 1).unwrap()
}

#[test]
fn operands_sliced_out_of_larger_arrays_give_the_bits_of_their_own() {
    let (batch, outputs) = (6, 21);
    for exec in isas() {
        for (width, mut layer) in every_layer(12, outputs) {
            let mut rng = Rng::new(2);
            let (x, dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * outputs));
            let want = training_step(&mut *layer, exec, 0, 0, &x, &dy);

            let (x, dy) = (framed(&x, width), framed(&dy, outputs));
            let mut y = framed(&vec![f32::NAN; batch * outputs], outputs);
            let mut dx = framed(&vec![f32::NAN; batch * width], width);
            assert_eq!(middle(&x).strides(), [width + 5, 1], "the operands are strided");
            layer.forward(exec, Pass::Training { step: 0 }, middle(&x), middle_mut(&mut y)).unwrap();
            layer.backward(exec, middle(&x), middle(&y), middle(&dy), Some(middle_mut(&mut dx))).unwrap();
            for (operand, got, want) in [("Y", &y, &want.y), ("dX", &dx, &want.dx)] {
                let name = format!("{operand} of {} on {}", layer.kind(), exec.isa().name());
                assert_bits(&name, middle(got).to_tensor().as_slice(), want);
                let written = got.as_slice().iter().filter(|v| !v.is_nan()).count();
                assert_eq!(written, want.len(), "{name} was written beside its place");
            }
        }
    }
}

#[test]
fn backward_fills_its_outputs_and_adds_to_nothing() {
    let (batch, outputs) = (5, 37);
    for exec in isas() {
        for (width, mut layer) in every_layer(20, outputs) {
            let mut rng = Rng::new(3);
            let (x, dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * outputs));
            let (other_x, other_dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * outputs));
            let first = training_step(&mut *layer, exec, 1, 0, &x, &dy);
            let other = training_step(&mut *layer, exec, 2, 0, &other_x, &other_dy);
            assert_ne!(first, other, "{}: another batch gives other gradients", layer.kind());
            assert_same_step(layer.kind(), &training_step(&mut *layer, exec, 1, 0, &x, &dy), &first);
            assert!(first.dx.iter().any(|&dx| dx != 0.0), "{}", layer.kind());
        }
    }
}

#[test]
fn backward_without_dx_gives_the_same_parameter_gradients() {
    let (exec, batch, outputs) = (Exec::serial(), 5, 37);
    for (width, mut layer) in every_layer(20, outputs) {
        let mut rng = Rng::new(4);
        let (x, dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * outputs));
        let want = training_step(&mut *layer, exec, 0, 0, &x, &dy);
        // Overwritten by another step, so that old gradients cannot pass for new ones.
        training_step(&mut *layer, exec, 0, 0, &rng.vec_normal(batch * width), &rng.vec_normal(batch * outputs));
        let (x, dy) = (View::new(&x, [batch, width]).unwrap(), View::new(&dy, [batch, outputs]).unwrap());
        let mut y = Tensor::zeros([batch, outputs]);
        layer.forward(exec, Pass::Training { step: 0 }, x, y.view_mut()).unwrap();
        layer.backward(exec, x, y.view(), dy, None).unwrap();
        let mut gradients = Vec::new();
        layer.parameters(&mut |parameter| gradients.push(parameter.gradient.to_vec()));
        assert_eq!(gradients, want.gradients, "{}", layer.kind());
    }
}

#[test]
fn no_pass_edits_a_parameter_and_inference_and_backward_edit_no_statistic() {
    let (exec, batch, outputs) = (Exec::serial(), 6, 20);
    for (width, mut layer) in every_layer(9, outputs) {
        let mut rng = Rng::new(5);
        let (x, dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * outputs));
        let before = values(&mut *layer);
        let step = training_step(&mut *layer, exec, 0, 0, &x, &dy);
        assert_bits(layer.kind(), &values(&mut *layer), &before);

        let learnt = statistics(&mut *layer);
        let (x, dy) = (View::new(&x, [batch, width]).unwrap(), View::new(&dy, [batch, outputs]).unwrap());
        let mut y = Tensor::zeros([batch, outputs]);
        layer.backward(exec, x, View::new(&step.y, [batch, outputs]).unwrap(), dy, None).unwrap();
        layer.forward(exec, Pass::Inference, x, y.view_mut()).unwrap();
        assert_bits(layer.kind(), &statistics(&mut *layer), &learnt);
        assert_bits(layer.kind(), &values(&mut *layer), &before);
        let mut gradients = Vec::new();
        layer.parameters(&mut |parameter| gradients.push(parameter.gradient.to_vec()));
        assert_eq!(gradients, step.gradients, "{}: inference changed a gradient", layer.kind());
    }
}

#[test]
fn a_step_has_the_same_bits_on_every_isa_and_with_two_threads() {
    // 300·100·70 is more than two threads' worth of multiplications; the first batch leaves a buffer too large for the
    // second.
    for batch in [300, 7] {
        let mut rng = Rng::new(6);
        for (at, (width, mut layer)) in every_layer(100, 70).into_iter().enumerate() {
            let (x, dy) = (rng.vec_normal(batch * width), rng.vec_normal(batch * 70));
            let want = training_step(&mut *layer, Exec::serial(), 9, 0, &x, &dy);
            let learnt = statistics(&mut *layer);
            for isa in AnyIsa::available() {
                for threads in [1, 2] {
                    let mut fresh = every_layer(100, 70).swap_remove(at).1;
                    let name = format!("{} on {}, {threads} threads", layer.kind(), isa.name());
                    let got = training_step(&mut *fresh, Exec::with_isa(isa, threads), 9, 0, &x, &dy);
                    assert_same_step(&name, &got, &want);
                    assert_bits(&name, &statistics(&mut *fresh), &learnt);
                }
            }
        }
    }
}

#[test]
fn a_short_batch_after_a_long_one_is_as_with_a_fresh_layer() {
    let exec = Exec::serial();
    for ((width, mut used), (_, mut fresh)) in every_layer(30, 40).into_iter().zip(every_layer(30, 40)) {
        let mut rng = Rng::new(7);
        training_step(&mut *used, exec, 0, 0, &rng.vec_normal(50 * width), &rng.vec_normal(50 * 40));
        let (x, dy) = (rng.vec_normal(3 * width), rng.vec_normal(3 * 40));
        let got = training_step(&mut *used, exec, 1, 0, &x, &dy);
        assert_same_step(used.kind(), &got, &training_step(&mut *fresh, exec, 1, 0, &x, &dy));
    }
}

/// The operand and the layer that an error names, and its message.
fn refused(result: Result<(), ShapeError>) -> (&'static str, &'static str, String) {
    let error = result.expect_err("a wrong shape was accepted");
    let message = error.to_string();
    match error {
        ShapeError::Mismatch { what, left_name, .. } => (left_name, what, message),
        other => panic!("not the error of two shapes: {other}"),
    }
}

#[test]
fn a_wrong_shape_is_an_error_that_names_the_operand() {
    let exec = Exec::serial();
    let zeros = |rows: usize, cols: usize| Tensor::<f32, 2>::zeros([rows, cols]);
    for (width, mut layer) in every_layer(8, 5) {
        let affine = layer.kind().starts_with("affine");
        let name = layer.kind().trim_end_matches("+relu");
        let mut forward = |pass, x: [usize; 2], y: [usize; 2]| {
            let (x, mut y) = (zeros(x[0], x[1]), zeros(y[0], y[1]));
            refused(layer.forward(exec, pass, x.view(), y.view_mut()))
        };
        for pass in [Pass::Training { step: 0 }, Pass::Inference] {
            let wide = forward(pass, [3, width + 1], [3, 5]);
            assert!(wide.2.contains(&format!("{:?}", [3, width + 1])), "the message shows the shape: {}", wide.2);
            let [rows, cols] = [forward(pass, [3, width], [4, 5]), forward(pass, [3, width], [3, 6])];
            assert!(rows.2.contains("[4, 5]") && cols.2.contains("[3, 6]"), "{} {}", rows.2, cols.2);
            if !affine {
                // An affine layer leaves the check to the matrix product, which names its own operands.
                assert_eq!((wide.0, wide.1), ("X", name));
                assert_eq!((rows.0, rows.1, cols.0, cols.1), ("Y", name, "Y", name));
            }
        }
        let mut backward = |x: [usize; 2], y: [usize; 2], dy: [usize; 2], dx: [usize; 2]| {
            let [x, y, dy] = [x, y, dy].map(|[rows, cols]| zeros(rows, cols));
            let mut dx = zeros(dx[0], dx[1]);
            refused(layer.backward(exec, x.view(), y.view(), dy.view(), Some(dx.view_mut())))
        };
        let wide = backward([3, width], [3, 5], [3, 6], [3, width]);
        assert_eq!((wide.0, wide.1), ("dY", name), "{}", wide.2);
        assert!(wide.2.contains("[3, 6]"), "{}", wide.2);
        let dx = backward([3, width], [3, 5], [3, 5], [2, width]);
        assert!(dx.2.contains(&format!("{:?}", [2, width])), "{}", dx.2);
        if !affine {
            assert_eq!((dx.0, dx.1), ("dX", name));
        }
        match name {
            // Dropout needs neither X nor Y, so a mask of the wrong number of rows shows in dX.
            "dropout" => assert_eq!(backward([3, width], [3, 5], [2, 5], [3, width]).0, "dX"),
            _ => assert_eq!(backward([3, width], [3, 5], [2, 5], [3, width]).0, "dY", "{name}"),
        }
        let kind = layer.kind();
        let mut backward_y = |y: [usize; 2]| {
            let (x, y, dy) = (zeros(3, width), zeros(y[0], y[1]), zeros(3, 5));
            layer.backward(exec, x.view(), y.view(), dy.view(), None)
        };
        if matches!(kind, "affine+relu" | "relu" | "sigmoid" | "tanh") {
            assert_eq!(refused(backward_y([3, 4])).0, "Y", "{kind}");
        }
    }
    let bias = Affine::from_parts(Tensor::zeros([8, 5]), Tensor::zeros([4])).map(|_| ());
    assert_eq!(refused(bias).0, "the bias");
}
