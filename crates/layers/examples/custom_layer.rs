//! A layer of one's own: PReLU (He et al., 2015), a ReLU whose slope below 0 is learnt, one a column.
//!
//! ```text
//! y = x  where x > 0, else a·x        dx = dy  where x > 0, else a·dy        da = Σ dy·x  over the rows where x ≤ 0
//! ```
//!
//! Shapes: X, Y, dY and dX are B×D, a is D. The layer implements [`Layer`] and nothing else; `NetworkLayer::custom` puts
//! it among the others. It is written in plain loops. The rules of fusion look for the crate's own layers, so they leave
//! it alone, and the network is right with it.
//!
//! `cargo run --release -p layers --example custom_layer` trains a small network on points inside and outside a circle.

use layers::{
    Affine, Fusion, Init, Layer, Network, NetworkLayer, Parameter, Pass, Role, State, Stream, UpdateRule, stream,
};
use tensor::{Exec, ShapeError, Tensor, View, ViewMut};

/// The slope below 0 before it is learnt, as in the paper.
const START: f32 = 0.25;

struct PRelu {
    slope: Tensor<f32, 1>,
    d_slope: Tensor<f32, 1>,
}

impl PRelu {
    fn new(width: usize) -> Self {
        Self { slope: Tensor::from_fn([width], |_| START), d_slope: Tensor::zeros([width]) }
    }

    /// Refuses an operand that is not B×D.
    fn expect(&self, name: &'static str, got: [usize; 2], rows: usize) -> Result<(), ShapeError> {
        let want = [rows, self.outputs()];
        if got == want {
            return Ok(());
        }
        Err(ShapeError::Mismatch {
            what: "prelu",
            left_name: name,
            left: got.to_vec(),
            right_name: "what the layer needs",
            right: want.to_vec(),
            rule: "they must be equal",
        })
    }
}

impl Layer for PRelu {
    fn kind(&self) -> &'static str {
        "prelu"
    }

    fn outputs(&self) -> usize {
        self.slope.len()
    }

    fn forward(&mut self, _: Exec, _: Pass, x: View<'_, f32, 2>, mut y: ViewMut<'_, f32, 2>) -> Result<(), ShapeError> {
        self.expect("X", x.shape(), x.rows())?;
        self.expect("Y", y.shape(), x.rows())?;
        for r in 0..x.rows() {
            for ((y, &x), &a) in y.row_mut(r).iter_mut().zip(x.row(r)).zip(self.slope.as_slice()) {
                *y = if x > 0.0 { x } else { a * x };
            }
        }
        Ok(())
    }

    fn backward(
        &mut self,
        _: Exec,
        x: View<'_, f32, 2>,
        _: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        self.expect("X", x.shape(), x.rows())?;
        self.expect("dY", dy.shape(), x.rows())?;
        // Gradients are not accumulated from batch to batch.
        self.d_slope.as_mut_slice().fill(0.0);
        for r in 0..x.rows() {
            for ((d_slope, &x), &dy) in self.d_slope.as_mut_slice().iter_mut().zip(x.row(r)).zip(dy.row(r)) {
                *d_slope += if x > 0.0 { 0.0 } else { dy * x };
            }
        }
        // Nobody needs dX of a network's first layer.
        let Some(mut dx) = dx else { return Ok(()) };
        self.expect("dX", dx.shape(), x.rows())?;
        for r in 0..x.rows() {
            let operands = x.row(r).iter().zip(dy.row(r)).zip(self.slope.as_slice());
            for (dx, ((&x, &dy), &a)) in dx.row_mut(r).iter_mut().zip(operands) {
                *dx = if x > 0.0 { dy } else { a * dy };
            }
        }
        Ok(())
    }

    fn parameters(&mut self, visit: &mut dyn FnMut(Parameter<'_>)) {
        let shape = [self.outputs(), 1];
        let (value, gradient) = (self.slope.as_mut_slice(), self.d_slope.as_slice());
        visit(Parameter { role: Role::Scale, shape, value, gradient });
    }
}

/// θ ← θ − η·dL/dθ. The rules of the chapter are in the crate `optim`.
struct Descent(f32);

impl UpdateRule for Descent {
    fn apply(&self, _: Exec, _: Role, value: &mut [f32], gradient: &[f32], _: [&mut [f32]; 2]) {
        for (value, gradient) in value.iter_mut().zip(gradient) {
            *value -= self.0 * gradient;
        }
    }
}

/// affine 2→16, PReLU, affine 16→2.
fn network(exec: Exec, batch: usize) -> Network {
    let mut rng = stream(1, Stream::Weights);
    let first = Affine::new(exec, 2, 16, Init::He, &mut rng);
    let last = Affine::new(exec, 16, 2, Init::He, &mut rng);
    let layers = vec![first.into(), NetworkLayer::custom(PRelu::new(16)), last.into()];
    Network::from_layers(exec, 2, layers, batch, Fusion::default())
}

/// Points of a grid over [-1, 1]², and whether each is within 0.7 of the centre.
fn points(side: usize) -> (Tensor<f32, 2>, Vec<u8>) {
    let at = |i: usize| 2.0 * i as f32 / (side - 1) as f32 - 1.0;
    let x = Tensor::from_fn([side * side, 2], |[i, j]| if j == 0 { at(i / side) } else { at(i % side) });
    let inside = |i| x.view().row(i).iter().map(|x| x * x).sum::<f32>() < 0.49;
    let labels = (0..side * side).map(|i| u8::from(inside(i))).collect();
    (x, labels)
}

/// The losses of `steps` steps on all points at once.
fn train(exec: Exec, network: &mut Network, x: &Tensor<f32, 2>, labels: &[u8], steps: u64) -> Vec<f32> {
    let mut state: Vec<State> = network.parameter_lengths().into_iter().map(|_| State::default()).collect();
    let batch = layers::Batch::Floats(x.view());
    let mut step = |step| network.loss_and_update(exec, step, batch, labels, &Descent(0.5), &mut state);
    (0..steps).map(|number| step(number).expect("the shapes fit")).collect()
}

fn main() {
    let exec = Exec::serial();
    let (x, labels) = points(20);
    let mut network = network(exec, labels.len());
    println!("{}", network.programs()[0]);
    let losses = train(exec, &mut network, &x, &labels, 300);
    println!("loss {:.3} before, {:.3} after {} steps", losses[0], losses[losses.len() - 1], losses.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::gradcheck::{assert_gradient, central_difference};
    use testkit::rng::Rng;
    use testkit::vector::widen;

    #[test]
    fn its_backward_is_the_slope_of_its_forward() {
        let shape @ [batch, width] = [5, 7];
        let mut rng = Rng::new(1);
        // At least 0.1 from the corner.
        let mut draw = |n| rng.vec_normal(n).into_iter().map(|x| x + 0.1_f32.copysign(x)).collect::<Vec<f32>>();
        let (x, dy) = (draw(batch * width), draw(batch * width));
        let loss = |x: &[f64], a: &[f64]| -> f64 {
            let value = |i: usize| if x[i] > 0.0 { x[i] } else { a[i % width] * x[i] };
            (0..x.len()).map(|i| f64::from(dy[i]) * value(i)).sum()
        };
        let (x64, a64) = (widen(&x), vec![f64::from(START); width]);
        let want_dx = central_difference(|x| loss(x, &a64), &x64, 1e-5);
        let want_da = central_difference(|a| loss(&x64, a), &a64, 1e-5);

        let mut layer = PRelu::new(width);
        let (mut y, mut dx) = (Tensor::zeros(shape), Tensor::zeros(shape));
        let view = |values| View::new(values, shape).unwrap();
        let exec = Exec::serial();
        layer.forward(exec, Pass::Training { step: 0 }, view(&x), y.view_mut()).unwrap();
        layer.backward(exec, view(&x), y.view(), view(&dy), Some(dx.view_mut())).unwrap();
        assert_gradient("X", dx.as_slice(), &want_dx, 1e-6, 1e-6, 1.0);
        assert_gradient("a", layer.d_slope.as_slice(), &want_da, 1e-5, 1e-5, 0.8);
    }

    #[test]
    fn a_network_learns_with_it_and_moves_its_slopes() {
        let (x, labels) = points(20);
        let mut network = network(Exec::serial(), labels.len());
        let losses = train(Exec::serial(), &mut network, &x, &labels, 300);
        assert!(losses[299] < 0.5 * losses[0], "from {} to {}", losses[0], losses[299]);
        network.parameters(&mut |layer, parameter| {
            assert!(layer != 1 || parameter.value.iter().any(|&a| a != START), "the slopes do not move");
        });
    }
}
