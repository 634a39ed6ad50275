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
//! 1. *Columns in vectors.* Strips of 64 columns go down the rows with their sums in registers (`tensor::vec::Strip`);
//!    a strip of the chapter's batches (100 × 64 floats, 25 KB) stays in L1 for all its passes, one of 4096 rows in L2.
//! 2. *x̂ is not stored.* Backward computes it again from X and μ: a subtraction instead of a B×D buffer that would be written and read.
//! 3. *What is the same down a column is taken out of the loop.* With t = x − μ, forward is y = (γ·s)·t + β; backward's sums are Σ dy and Σ dy·t
//!    (dγ = s·Σ dy·t), and dx = γ·s·((dy − dβ/B) − (s·dγ/B)·t): four operations an element instead of five. The differences stay
//!    differences: multiplied out, x·b + c loses its digits when μ ≫ σ, and the dx of a batch of one is no longer 0.
//! 4. *Two passes for the variance.* Σx² − B·μ² is one pass less and loses all digits when μ ≫ σ.
//! 5. *The ReLU behind it is free* ([`BatchNorm::with_relu`]): a maximum as y is stored. Its derivative is the next layer's to apply as it makes
//!    dY; where that does not, it is made again from the sign of γ·s·t + β.
//!
//! What was measured before and after the loops were written so: `docs/step.md`.
//!
//! **Forms.** Book: ε 1e-6 (its code says `10e-7`), running variance biased, and both running values start at 0. Torch: ε
//! 1e-5, running variance unbiased (·B/(B − 1)), starting at 1. Both keep 0.9 of the running values a batch.

use crate::layer::{Layer, Parameter, Pass, Role, Statistic, expect_shape};
use tensor::isa::Isa;
use tensor::vec::{COLUMN_BLOCK, Strip, StripKernel, StripMut, for_each_strip, load_columns, store_columns};
use tensor::profile::{Work, kernel};
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

/// Normalises each of D columns over the batch, then scales and shifts it; with a ReLU behind that, if asked for. Cost: three passes over X
/// forward, two over X and dY backward.
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
            inv_std: filled(0.0),
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
}

/// y = scale·(x − mean) + shift, and the ReLU.
#[inline(always)]
fn normalise<I: Isa, const NV: usize>(
    isa: I,
    x: [I::F; NV],
    [mean, scale, shift]: [[I::F; NV]; 3],
    relu: bool,
) -> [I::F; NV] {
    let zero = isa.splat(0.0);
    let mut y = [zero; NV];
    for v in 0..NV {
        y[v] = isa.fma(scale[v], isa.sub(x[v], mean[v]), shift[v]);
        if relu {
            y[v] = isa.max(zero, y[v]);
        }
    }
    y
}

/// 1/√(var + ε)
#[inline(always)]
fn inverse_root<I: Isa, const NV: usize>(isa: I, var: [I::F; NV], epsilon: f32) -> [I::F; NV] {
    let (one, epsilon) = (isa.splat(1.0), isa.splat(epsilon));
    let mut inv_std = [one; NV];
    for v in 0..NV {
        inv_std[v] = isa.div(one, isa.sqrt(isa.add(var[v], epsilon)));
    }
    inv_std
}

#[inline(always)]
fn product<I: Isa, const NV: usize>(isa: I, a: [I::F; NV], b: [I::F; NV]) -> [I::F; NV] {
    let mut c = a;
    for v in 0..NV {
        c[v] = isa.mul(a[v], b[v]);
    }
    c
}

/// Each vector over `divisor`.
#[inline(always)]
fn over<I: Isa, const NV: usize>(isa: I, a: [I::F; NV], divisor: f32) -> [I::F; NV] {
    let (mut c, divisor) = (a, isa.splat(divisor));
    for v in 0..NV {
        c[v] = isa.div(a[v], divisor);
    }
    c
}

/// The rows of the blocks that column sums are made of: each a chain, and the chains added in ascending order.
fn blocks(rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..rows).step_by(COLUMN_BLOCK).map(move |from| from..rows.min(from + COLUMN_BLOCK))
}

/// total + chain
#[inline(always)]
fn add_to<I: Isa, const NV: usize>(isa: I, total: &mut [I::F; NV], chain: [I::F; NV]) {
    for v in 0..NV {
        total[v] = isa.add(total[v], chain[v]);
    }
}

/// Statistics and Y of a training batch. A number a column: μ, 1/√(σ² + ε), and the running mean and variance.
struct Training<'a> {
    form: BatchNormForm,
    gamma: &'a [f32],
    beta: &'a [f32],
    relu: bool,
}

impl StripKernel<1, 1, 4> for Training<'_> {
    #[inline(always)]
    fn run<I: Isa, const NV: usize>(
        &self,
        isa: I,
        (from, columns): (usize, usize),
        [x]: [Strip<'_, NV>; 1],
        [mut y]: [StripMut<'_, NV>; 1],
        [mean_out, inv_std_out, running_mean, running_var]: [&mut [f32]; 4],
    ) {
        let rows = x.rows();
        let zero = [isa.splat(0.0); NV];
        let mut sum = zero;
        for block in blocks(rows) {
            let mut chain = zero;
            for i in block {
                add_to(isa, &mut chain, x.load(isa, i));
            }
            add_to(isa, &mut sum, chain);
        }
        let mean = over(isa, sum, rows as f32);
        let mut squares = zero;
        for block in blocks(rows) {
            let mut chain = zero;
            for i in block {
                let x = x.load(isa, i);
                for v in 0..NV {
                    let centred = isa.sub(x[v], mean[v]);
                    chain[v] = isa.fma(centred, centred, chain[v]);
                }
            }
            add_to(isa, &mut squares, chain);
        }
        let var = over(isa, squares, rows as f32);
        let inv_std = inverse_root(isa, var, self.form.epsilon());

        let scale = product(isa, load_columns(isa, self.gamma, from, columns), inv_std);
        let shift = load_columns(isa, self.beta, from, columns);
        for i in 0..rows {
            let normalised = normalise(isa, x.load(isa, i), [mean, scale, shift], self.relu);
            y.store(isa, i, normalised);
        }

        store_columns(isa, mean, mean_out, 0, columns);
        store_columns(isa, inv_std, inv_std_out, 0, columns);
        let correction = match self.form {
            BatchNormForm::Book => 1.0,
            // A batch of one has no unbiased variance; PyTorch refuses it, here its variance of 0 is taken as it is.
            BatchNormForm::Torch => rows as f32 / (rows as f32 - 1.0).max(1.0),
        };
        for (running, fresh, correction) in [(running_mean, mean, 1.0), (running_var, var, correction)] {
            let mut next: [I::F; NV] = load_columns(isa, running, 0, columns);
            for v in 0..NV {
                let fresh = isa.mul(fresh[v], isa.splat(correction));
                next[v] = isa.fma(isa.splat(FRESH), fresh, isa.mul(isa.splat(KEPT), next[v]));
            }
            store_columns(isa, next, running, 0, columns);
        }
    }
}

/// Y from the running statistics.
struct Inference<'a> {
    layer: &'a BatchNorm,
}

impl StripKernel<1, 1, 0> for Inference<'_> {
    #[inline(always)]
    fn run<I: Isa, const NV: usize>(
        &self,
        isa: I,
        (from, columns): (usize, usize),
        [x]: [Strip<'_, NV>; 1],
        [mut y]: [StripMut<'_, NV>; 1],
        []: [&mut [f32]; 0],
    ) {
        let layer = self.layer;
        let mean = load_columns(isa, layer.running_mean.as_slice(), from, columns);
        let var = load_columns(isa, layer.running_var.as_slice(), from, columns);
        let inv_std = inverse_root(isa, var, layer.form.epsilon());
        let scale = product(isa, load_columns(isa, layer.gamma.as_slice(), from, columns), inv_std);
        let shift = load_columns(isa, layer.beta.as_slice(), from, columns);
        for i in 0..x.rows() {
            let normalised = normalise(isa, x.load(isa, i), [mean, scale, shift], layer.relu);
            y.store(isa, i, normalised);
        }
    }
}

/// dβ and dγ, one number a column each, and dX, if it is there, from X and dY.
struct Backward<'a> {
    gamma: &'a [f32],
    beta: &'a [f32],
    mean: &'a [f32],
    inv_std: &'a [f32],
    /// Whether dY is to be 0 where γ·x̂ + β is not above 0.
    mask: bool,
}

impl<const DX: usize> StripKernel<2, DX, 2> for Backward<'_> {
    #[inline(always)]
    fn run<I: Isa, const NV: usize>(
        &self,
        isa: I,
        (from, columns): (usize, usize),
        [x, dy]: [Strip<'_, NV>; 2],
        dx: [StripMut<'_, NV>; DX],
        [d_beta_out, d_gamma_out]: [&mut [f32]; 2],
    ) {
        let (rows, zero) = (x.rows(), [isa.splat(0.0); NV]);
        let mean: [I::F; NV] = load_columns(isa, self.mean, from, columns);
        let inv_std = load_columns(isa, self.inv_std, from, columns);
        let scale: [I::F; NV] = product(isa, load_columns(isa, self.gamma, from, columns), inv_std);
        let shift = load_columns(isa, self.beta, from, columns);
        let mask = self.mask;

        let (mut sum_dy, mut sum_dy_t) = (zero, zero);
        for block in blocks(rows) {
            let (mut chain_dy, mut chain_dy_t) = (zero, zero);
            for i in block {
                let (x, dy) = (x.load(isa, i), dy.load(isa, i));
                let y = if mask { normalise(isa, x, [mean, scale, shift], false) } else { zero };
                for v in 0..NV {
                    let dy = if mask { isa.gate(y[v], dy[v]) } else { dy[v] };
                    chain_dy[v] = isa.add(chain_dy[v], dy);
                    chain_dy_t[v] = isa.fma(dy, isa.sub(x[v], mean[v]), chain_dy_t[v]);
                }
            }
            add_to(isa, &mut sum_dy, chain_dy);
            add_to(isa, &mut sum_dy_t, chain_dy_t);
        }
        let d_gamma = product(isa, sum_dy_t, inv_std);
        store_columns(isa, sum_dy, d_beta_out, 0, columns);
        store_columns(isa, d_gamma, d_gamma_out, 0, columns);

        // dx = scale·((dy − dβ/B) − (s·dγ/B)·t)
        let (mean_dy, mean_dy_normalised) = (over(isa, sum_dy, rows as f32), over(isa, d_gamma, rows as f32));
        let slope = product(isa, inv_std, mean_dy_normalised);
        for mut dx in dx {
            for i in 0..rows {
                let (x, dy) = (x.load(isa, i), dy.load(isa, i));
                let y = if mask { normalise(isa, x, [mean, scale, shift], false) } else { zero };
                let mut out = zero;
                for v in 0..NV {
                    let dy = if mask { isa.gate(y[v], dy[v]) } else { dy[v] };
                    let (centred, t) = (isa.sub(dy, mean_dy[v]), isa.sub(x[v], mean[v]));
                    out[v] = isa.mul(scale[v], isa.fnma(slope[v], t, centred));
                }
                dx.store(isa, i, out);
            }
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
        expect_shape("batch_norm", "X", x.shape(), shape)?;
        expect_shape("batch_norm", "Y", y.shape(), shape)?;
        // Subtract and add; subtract, multiply-add; subtract, multiply, multiply-add.
        kernel("batch norm", Work::streaming(x.len(), x.len(), 8 * x.len()), || match pass {
            Pass::Training { .. } => {
                let kernel = Training {
                    form: self.form,
                    gamma: self.gamma.as_slice(),
                    beta: self.beta.as_slice(),
                    relu: self.relu,
                };
                let per_column = [
                    self.mean.as_mut_slice(),
                    self.inv_std.as_mut_slice(),
                    self.running_mean.as_mut_slice(),
                    self.running_var.as_mut_slice(),
                ];
                for_each_strip(exec, &kernel, [x], [y], per_column);
            }
            Pass::Inference => for_each_strip(exec, &Inference { layer: self }, [x], [y], []),
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
        let kernel_of = Backward {
            gamma: self.gamma.as_slice(),
            beta: self.beta.as_slice(),
            mean: self.mean.as_slice(),
            inv_std: self.inv_std.as_slice(),
            mask: self.relu && !self.dy_is_gated,
        };
        let per_column = [self.d_beta.as_mut_slice(), self.d_gamma.as_mut_slice()];
        kernel("batch norm", work, || match dx {
            Some(dx) => for_each_strip(exec, &kernel_of, [x, dy], [dx], per_column),
            None => for_each_strip(exec, &kernel_of, [x, dy], [], per_column),
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
