//! The loops of batch normalisation: passes down the columns, lane by lane.
//!
//! A pass takes a block of rows at a time, and the numbers a column are in registers for a vector of all its rows
//! (`tensor::vec`). Forward is two passes over X: the moments, then Y. Backward is two over X and dY: the sums, then dX.

use std::ops::Range;
use tensor::isa::Isa;
use tensor::vec::{ASCENDING, BlockKernel, ColumnKernel, Columns, ColumnsMut, DESCENDING, each, once, pass};

/// What the forms differ in.
#[derive(Clone, Copy)]
pub(super) struct Constants {
    pub epsilon: f32,
    /// Whether the running variance is the unbiased one.
    pub unbiased: bool,
}

/// The share of the running values that survives a batch.
const KEPT: f32 = 0.9;
/// The share of the batch in the new running values.
const FRESH: f32 = 0.1;

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
fn inverse_root<I: Isa>(isa: I, var: I::F, epsilon: f32) -> I::F {
    isa.div(isa.splat(1.0), isa.sqrt(isa.add(var, isa.splat(epsilon))))
}

/// From γ: of μ, Σ (x − μ)², and the running mean and variance: μ, σ², 1/√(σ² + ε), γ/√(σ² + ε), and the next running
/// mean and variance.
struct Statistics {
    constants: Constants,
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
        // A batch of one has no unbiased variance; PyTorch refuses it, here its variance of 0 is taken as it is.
        let correction = if self.constants.unbiased { rows / (rows - 1.0).max(1.0) } else { 1.0 };
        let var = isa.div(squares, isa.splat(rows));
        let inv_std = inverse_root(isa, var, self.constants.epsilon);
        let (kept, fresh) = (isa.splat(KEPT), isa.splat(FRESH));
        let running_mean = isa.fma(fresh, mean, isa.mul(kept, running_mean));
        let running_var = isa.fma(fresh, isa.mul(var, isa.splat(correction)), isa.mul(kept, running_var));
        ([], [mean, var, inv_std, isa.mul(gamma, inv_std), running_mean, running_var])
    }
}

/// γ/√(σ² + ε), from γ and σ².
struct Scale {
    constants: Constants,
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
        ([], [isa.mul(gamma, inverse_root(isa, var, self.constants.epsilon))])
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
pub(super) struct Training<'a, const RELU: bool> {
    pub constants: Constants,
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
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
        once(isa, &Statistics { constants: self.constants }, x.rows(), [gamma], numbers);
        each::<I, _, 1, 1, 3, NORMALISE_ROWS, DESCENDING>(isa, &Normalise::<RELU>, [x], &mut y, [mean, scale, beta]);
    }
}

/// Y from the running statistics. A number a column: γ/√(σ² + ε).
pub(super) struct Inference<'a, const RELU: bool> {
    pub constants: Constants,
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub running_mean: &'a [f32],
    pub running_var: &'a [f32],
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
        once(isa, &Scale { constants: self.constants }, 0, [gamma, var], &mut [&mut *scale]);
        let (mean, shift) = (&self.running_mean[columns.clone()], &self.beta[columns]);
        each::<I, _, 1, 1, 3, NORMALISE_ROWS, ASCENDING>(isa, &Normalise::<RELU>, x, &mut y, [mean, scale, shift]);
    }
}

/// Σ dy and Σ dy·(x − μ), which move.
struct Sums;

impl BlockKernel<2, 0, 1, 2> for Sums {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        [x, dy]: [[I::F; R]; 2],
        [mean]: [I::F; 1],
        [sum_dy, sum_dy_t]: [I::F; 2],
    ) -> ([[I::F; R]; 0], [I::F; 2]) {
        let zero = isa.splat(0.0);
        let (mut block_dy, mut block_dy_t) = (zero, zero);
        for r in 0..R {
            block_dy = isa.add(block_dy, dy[r]);
            block_dy_t = isa.fma(dy[r], isa.sub(x[r], mean), block_dy_t);
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

/// dX from mean, scale, Σdy/B and the slope s·dγ/B.
struct Gradient;

impl BlockKernel<2, 1, 4, 0> for Gradient {
    #[inline(always)]
    fn block<I: Isa, const R: usize>(
        &self,
        isa: I,
        _: usize,
        [x, dy]: [[I::F; R]; 2],
        [mean, scale, mean_dy, slope]: [I::F; 4],
        []: [I::F; 0],
    ) -> ([[I::F; R]; 1], [I::F; 0]) {
        let mut dx = x;
        for r in 0..R {
            let centred = isa.sub(dy[r], mean_dy);
            dx[r] = isa.mul(scale, isa.fnma(slope, isa.sub(x[r], mean), centred));
        }
        ([dx], [])
    }
}

/// dβ and dγ, and dX, if it is there, from X and dY. A number a column: dβ, dγ, dβ/B and the slope.
pub(super) struct Backward<'a> {
    pub mean: &'a [f32],
    pub inv_std: &'a [f32],
    /// γ/√(σ² + ε)
    pub scale: &'a [f32],
}

impl<const DX: usize> ColumnKernel<2, DX, 4> for Backward<'_> {
    #[inline(always)]
    fn run<I: Isa>(
        &self,
        isa: I,
        columns: Range<usize>,
        x: [Columns<'_>; 2],
        dx: [ColumnsMut<'_>; DX],
        [d_beta, d_gamma, mean_dy, slope]: [&mut [f32]; 4],
    ) {
        let [mean, inv_std, scale] = [self.mean, self.inv_std, self.scale].map(|values| &values[columns.clone()]);
        d_beta.fill(0.0);
        d_gamma.fill(0.0);
        let moving = &mut [&mut *d_beta, &mut *d_gamma];
        pass::<I, _, 2, 0, 1, 2, SUMS_ROWS, ASCENDING>(isa, &Sums, x, &mut [], [mean], moving);
        once(isa, &Slopes, x[0].rows(), [inv_std], &mut [&mut *d_beta, &mut *d_gamma, &mut *mean_dy, &mut *slope]);
        for dx in dx {
            let numbers = [mean, scale, &*mean_dy, &*slope];
            each::<I, _, 2, 1, 4, GRADIENT_ROWS, DESCENDING>(isa, &Gradient, x, &mut [dx], numbers);
        }
    }
}
