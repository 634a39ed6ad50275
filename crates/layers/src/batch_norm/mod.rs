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
//! *Where dx comes from.* Walk the graph backwards. y = γ·x̂ + β gives dx̂ = γ·dy. x̂ᵢ depends on xᵢ directly, through
//! μ (∂μ/∂xᵢ = 1/B) and through s (∂s/∂xᵢ = −s³·(xᵢ − μ)/B), so
//!
//! ```text
//! dxᵢ = s·dx̂ᵢ − (s/B)·Σ dx̂ − (s³·(xᵢ − μ)/B)·Σ dx̂·(x − μ)  =  γ·s·(dyᵢ − Σdy/B − x̂ᵢ·Σ(dy·x̂)/B)
//! ```
//!
//! and the two sums are dβ and dγ, which are needed anyway. The node-by-node version is `testkit::batch_norm`.
//!
//! 1. *Along the rows, a block of them at a time* (`kernels.rs`): each row is a stream, and the numbers a column are in
//!    registers for all rows of the block.
//! 2. *x̂ is not stored.* Backward computes it again from X and μ: a subtraction instead of a B×D buffer that would be
//!    written and read.
//! 3. *What is the same down a column is taken out of the loop.* With t = x − μ, forward is y = (γ·s)·t + β. Backward's
//!    sums are Σ dy and Σ dy·t (dγ = s·Σ dy·t), and dx = γ·s·((dy − dβ/B) − (s·dγ/B)·t). The differences stay
//!    differences: multiplied out, x·b + c loses its digits when μ ≫ σ.
//! 4. *Mean and variance in one pass.* Each block of rows has its own mean and its own Σ (x − mean)², from registers.
//!    Two blocks are merged by Chan, Golub and LeVeque's formula: with δ the difference of the means, the squares add up
//!    to S₁ + S₂ + δ²·n₁n₂/(n₁ + n₂). Σx² − B·μ² would be one pass too, and loses all digits when μ ≫ σ.
//!
//! **Forms.** Book: ε 1e-6 (its code says `10e-7`), running variance biased, and both running values start at 0. Torch:
//! ε 1e-5, running variance unbiased (·B/(B − 1)), starting at 1. Both keep 0.9 of the running values a batch.

mod kernels;

use crate::layer::{Layer, Parameter, Pass, Role, Statistic, expect_shape};
use kernels::{Backward, Constants, Inference, Training};
use tensor::profile::{Work, kernel};
use tensor::vec::for_all_columns;
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
    fn constants(self) -> Constants {
        match self {
            Self::Book => Constants { epsilon: 1e-6, unbiased: false },
            Self::Torch => Constants { epsilon: 1e-5, unbiased: true },
        }
    }
}

/// Normalises each of D columns over the batch, then scales and shifts it. Cost: two passes over X forward, two over X and dY backward.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    form: BatchNormForm,
    gamma: Tensor<f32, 1>,
    beta: Tensor<f32, 1>,
    d_gamma: Tensor<f32, 1>,
    d_beta: Tensor<f32, 1>,
    running_mean: Tensor<f32, 1>,
    running_var: Tensor<f32, 1>,
    /// μ, σ², 1/√(σ² + ε) and γ/√(σ² + ε) of the last training batch.
    mean: Tensor<f32, 1>,
    var: Tensor<f32, 1>,
    inv_std: Tensor<f32, 1>,
    scale: Tensor<f32, 1>,
    /// Σdy/B and s·dγ/B, while a backward pass is made; of the running variance, γ/√(σ² + ε), while an inference pass
    /// is.
    mean_dy: Tensor<f32, 1>,
    slope: Tensor<f32, 1>,
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
            var: filled(0.0),
            inv_std: filled(0.0),
            scale: filled(0.0),
            mean_dy: filled(0.0),
            slope: filled(0.0),
        }
    }

    fn width(&self) -> usize {
        self.gamma.len()
    }

    /// Fills Y; with `relu`, max(0, Y).
    ///
    /// # Errors
    /// As [`Layer::forward`].
    pub fn forward_with(
        &mut self,
        exec: Exec,
        pass: Pass,
        x: View<'_, f32, 2>,
        y: ViewMut<'_, f32, 2>,
        relu: bool,
    ) -> Result<(), ShapeError> {
        let shape = [x.rows(), self.width()];
        // No sample has no mean, and the running values would be NaN for good.
        let least = usize::from(matches!(pass, Pass::Training { .. }));
        expect_shape("batch_norm", "X", x.shape(), [x.rows().max(least), self.width()])?;
        expect_shape("batch_norm", "Y", y.shape(), shape)?;
        // Subtract and add; subtract, multiply-add; subtract, multiply, multiply-add.
        kernel("batch norm", Work::streaming(x.len(), x.len(), 8 * x.len()), || match pass {
            Pass::Training { .. } if relu => self.train::<true>(exec, x, y),
            Pass::Training { .. } => self.train::<false>(exec, x, y),
            Pass::Inference if relu => self.infer::<true>(exec, x, y),
            Pass::Inference => self.infer::<false>(exec, x, y),
        });
        Ok(())
    }

    /// Statistics and Y of a training batch.
    fn train<const RELU: bool>(&mut self, exec: Exec, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) {
        let (gamma, beta) = (self.gamma.as_slice(), self.beta.as_slice());
        let kernel = Training::<RELU> { constants: self.form.constants(), gamma, beta };
        let per_column = [
            self.mean.as_mut_slice(),
            self.var.as_mut_slice(),
            self.inv_std.as_mut_slice(),
            self.scale.as_mut_slice(),
            self.running_mean.as_mut_slice(),
            self.running_var.as_mut_slice(),
        ];
        for_all_columns(exec, &kernel, [x], [y], per_column);
    }

    /// Y from the running statistics.
    fn infer<const RELU: bool>(&mut self, exec: Exec, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) {
        let kernel = Inference::<RELU> {
            constants: self.form.constants(),
            gamma: self.gamma.as_slice(),
            beta: self.beta.as_slice(),
            running_mean: self.running_mean.as_slice(),
            running_var: self.running_var.as_slice(),
        };
        for_all_columns(exec, &kernel, [x], [y], [self.slope.as_mut_slice()]);
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
        self.forward_with(exec, pass, x, y, false)
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
        let work = Work::streaming(2 * x.len(), dx.as_ref().map_or(0, ViewMut::len), 11 * x.len());
        kernel("batch norm", work, || {
            let [mean, inv_std, scale] = [&self.mean, &self.inv_std, &self.scale].map(Tensor::as_slice);
            let per_column = [
                self.d_beta.as_mut_slice(),
                self.d_gamma.as_mut_slice(),
                self.mean_dy.as_mut_slice(),
                self.slope.as_mut_slice(),
            ];
            let kernel = Backward { mean, inv_std, scale };
            match dx {
                Some(dx) => for_all_columns(exec, &kernel, [x, dy], [dx], per_column),
                None => for_all_columns(exec, &kernel, [x, dy], [], per_column),
            }
        });
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
