//! Batch normalisation (chapter 6.3; Ioffe and Szegedy 2015).
//!
//! ```text
//! forward    μ = Σ x / B            σ² = Σ (x − μ)² / B         per column, over the batch
//!            s = 1 / √(σ² + ε)      x̂ = (x − μ)·s               y = γ·x̂ + β
//! inference  the same with the running mean and variance
//! backward   dβ = Σ dy              dγ = Σ dy·x̂
//!            dx = γ·s·(dy − dβ/B − x̂·dγ/B)
//! ```
//!
//! *Where dx comes from.* Walk the graph backwards. y = γ·x̂ + β gives dx̂ = γ·dy. x̂ᵢ depends on xᵢ directly, through μ
//! (∂μ/∂xᵢ = 1/B) and through s (∂s/∂xᵢ = −s³·(xᵢ − μ)/B), so
//!
//! ```text
//! dxᵢ = s·dx̂ᵢ − (s/B)·Σ dx̂ − (s³·(xᵢ − μ)/B)·Σ dx̂·(x − μ)  =  γ·s·(dyᵢ − Σdy/B − x̂ᵢ·Σ(dy·x̂)/B)
//! ```
//!
//! and the two sums are dβ and dγ, which are needed anyway. The node-by-node version is `testkit::batch_norm`.
//!
//! 1. *Columns in vectors.* Strips of 64 columns go down the rows with their sums in registers (`tensor::vec::sum_strip`);
//!    a strip of the chapter's batches (100 × 64 floats, 25 KB) stays in L1 for all three passes.
//! 2. *x̂ is not stored.* Backward computes it again from X, μ and s: one multiplication instead of a B×D buffer that
//!    would be written and read.
//! 3. *Two passes for the variance.* Σx² − B·μ² is one pass less and loses all digits when μ ≫ σ.
//!
//! **Forms.** Book: ε 1e-6 (its code says `10e-7`), running variance biased, and both running values start at 0. Torch: ε
//! 1e-5, running variance unbiased (·B/(B − 1)), starting at 1. Both keep 0.9 of the running values a batch.

use crate::layer::{Layer, Parameter, Pass, Role, Statistic, expect_shape};
use tensor::isa::{Isa, Op};
use tensor::vec::{STRIP, load_strip, store_strip, sum_strip};
use tensor::{Exec, ShapeError, Tensor, View, ViewMut};

/// Whose ε and running variance; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchNormForm {
    /// *Deep Learning from Scratch*.
    Book,
    /// `torch.nn.BatchNorm1d`.
    Torch,
}

impl BatchNormForm {
    fn epsilon(self) -> f32 {
        match self {
            Self::Book => 1e-6,
            Self::Torch => 1e-5,
        }
    }
}

/// The share of the running values that survives a batch.
const KEPT: f32 = 0.9;
/// The share of the batch in the new running values.
const FRESH: f32 = 0.1;

/// Normalises each of D columns over the batch, then scales and shifts it. Cost: three passes over X forward, two over X
/// and dY backward.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    form: BatchNormForm,
    gamma: Tensor<f32, 1>,
    beta: Tensor<f32, 1>,
    d_gamma: Tensor<f32, 1>,
    d_beta: Tensor<f32, 1>,
    running_mean: Tensor<f32, 1>,
    running_var: Tensor<f32, 1>,
    /// μ and 1/√(σ² + ε) of the last training batch.
    mean: Tensor<f32, 1>,
    inv_std: Tensor<f32, 1>,
}

impl BatchNorm {
    /// `width` columns, γ 1 and β 0.
    pub fn new(width: usize, form: BatchNormForm) -> Self {
        let filled = |value: f32| Tensor::from_fn([width], |_| value);
        let start = if form == BatchNormForm::Torch { 1.0 } else { 0.0 };
        Self {
            form,
            gamma: filled(1.0),
            beta: filled(0.0),
            d_gamma: filled(0.0),
            d_beta: filled(0.0),
            running_mean: filled(0.0),
            running_var: filled(start),
            mean: filled(0.0),
            inv_std: filled(0.0),
        }
    }

    fn width(&self) -> usize {
        self.gamma.len()
    }
}

/// The vectors of a strip, through `f`.
#[inline(always)]
fn each<T>(f: impl FnMut(usize) -> T) -> [T; 4] {
    std::array::from_fn(f)
}

/// Statistics and Y of a training batch.
struct Training<'a> {
    layer: &'a mut BatchNorm,
    x: View<'a, f32, 2>,
    y: ViewMut<'a, f32, 2>,
}

impl Op for Training<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let (rows, width, layer) = (self.x.rows(), self.x.cols(), self.layer);
        let one = isa.splat(1.0);
        let batch = isa.splat(rows as f32);
        let epsilon = isa.splat(layer.form.epsilon());
        let correction = match layer.form {
            BatchNormForm::Book => 1.0,
            // A batch of one has no unbiased variance; PyTorch refuses it, here its variance of 0 is taken as it is.
            BatchNormForm::Torch => rows as f32 / (rows as f32 - 1.0).max(1.0),
        };
        for from in (0..width).step_by(STRIP) {
            let columns = from..width.min(from + STRIP);
            let row = |i: usize| load_strip(isa, &self.x.row(i)[columns.clone()]);

            let [sum] = sum_strip(isa, rows, |i, [sum]| {
                let x = row(i);
                [each(|v| isa.add(sum[v], x[v]))]
            });
            let mean = each(|v| isa.div(sum[v], batch));
            let [squares] = sum_strip(isa, rows, |i, [sum]| {
                let x = row(i);
                [each(|v| {
                    let centred = isa.sub(x[v], mean[v]);
                    isa.fma(centred, centred, sum[v])
                })]
            });
            let var = each(|v| isa.div(squares[v], batch));
            let inv_std = each(|v| isa.div(one, isa.sqrt(isa.add(var[v], epsilon))));

            let gamma = load_strip(isa, &layer.gamma.as_slice()[columns.clone()]);
            let beta = load_strip(isa, &layer.beta.as_slice()[columns.clone()]);
            for i in 0..rows {
                let x = row(i);
                let y = each(|v| {
                    let normalised = isa.mul(isa.sub(x[v], mean[v]), inv_std[v]);
                    isa.fma(gamma[v], normalised, beta[v])
                });
                store_strip(isa, y, &mut self.y.row_mut(i)[columns.clone()]);
            }

            store_strip(isa, mean, &mut layer.mean.as_mut_slice()[columns.clone()]);
            store_strip(isa, inv_std, &mut layer.inv_std.as_mut_slice()[columns.clone()]);
            let keep = |running: &mut Tensor<f32, 1>, fresh: [I::F; 4], scale: f32| {
                let running = &mut running.as_mut_slice()[columns.clone()];
                let kept = load_strip(isa, running);
                let (share, scale) = (isa.splat(FRESH), isa.splat(scale));
                let next = each(|v| isa.fma(share, isa.mul(fresh[v], scale), isa.mul(isa.splat(KEPT), kept[v])));
                store_strip(isa, next, running);
            };
            keep(&mut layer.running_mean, mean, 1.0);
            keep(&mut layer.running_var, var, correction);
        }
    }
}

/// Y from the running statistics.
struct Inference<'a> {
    layer: &'a BatchNorm,
    x: View<'a, f32, 2>,
    y: ViewMut<'a, f32, 2>,
}

impl Op for Inference<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let (layer, width) = (self.layer, self.x.cols());
        let epsilon = isa.splat(layer.form.epsilon());
        for from in (0..width).step_by(STRIP) {
            let columns = from..width.min(from + STRIP);
            let strip = |values: &Tensor<f32, 1>| load_strip(isa, &values.as_slice()[columns.clone()]);
            let (mean, var) = (strip(&layer.running_mean), strip(&layer.running_var));
            let (gamma, beta) = (strip(&layer.gamma), strip(&layer.beta));
            let inv_std = each(|v| isa.div(isa.splat(1.0), isa.sqrt(isa.add(var[v], epsilon))));
            for i in 0..self.x.rows() {
                let x = load_strip(isa, &self.x.row(i)[columns.clone()]);
                let y = each(|v| {
                    let normalised = isa.mul(isa.sub(x[v], mean[v]), inv_std[v]);
                    isa.fma(gamma[v], normalised, beta[v])
                });
                store_strip(isa, y, &mut self.y.row_mut(i)[columns.clone()]);
            }
        }
    }
}

/// dβ, dγ and dX.
struct Backward<'a> {
    layer: &'a mut BatchNorm,
    x: View<'a, f32, 2>,
    dy: View<'a, f32, 2>,
    dx: Option<ViewMut<'a, f32, 2>>,
}

impl Op for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(mut self, isa: I) {
        let (rows, width, layer) = (self.x.rows(), self.x.cols(), self.layer);
        let batch = isa.splat(rows as f32);
        for from in (0..width).step_by(STRIP) {
            let columns = from..width.min(from + STRIP);
            let strip = |values: &Tensor<f32, 1>| load_strip(isa, &values.as_slice()[columns.clone()]);
            let (mean, inv_std, gamma) = (strip(&layer.mean), strip(&layer.inv_std), strip(&layer.gamma));
            let row = |i: usize| {
                let x = load_strip(isa, &self.x.row(i)[columns.clone()]);
                let dy = load_strip(isa, &self.dy.row(i)[columns.clone()]);
                (each(|v| isa.mul(isa.sub(x[v], mean[v]), inv_std[v])), dy)
            };
            let [d_beta, d_gamma] = sum_strip(isa, rows, |i, [d_beta, d_gamma]| {
                let (normalised, dy) = row(i);
                [each(|v| isa.add(d_beta[v], dy[v])), each(|v| isa.fma(dy[v], normalised[v], d_gamma[v]))]
            });
            store_strip(isa, d_beta, &mut layer.d_beta.as_mut_slice()[columns.clone()]);
            store_strip(isa, d_gamma, &mut layer.d_gamma.as_mut_slice()[columns.clone()]);

            let Some(dx) = &mut self.dx else { continue };
            let scale = each(|v| isa.mul(gamma[v], inv_std[v]));
            let mean_dy = each(|v| isa.div(d_beta[v], batch));
            let mean_dy_normalised = each(|v| isa.div(d_gamma[v], batch));
            for i in 0..rows {
                let (normalised, dy) = row(i);
                let out = each(|v| {
                    let centred = isa.sub(dy[v], mean_dy[v]);
                    isa.mul(scale[v], isa.fnma(normalised[v], mean_dy_normalised[v], centred))
                });
                store_strip(isa, out, &mut dx.row_mut(i)[columns.clone()]);
            }
        }
    }
}

impl Layer for BatchNorm {
    fn kind(&self) -> &'static str {
        "batch_norm"
    }

    fn outputs(&self) -> usize {
        self.width()
    }

    fn forward(
        &mut self,
        exec: Exec,
        pass: Pass,
        x: View<'_, f32, 2>,
        y: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        let shape = [x.rows(), self.width()];
        expect_shape("batch_norm", "X", x.shape(), shape)?;
        expect_shape("batch_norm", "Y", y.shape(), shape)?;
        match pass {
            Pass::Training { .. } => exec.run(Training { layer: self, x, y }),
            Pass::Inference => exec.run(Inference { layer: self, x, y }),
        }
        Ok(())
    }

    fn backward(
        &mut self,
        exec: Exec,
        x: View<'_, f32, 2>,
        _: View<'_, f32, 2>,
        dy: View<'_, f32, 2>,
        dx: Option<ViewMut<'_, f32, 2>>,
    ) -> Result<(), ShapeError> {
        let shape = [x.rows(), self.width()];
        expect_shape("batch_norm", "X", x.shape(), shape)?;
        expect_shape("batch_norm", "dY", dy.shape(), shape)?;
        if let Some(dx) = &dx {
            expect_shape("batch_norm", "dX", dx.shape(), shape)?;
        }
        exec.run(Backward { layer: self, x, dy, dx });
        Ok(())
    }

    fn parameters(&mut self, visit: &mut dyn FnMut(Parameter<'_>)) {
        let shape = [self.width(), 1];
        let (value, gradient) = (self.gamma.as_mut_slice(), self.d_gamma.as_slice());
        visit(Parameter { role: Role::Scale, shape, value, gradient });
        let (value, gradient) = (self.beta.as_mut_slice(), self.d_beta.as_slice());
        visit(Parameter { role: Role::Shift, shape, value, gradient });
    }

    fn statistics(&mut self, visit: &mut dyn FnMut(Statistic<'_>)) {
        visit(Statistic { name: "running_mean", value: self.running_mean.as_mut_slice() });
        visit(Statistic { name: "running_var", value: self.running_var.as_mut_slice() });
    }
}
