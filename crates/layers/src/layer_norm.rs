//! Layer normalisation (Ba, Kiros and Hinton 2016), with the ε of `torch.nn.LayerNorm`.
//!
//! ```text
//! forward    μ = Σ x / D            σ² = Σ (x − μ)² / D         per row, over its D columns
//!            s = 1 / √(σ² + ε)      x̂ = (x − μ)·s               y = γ·x̂ + β                  ε = 1e-5
//! backward   dβ = Σ dy              dγ = Σ dy·x̂                 per column, over the batch
//!            g = γ·dy               dx = s·(g − Σg/D − x̂·Σ(g·x̂)/D)
//! ```
//!
//! Shapes: X, Y, dY and dX are B×D; μ and s are one number a row; γ and β are one number a column. Where dx comes from
//! is told in `batch_norm/`: the graph is the same, along a row instead of down a column. The node-by-node version is
//! `testkit::layer_norm`.
//!
//! 1. *μ and s are kept for backward*, 2·B floats. x̂ is not: it is computed again from X, as in batch normalisation.
//! 2. *Two passes for the variance.* Y's row keeps x − μ until s is known. Σx² − D·μ² would be one pass less, and loses
//!    all digits when μ ≫ σ.
//! 3. *dX along the rows, dγ and dβ down the columns.* The second is a pass of `tensor::vec`, which shares the columns
//!    among the threads.
//! 4. *Sums of a fixed shape.* Vector v of a row is added to chain v mod 4. Four chains hide the latency of an addition.
//!    The tree is the same on every ISA, and so are the bits.

use crate::layer::{Layer, Parameter, Pass, Role, expect_shape};
use std::ops::Range;
use tensor::isa::{Isa, LANES, Op};
use tensor::profile::{Work, kernel};
use tensor::vec::{ASCENDING, BlockKernel, ColumnKernel, Columns, ColumnsMut, for_all_columns, pass};
use tensor::{Exec, ShapeError, Tensor, View, ViewMut};

/// What is added to the variance before its root is taken.
const EPSILON: f32 = 1e-5;
/// Chains of a sum along a row.
const CHAINS: usize = 4;
/// Rows of a block of the pass down the columns: as many as there are registers for the rows of X and dY.
const COLUMN_ROWS: usize = 4;

/// μ and 1/√(σ² + ε) of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    mean: f32,
    inv_std: f32,
}

/// Normalises each row over its D columns, then scales and shifts each column. Cost: 8·B·D operations forward, 14·B·D
/// backward; X is read once from memory forward, X and dY twice backward. Training and inference are the same.
///
/// ```
/// use layers::{Layer, LayerNorm, Pass};
/// use tensor::{Exec, Tensor};
/// let mut layer = LayerNorm::new(4);
/// let (x, mut y) = (Tensor::from_slice(&[1.0, 1.0, 5.0, 5.0], [1, 4])?, Tensor::zeros([1, 4]));
/// layer.forward(Exec::serial(), Pass::Inference, x.view(), y.view_mut())?;
/// // The mean is 3 and the standard deviation 2.
/// assert!(y.as_slice().iter().zip([-1.0, -1.0, 1.0, 1.0]).all(|(y, want)| (y - want).abs() < 1e-5));
/// # Ok::<(), tensor::ShapeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNorm {
    gamma: Tensor<f32, 1>,
    beta: Tensor<f32, 1>,
    d_gamma: Tensor<f32, 1>,
    d_beta: Tensor<f32, 1>,
    /// Of the rows of the last training batch; as long as the largest batch.
    moments: Vec<Moments>,
}

impl LayerNorm {
    /// `width` columns, γ 1 and β 0.
    pub fn new(width: usize) -> Self {
        let filled = |value: f32| Tensor::from_fn([width], |_| value);
        Self { gamma: filled(1.0), beta: filled(0.0), d_gamma: filled(0.0), d_beta: filled(0.0), moments: Vec::new() }
    }
}

impl Layer for LayerNorm {
    fn kind(&self) -> &'static str {
        "layer_norm"
    }

    fn outputs(&self) -> usize {
        self.gamma.len()
    }

    fn reserve(&mut self, batch: usize) {
        self.moments.resize(batch.max(self.moments.len()), Moments::default());
    }

    fn forward(
        &mut self,
        exec: Exec,
        pass: Pass,
        x: View<'_, f32, 2>,
        y: ViewMut<'_, f32, 2>,
    ) -> Result<(), ShapeError> {
        let shape = [x.rows(), self.outputs()];
        expect_shape("layer_norm", "X", x.shape(), shape)?;
        expect_shape("layer_norm", "Y", y.shape(), shape)?;
        let kept = match pass {
            Pass::Training { .. } => {
                self.reserve(x.rows());
                self.moments.as_mut_slice()
            }
            Pass::Inference => &mut [],
        };
        let (gamma, beta) = (self.gamma.as_slice(), self.beta.as_slice());
        let work = Work::streaming(x.len(), x.len(), 8 * x.len());
        kernel("layer norm", work, || exec.run(Forward { x, y, gamma, beta, kept }));
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
        let shape = [x.rows(), self.outputs()];
        expect_shape("layer_norm", "X", x.shape(), shape)?;
        expect_shape("layer_norm", "dY", dy.shape(), shape)?;
        expect_shape("layer_norm", "the batch", [x.rows(), 1], [x.rows().min(self.moments.len()), 1])?;
        if let Some(dx) = &dx {
            expect_shape("layer_norm", "dX", dx.shape(), shape)?;
        }
        let moments = self.moments.as_slice();
        let work = Work::streaming(2 * x.len(), dx.as_ref().map_or(0, ViewMut::len), 14 * x.len());
        kernel("layer norm", work, || {
            let sums = [self.d_gamma.as_mut_slice(), self.d_beta.as_mut_slice()];
            for_all_columns(exec, &ParameterGradients { moments }, [x, dy], [], sums);
            if let Some(dx) = dx {
                exec.run(InputGradient { x, dy, dx, gamma: self.gamma.as_slice(), moments });
            }
        });
        Ok(())
    }

    fn parameters(&mut self, visit: &mut dyn FnMut(Parameter<'_>)) {
        let shape = [self.outputs(), 1];
        let (value, gradient) = (self.gamma.as_mut_slice(), self.d_gamma.as_slice());
        visit(Parameter { role: Role::Scale, shape, value, gradient });
        let (value, gradient) = (self.beta.as_mut_slice(), self.d_beta.as_slice());
        visit(Parameter { role: Role::Shift, shape, value, gradient });
    }
}

/// The vector of a row from column `from` on; lanes past the end of the row are 0.
#[inline(always)]
fn load<I: Isa>(isa: I, row: &[f32], from: usize) -> I::F {
    let rest = &row[from..];
    rest.first_chunk().map_or_else(|| isa.load_part(rest), |whole| isa.load(whole))
}

/// Writes the lanes of a vector that a row has from column `from` on.
#[inline(always)]
fn store<I: Isa>(isa: I, value: I::F, row: &mut [f32], from: usize) {
    let rest = &mut row[from..];
    match rest.first_chunk_mut() {
        Some(whole) => isa.store(value, whole),
        None => isa.store_part(value, rest),
    }
}

/// The sum along a row of `width` columns, in the fixed shape. `add(from, chain)` is the chain with the terms of the
/// vector from column `from` on.
#[inline(always)]
fn row_sum<I: Isa>(isa: I, width: usize, add: impl Fn(usize, I::F) -> I::F) -> f32 {
    let mut chains = [isa.splat(0.0); CHAINS];
    for group in (0..width).step_by(CHAINS * LANES) {
        for c in 0..CHAINS {
            let from = group + c * LANES;
            if from < width {
                chains[c] = add(from, chains[c]);
            }
        }
    }
    let [a, b, c, d] = chains;
    isa.sum(isa.add(isa.add(a, b), isa.add(c, d)))
}

/// Y, and the moments of as many rows as there is room for.
struct Forward<'a> {
    x: View<'a, f32, 2>,
    y: ViewMut<'a, f32, 2>,
    gamma: &'a [f32],
    beta: &'a [f32],
    kept: &'a mut [Moments],
}

impl Op for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { x, y, gamma, beta, kept } = self;
        let width = x.cols();
        for (i, (x, y)) in x.row_iter().zip(y.into_row_iter()).enumerate() {
            let mean = row_sum(isa, width, |from, sum| isa.add(sum, load(isa, x, from))) / width as f32;
            for from in (0..width).step_by(LANES) {
                store(isa, isa.sub(load(isa, x, from), isa.splat(mean)), y, from);
            }
            let squares = row_sum(isa, width, |from, sum| {
                let centred = load(isa, y, from);
                isa.fma(centred, centred, sum)
            });
            let inv_std = 1.0 / (squares / width as f32 + EPSILON).sqrt();
            for from in (0..width).step_by(LANES) {
                let normalised = isa.mul(load(isa, y, from), isa.splat(inv_std));
                store(isa, isa.fma(load(isa, gamma, from), normalised, load(isa, beta, from)), y, from);
            }
            if let Some(kept) = kept.get_mut(i) {
                *kept = Moments { mean, inv_std };
            }
        }
    }
}

/// dX, from the moments of the rows.
struct InputGradient<'a> {
    x: View<'a, f32, 2>,
    dy: View<'a, f32, 2>,
    dx: ViewMut<'a, f32, 2>,
    gamma: &'a [f32],
    moments: &'a [Moments],
}

impl Op for InputGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let Self { x, dy, dx, gamma, moments } = self;
        let width = x.cols();
        for (((x, dy), dx), moments) in x.row_iter().zip(dy.row_iter()).zip(dx.into_row_iter()).zip(moments) {
            let (mean, inv_std) = (isa.splat(moments.mean), isa.splat(moments.inv_std));
            // Past the end of the row γ, dY and so the products are 0.
            let scaled = |from: usize| isa.mul(load(isa, gamma, from), load(isa, dy, from));
            let centred = |from: usize| isa.sub(load(isa, x, from), mean);
            let sum = row_sum(isa, width, |from, sum| isa.add(sum, scaled(from)));
            let sum_centred = row_sum(isa, width, |from, sum| isa.fma(scaled(from), centred(from), sum));
            let mean_scaled = isa.splat(sum / width as f32);
            let slope = isa.splat(moments.inv_std * (moments.inv_std * sum_centred / width as f32));
            for from in (0..width).step_by(LANES) {
                let direct = isa.sub(scaled(from), mean_scaled);
                store(isa, isa.mul(inv_std, isa.fnma(slope, centred(from), direct)), dx, from);
            }
        }
    }
}

/// dγ and dβ, from the moments of the rows.
struct ParameterGradients<'a> {
    moments: &'a [Moments],
}

impl BlockKernel<2, 0, 0, 2> for ParameterGradients<'_> {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        first: usize,
        [x, dy]: [[I::F; R]; 2],
        []: [I::F; 0],
        [mut d_gamma, mut d_beta]: [I::F; 2],
    ) -> ([[I::F; R]; 0], [I::F; 2]) {
        for (r, moments) in self.moments[first..first + R].iter().enumerate() {
            let normalised = isa.mul(isa.sub(x[r], isa.splat(moments.mean)), isa.splat(moments.inv_std));
            d_gamma = isa.fma(dy[r], normalised, d_gamma);
            d_beta = isa.add(d_beta, dy[r]);
        }
        ([], [d_gamma, d_beta])
    }
}

impl ColumnKernel<2, 0, 2> for ParameterGradients<'_> {
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        _: Range<usize>,
        x: [Columns<'_>; 2],
        []: [ColumnsMut<'_>; 0],
        [d_gamma, d_beta]: [&mut [f32]; 2],
    ) {
        d_gamma.fill(0.0);
        d_beta.fill(0.0);
        let sums = &mut [d_gamma, d_beta];
        pass::<I, _, 2, 0, 0, 2, COLUMN_ROWS, ASCENDING>(isa, self, x, &mut [], [], sums);
    }
}
