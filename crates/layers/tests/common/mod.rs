//! A training step of one layer, on matrices that stand among poison.

use layers::{Layer, Pass};
use tensor::{Exec, View, ViewMut};
use testkit::compare::assert_bits;
use testkit::poison::Poisoned;

/// What forward and then backward give.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// B×O, dense.
    pub y: Vec<f32>,
    /// B×I, dense.
    pub dx: Vec<f32>,
    /// Of each parameter, in the layer's order.
    pub gradients: Vec<Vec<f32>>,
}

/// A training forward and backward with rows `pad` elements further apart than they are long. Outputs are NaN until
/// they are written, and so is all that lies between and around the rows of every operand: what reads or writes there
/// shows.
pub fn training_step(layer: &mut dyn Layer, exec: Exec, step: u64, pad: usize, x: &[f32], dy: &[f32]) -> Step {
    let batch = dy.len() / layer.outputs();
    let (x_shape, y_shape) = ([batch, x.len() / batch], [batch, layer.outputs()]);
    let matrix = |[rows, cols]: [usize; 2]| Poisoned::matrix(rows, cols, cols + pad, 19);
    let (mut y, mut dx) = (matrix(y_shape), matrix(x_shape));
    let (x_in, dy_in) = (matrix(x_shape).with_values(x), matrix(y_shape).with_values(dy));

    layer.reserve(batch);
    layer.forward(exec, Pass::Training { step }, view(&x_in, x_shape), view_mut(&mut y, y_shape)).unwrap();
    let forward = y.values();
    layer
        .backward(
            exec,
            view(&x_in, x_shape),
            view(&y, y_shape),
            view(&dy_in, y_shape),
            Some(view_mut(&mut dx, x_shape)),
        )
        .unwrap();

    let kind = layer.kind();
    assert_bits(&format!("{kind}: X after the step"), &x_in.values(), x);
    assert_bits(&format!("{kind}: dY after the step"), &dy_in.values(), dy);
    assert_bits(&format!("{kind}: Y after backward"), &y.values(), &forward);
    for operand in [&x_in, &y, &dy_in, &dx] {
        operand.assert_guards_untouched();
    }
    let mut gradients = Vec::new();
    layer.parameters(&mut |parameter| gradients.push(parameter.gradient.to_vec()));
    Step { y: forward, dx: dx.values(), gradients }
}

/// The matrix without its poison.
pub fn view(matrix: &Poisoned, shape: [usize; 2]) -> View<'_, f32, 2> {
    View::with_strides(matrix.as_slice(), shape, [matrix.row_stride(), 1]).unwrap()
}

/// The matrix without its poison, to write to.
pub fn view_mut(matrix: &mut Poisoned, shape: [usize; 2]) -> ViewMut<'_, f32, 2> {
    let strides = [matrix.row_stride(), 1];
    ViewMut::with_strides(matrix.as_mut_slice(), shape, strides).unwrap()
}
