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
//! 1. *Along the rows, a block of them at a time* (`tensor/src/vec/columns.rs`): each row is a stream, and the numbers
//!    a column are in registers for a vector of all the block's rows. It is two passes over X forward, in blocks of 8
//!    and of 4 rows, and two over X and dY backward, in blocks of 4 and of 2. The second passes are folded ([`each`]):
//!    rows of 100 floats are taken four at a time, as whole vectors.
//! 2. *x̂ is not stored.* Backward computes it again from X and μ: a subtraction instead of a B×D buffer that would be
//!    written and read.
//! 3. *What is the same down a column is taken out of the loop.* With t = x − μ, forward is y = (γ·s)·t + β; backward's
//!    sums are Σ dy and Σ dy·t (dγ = s·Σ dy·t), and dx = γ·s·((dy − dβ/B) − (s·dγ/B)·t): four operations an element
//!    instead of five. The differences stay differences: multiplied out, x·b + c loses its digits when μ ≫ σ, and the
//!    dx of a batch of one is no longer 0.
//! 4. *Mean and variance in one pass.* Each block of eight rows has its own mean and its own Σ (x − mean)², from
//!    registers; two blocks are merged by Chan, Golub and LeVeque's formula: with δ the difference of the means, the
//!    squares add up to S₁ + S₂ + δ²·n₁n₂/(n₁ + n₂). Σx² − B·μ² would be one pass too, and loses all digits when μ ≫ σ;
//!    this does not. (Two passes, the second with the mean known, read X once more.)
//! 5. *The ReLU behind it is free* ([`BatchNorm::with_relu`]): a maximum as y is stored. Its derivative is the next
//!    layer's to apply as it makes dY; where that does not, it is made again from the sign of γ·s·t + β.
//!
//! What was measured before and after the loops were written so: `docs/step.md`.
//!
//! **Forms.** Book: ε 1e-6 (its code says `10e-7`), running variance biased, and both running values start at 0. Torch:
//! ε 1e-5, running variance unbiased (·B/(B − 1)), starting at 1. Both keep 0.9 of the running values a batch.

use crate::layer::{Layer, Parameter, Pass, Role, Statistic, expect_shape};
use std::ops::Range;
use tensor::isa::Isa;
use tensor::profile::{Work, kernel};
use tensor::vec::{
    ASCENDING, BlockKernel, ColumnKernel, Columns, ColumnsMut, DESCENDING, each, for_all_columns, once, pass,
};
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

/// Normalises each of D columns over the batch, then scales and shifts it; with a ReLU behind that, if asked for. Cost:
/// two passes over X forward, two over X and dY backward.
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
    relu: bool,
    /// Whether dY comes with the ReLU's derivative in it.
    dy_is_gated: bool,
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
            relu: false,
            dy_is_gated: false,
        }
    }

    /// The fused form, with a ReLU on its output.
    pub fn with_relu(self) -> Self {
        Self { relu: true, ..self }
    }

    fn width(&self) -> usize {
        self.gamma.len()
    }

    /// Statistics and Y of a training batch.
    fn train<const RELU: bool>(&mut self, exec: Exec, x: View<'_, f32, 2>, y: ViewMut<'_, f32, 2>) {
        let kernel = Training::<RELU> { form: self.form, gamma: self.gamma.as_slice(), beta: self.beta.as_slice() };
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
            form: self.form,
            gamma: self.gamma.as_slice(),
            beta: self.beta.as_slice(),
            running_mean: self.running_mean.as_slice(),
            running_var: self.running_var.as_slice(),
        };
        for_all_columns(exec, &kernel, [x], [y], [self.slope.as_mut_slice()]);
    }

    /// dγ, dβ, and dX, if asked for; with `MASK`, after the ReLU's derivative.
    fn gradients<const MASK: bool>(
        &mut self,
        exec: Exec,
        x_dy: [View<'_, f32, 2>; 2],
        dx: Option<ViewMut<'_, f32, 2>>,
    ) {
        let kernel = Backward::<MASK> {
            beta: self.beta.as_slice(),
            mean: self.mean.as_slice(),
            inv_std: self.inv_std.as_slice(),
            scale: self.scale.as_slice(),
        };
        let per_column = [
            self.d_beta.as_mut_slice(),
            self.d_gamma.as_mut_slice(),
            self.mean_dy.as_mut_slice(),
            self.slope.as_mut_slice(),
        ];
        match dx {
            Some(dx) => for_all_columns(exec, &kernel, x_dy, [dx], per_column),
            None => for_all_columns(exec, &kernel, x_dy, [], per_column),
        }
    }
}

/// Rows of a block of each pass: as many as there are registers for the addresses of its rows and numbers.
const MOMENTS_ROWS: usize = 8;
const NORMALISE_ROWS: usize = 4;
const SUMS_ROWS: usize = 4;
const GRADIENT_ROWS: usize = 2;

/// Mean and Σ (x − mean)² of the rows so far, which move.
struct Moments;

impl BlockKernel<1, 0, 0, 2> for Moments {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        first: usize,
        [x]: [[I::F; R]; 1],
        []: [I::F; 0],
        [mean, squares]: [I::F; 2],
    ) -> ([[I::F; R]; 0], [I::F; 2]) {
        let mut sum = x[0];
        for &x in &x[1..] {
            sum = isa.add(sum, x);
        }
        let block_mean = isa.mul(sum, isa.splat(1.0 / R as f32));
        let mut block_squares = isa.splat(0.0);
        for x in x {
            let centred = isa.sub(x, block_mean);
            block_squares = isa.fma(centred, centred, block_squares);
        }
        // `first` rows before, R now.
        let all = (first + R) as f32;
        let (share, weight) = (isa.splat(R as f32 / all), isa.splat(first as f32 * (R as f32 / all)));
        let delta = isa.sub(block_mean, mean);
        let squares = isa.add(squares, block_squares);
        ([], [isa.fma(delta, share, mean), isa.fma(isa.mul(delta, delta), weight, squares)])
    }
}

/// 1/√(var + ε)
#[inline(always)]
fn inverse_root<I: Isa>(isa: I, var: I::F, form: BatchNormForm) -> I::F {
    isa.div(isa.splat(1.0), isa.sqrt(isa.add(var, isa.splat(form.epsilon()))))
}

/// From γ: of μ, Σ (x − μ)², and the running mean and variance: μ, σ², 1/√(σ² + ε), γ/√(σ² + ε), and the next running
/// mean and variance.
struct Statistics {
    form: BatchNormForm,
}

impl BlockKernel<0, 0, 1, 6> for Statistics {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        rows: usize,
        []: [[I::F; R]; 0],
        [gamma]: [I::F; 1],
        [mean, squares, _, _, running_mean, running_var]: [I::F; 6],
    ) -> ([[I::F; R]; 0], [I::F; 6]) {
        let rows = rows as f32;
        let correction = match self.form {
            BatchNormForm::Book => 1.0,
            // A batch of one has no unbiased variance; PyTorch refuses it, here its variance of 0 is taken as it is.
            BatchNormForm::Torch => rows / (rows - 1.0).max(1.0),
        };
        let var = isa.div(squares, isa.splat(rows));
        let inv_std = inverse_root(isa, var, self.form);
        let (kept, fresh) = (isa.splat(KEPT), isa.splat(FRESH));
        let running_mean = isa.fma(fresh, mean, isa.mul(kept, running_mean));
        let running_var = isa.fma(fresh, isa.mul(var, isa.splat(correction)), isa.mul(kept, running_var));
        ([], [mean, var, inv_std, isa.mul(gamma, inv_std), running_mean, running_var])
    }
}

/// γ/√(σ² + ε), from γ and σ².
struct Scale {
    form: BatchNormForm,
}

impl BlockKernel<0, 0, 2, 1> for Scale {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        []: [[I::F; R]; 0],
        [gamma, var]: [I::F; 2],
        _: [I::F; 1],
    ) -> ([[I::F; R]; 0], [I::F; 1]) {
        ([], [isa.mul(gamma, inverse_root(isa, var, self.form))])
    }
}

/// y = scale·(x − mean) + shift, and the ReLU.
#[inline(always)]
fn normalise<I: Isa>(isa: I, x: I::F, [mean, scale, shift]: [I::F; 3]) -> I::F {
    isa.fma(scale, isa.sub(x, mean), shift)
}

/// Y from mean, scale and shift.
struct Normalise<const RELU: bool>;

impl<const RELU: bool> BlockKernel<1, 1, 3, 0> for Normalise<RELU> {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        [x]: [[I::F; R]; 1],
        numbers: [I::F; 3],
        []: [I::F; 0],
    ) -> ([[I::F; R]; 1], [I::F; 0]) {
        let zero = isa.splat(0.0);
        let mut y = x;
        for y in &mut y {
            *y = normalise(isa, *y, numbers);
            if RELU {
                *y = isa.max(zero, *y);
            }
        }
        ([y], [])
    }
}

/// Statistics and Y of a training batch. A number a column: μ, σ², 1/√(σ² + ε), γ/√(σ² + ε), and the running mean and
/// variance.
struct Training<'a, const RELU: bool> {
    form: BatchNormForm,
    gamma: &'a [f32],
    beta: &'a [f32],
}

impl<const RELU: bool> ColumnKernel<1, 1, 6> for Training<'_, RELU> {
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        columns: Range<usize>,
        [x]: [Columns<'_>; 1],
        mut y: [ColumnsMut<'_>; 1],
        [mean, var, inv_std, scale, running_mean, running_var]: [&mut [f32]; 6],
    ) {
        mean.fill(0.0);
        var.fill(0.0);
        pass::<I, _, 1, 0, 0, 2, MOMENTS_ROWS, ASCENDING>(
            isa,
            &Moments,
            [x],
            &mut [],
            [],
            &mut [&mut *mean, &mut *var],
        );
        let (gamma, beta) = (&self.gamma[columns.clone()], &self.beta[columns]);
        let numbers = &mut [&mut *mean, &mut *var, inv_std, &mut *scale, running_mean, running_var];
        once(isa, &Statistics { form: self.form }, x.rows(), [gamma], numbers);
        each::<I, _, 1, 1, 3, NORMALISE_ROWS, DESCENDING>(isa, &Normalise::<RELU>, [x], &mut y, [mean, scale, beta]);
    }
}

/// Y from the running statistics. A number a column: γ/√(σ² + ε).
struct Inference<'a, const RELU: bool> {
    form: BatchNormForm,
    gamma: &'a [f32],
    beta: &'a [f32],
    running_mean: &'a [f32],
    running_var: &'a [f32],
}

impl<const RELU: bool> ColumnKernel<1, 1, 1> for Inference<'_, RELU> {
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        columns: Range<usize>,
        x: [Columns<'_>; 1],
        mut y: [ColumnsMut<'_>; 1],
        [scale]: [&mut [f32]; 1],
    ) {
        let (gamma, var) = (&self.gamma[columns.clone()], &self.running_var[columns.clone()]);
        once(isa, &Scale { form: self.form }, 0, [gamma, var], &mut [&mut *scale]);
        let (mean, shift) = (&self.running_mean[columns.clone()], &self.beta[columns]);
        each::<I, _, 1, 1, 3, NORMALISE_ROWS, ASCENDING>(isa, &Normalise::<RELU>, x, &mut y, [mean, scale, shift]);
    }
}

/// Σ dy and Σ dy·(x − μ), which move. With `MASK`, dy is 0 where scale·(x − mean) + shift ≤ 0.
struct Sums<const MASK: bool>;

impl<const MASK: bool> BlockKernel<2, 0, 3, 2> for Sums<MASK> {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        [x, dy]: [[I::F; R]; 2],
        numbers: [I::F; 3],
        [sum_dy, sum_dy_t]: [I::F; 2],
    ) -> ([[I::F; R]; 0], [I::F; 2]) {
        let zero = isa.splat(0.0);
        let (mut block_dy, mut block_dy_t) = (zero, zero);
        for r in 0..R {
            let dy = if MASK { isa.gate(normalise(isa, x[r], numbers), dy[r]) } else { dy[r] };
            block_dy = isa.add(block_dy, dy);
            block_dy_t = isa.fma(dy, isa.sub(x[r], numbers[0]), block_dy_t);
        }
        ([], [isa.add(sum_dy, block_dy), isa.add(sum_dy_t, block_dy_t)])
    }
}

/// From 1/√(σ² + ε): of dβ and Σ dy·(x − μ): dβ, dγ, dβ/B and the slope.
struct Slopes;

impl BlockKernel<0, 0, 1, 4> for Slopes {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        rows: usize,
        []: [[I::F; R]; 0],
        [inv_std]: [I::F; 1],
        [d_beta, sum_dy_t, _, _]: [I::F; 4],
    ) -> ([[I::F; R]; 0], [I::F; 4]) {
        let rows = isa.splat(rows as f32);
        let d_gamma = isa.mul(sum_dy_t, inv_std);
        ([], [d_beta, d_gamma, isa.div(d_beta, rows), isa.mul(inv_std, isa.div(d_gamma, rows))])
    }
}

/// dX from mean, scale, shift, Σdy/B and the slope s·dγ/B.
struct Gradient<const MASK: bool>;

impl<const MASK: bool> BlockKernel<2, 1, 5, 0> for Gradient<MASK> {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        [x, dy]: [[I::F; R]; 2],
        [mean, scale, shift, mean_dy, slope]: [I::F; 5],
        []: [I::F; 0],
    ) -> ([[I::F; R]; 1], [I::F; 0]) {
        let mut dx = x;
        for r in 0..R {
            let dy = if MASK { isa.gate(normalise(isa, x[r], [mean, scale, shift]), dy[r]) } else { dy[r] };
            let centred = isa.sub(dy, mean_dy);
            dx[r] = isa.mul(scale, isa.fnma(slope, isa.sub(x[r], mean), centred));
        }
        ([dx], [])
    }
}

/// dβ and dγ, and dX, if it is there, from X and dY. A number a column: dβ, dγ, dβ/B and the slope.
struct Backward<'a, const MASK: bool> {
    beta: &'a [f32],
    mean: &'a [f32],
    inv_std: &'a [f32],
    /// γ/√(σ² + ε)
    scale: &'a [f32],
}

impl<const DX: usize, const MASK: bool> ColumnKernel<2, DX, 4> for Backward<'_, MASK> {
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        columns: Range<usize>,
        x: [Columns<'_>; 2],
        dx: [ColumnsMut<'_>; DX],
        [d_beta, d_gamma, mean_dy, slope]: [&mut [f32]; 4],
    ) {
        let [beta, mean, inv_std, scale] =
            [self.beta, self.mean, self.inv_std, self.scale].map(|values| &values[columns.clone()]);
        d_beta.fill(0.0);
        d_gamma.fill(0.0);
        let moving = &mut [&mut *d_beta, &mut *d_gamma];
        pass::<I, _, 2, 0, 3, 2, SUMS_ROWS, ASCENDING>(isa, &Sums::<MASK>, x, &mut [], [mean, scale, beta], moving);
        once(isa, &Slopes, x[0].rows(), [inv_std], &mut [&mut *d_beta, &mut *d_gamma, &mut *mean_dy, &mut *slope]);
        for dx in dx {
            let numbers = [mean, scale, beta, &*mean_dy, &*slope];
            each::<I, _, 2, 1, 5, GRADIENT_ROWS, DESCENDING>(isa, &Gradient::<MASK>, x, &mut [dx], numbers);
        }
    }
}

impl Layer for BatchNorm {
    fn kind(&self) -> &'static str {
        if self.relu { "batch_norm+relu" } else { "batch_norm" }
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
        // No sample has no mean, and the running values would be NaN for good.
        let least = usize::from(matches!(pass, Pass::Training { .. }));
        expect_shape("batch_norm", "X", x.shape(), [x.rows().max(least), self.width()])?;
        expect_shape("batch_norm", "Y", y.shape(), shape)?;
        // Subtract and add; subtract, multiply-add; subtract, multiply, multiply-add.
        kernel("batch norm", Work::streaming(x.len(), x.len(), 8 * x.len()), || match pass {
            Pass::Training { .. } if self.relu => self.train::<true>(exec, x, y),
            Pass::Training { .. } => self.train::<false>(exec, x, y),
            Pass::Inference if self.relu => self.infer::<true>(exec, x, y),
            Pass::Inference => self.infer::<false>(exec, x, y),
        });
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
        let work = Work::streaming(2 * x.len(), dx.as_ref().map_or(0, ViewMut::len), 11 * x.len());
        kernel("batch norm", work, || {
            if self.relu && !self.dy_is_gated {
                self.gradients::<true>(exec, [x, dy], dx);
            } else {
                self.gradients::<false>(exec, [x, dy], dx);
            }
        });
        Ok(())
    }

    fn ends_in_relu(&self) -> bool {
        self.relu
    }

    fn expect_gated_dy(&mut self) {
        self.dy_is_gated = true;
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
