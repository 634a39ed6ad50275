//! The affine layer, Y = X·W + b, forward and backward, in f64.
//!
//! ```text
//! Y = X·W + b        dX = dY·Wᵀ        dW = Xᵀ·dY        db = Σ dY over the batch
//! ```
//!
//! All are row-major: X is batch×inputs, W inputs×outputs, b one number an output, Y batch×outputs.

/// The sizes of the layer and of the batch it works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affine {
    /// Rows of X and Y.
    pub batch: usize,
    /// Columns of X, rows of W.
    pub inputs: usize,
    /// Columns of W and Y.
    pub outputs: usize,
}

/// What the loss gradient is for each operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// batch×inputs.
    pub dx: Vec<f64>,
    /// inputs×outputs.
    pub dw: Vec<f64>,
    /// One number an output.
    pub db: Vec<f64>,
}

impl Affine {
    /// Y = X·W + b.
    ///
    /// # Panics
    /// If a length contradicts the sizes.
    pub fn forward(&self, x: &[f64], w: &[f64], b: &[f64]) -> Vec<f64> {
        let &Affine { batch, inputs, outputs } = self;
        self.check_operands(x, w);
        assert_eq!(b.len(), outputs, "b has one number an output");
        let mut y = vec![0.0; batch * outputs];
        for r in 0..batch {
            for o in 0..outputs {
                let product: f64 = (0..inputs).map(|i| x[r * inputs + i] * w[i * outputs + o]).sum();
                y[r * outputs + o] = product + b[o];
            }
        }
        y
    }

    /// dX = dY·Wᵀ, dW = Xᵀ·dY, db = the column sums of dY.
    ///
    /// # Panics
    /// If a length contradicts the sizes.
    pub fn backward(&self, x: &[f64], w: &[f64], dy: &[f64]) -> Gradients {
        let &Affine { batch, inputs, outputs } = self;
        self.check_operands(x, w);
        assert_eq!(dy.len(), batch * outputs, "dY is {batch}×{outputs}");
        let mut dx = vec![0.0; batch * inputs];
        let mut dw = vec![0.0; inputs * outputs];
        let mut db = vec![0.0; outputs];
        for r in 0..batch {
            for o in 0..outputs {
                let slope = dy[r * outputs + o];
                db[o] += slope;
                for i in 0..inputs {
                    dx[r * inputs + i] += slope * w[i * outputs + o];
                    dw[i * outputs + o] += slope * x[r * inputs + i];
                }
            }
        }
        Gradients { dx, dw, db }
    }

    fn check_operands(&self, x: &[f64], w: &[f64]) {
        assert_eq!(x.len(), self.batch * self.inputs, "X is {}×{}", self.batch, self.inputs);
        assert_eq!(w.len(), self.inputs * self.outputs, "W is {}×{}", self.inputs, self.outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradient_f64, central_difference};
    use crate::rng::Rng;
    use crate::vector::widen;

    #[test]
    fn values_worked_by_hand() {
        let layer = Affine { batch: 2, inputs: 3, outputs: 2 };
        let x = [1.0, 2.0, 3.0, -1.0, 0.0, 1.0];
        let w = [1.0, 4.0, 2.0, 5.0, 3.0, 6.0];
        // Row 0: 1+4+9+10, 4+10+18-10. Row 1: -1+3+10, -4+6-10.
        assert_eq!(layer.forward(&x, &w, &[10.0, -10.0]), [24.0, 22.0, 12.0, -8.0]);
        let Gradients { dx, dw, db } = layer.backward(&x, &w, &[1.0, 0.0, 2.0, -1.0]);
        assert_eq!(dx, [1.0, 2.0, 3.0, -2.0, -1.0, 0.0]);
        assert_eq!(dw, [-1.0, 1.0, 2.0, 0.0, 5.0, -1.0]);
        assert_eq!(db, [3.0, -1.0]);
    }

    #[test]
    fn backward_is_the_slope_of_forward() {
        let layer = Affine { batch: 5, inputs: 4, outputs: 3 };
        let mut rng = Rng::new(5);
        let mut draw = |n| widen(&rng.vec_normal(n));
        let (x, w, b, dy) = (draw(20), draw(12), draw(3), draw(15));
        let loss = |x: &[f64], w: &[f64], b: &[f64]| layer.forward(x, w, b).iter().zip(&dy).map(|(y, dy)| y * dy).sum();
        let got = layer.backward(&x, &w, &dy);
        let check = |name: &str, analytic: &[f64], numeric: &[f64]| {
            assert_gradient_f64(name, analytic, numeric, 1e-7, 1e-8, 1.0);
        };
        check("x", &got.dx, &central_difference(|x| loss(x, &w, &b), &x, 1e-5));
        check("w", &got.dw, &central_difference(|w| loss(&x, w, &b), &w, 1e-5));
        check("b", &got.db, &central_difference(|b| loss(&x, &w, b), &b, 1e-5));
    }

    #[test]
    #[should_panic(expected = "W is 3×2")]
    fn refuses_weights_of_another_shape() {
        Affine { batch: 1, inputs: 3, outputs: 2 }.forward(&[0.0; 3], &[0.0; 5], &[0.0; 2]);
    }
}
