//! Softmax with cross-entropy (chapters 3.5 and 4.2), forward and backward in one go.
//!
//! ```text
//! p = e^(x − max x) / Σ e^(x − max x)         per row
//! loss = mean over the batch of  ln Σ e^(x − max x) − (x_t − max x)       (log-sum-exp: never ln 0)
//! dX = (p − onehot(t)) / B
//! ```
//!
//! Plain: `testkit::softmax_loss`. The gradient is so simple because softmax and cross-entropy are differentiated as one
//! function; each row is read once, and the exponentials are written where the gradient will stand.
//!
//! The book adds 1e-7 inside the logarithm instead; its loss of a certain and right answer is −1e-7 and ours 0.

use crate::layer::expect_shape;
use tensor::isa::{Isa, LANES, Op};
use tensor::vec::{exp_lanes, ln};
use tensor::{Exec, ShapeError, Tensor, View, ViewMut};

/// The loss over C classes, with room for the rows' terms.
#[derive(Clone, Debug)]
pub struct SoftmaxLoss {
    classes: usize,
    /// Per row: Σ e^(x − max).
    sums: Tensor<f32, 1>,
    /// Per row: x_t − max.
    margins: Tensor<f32, 1>,
}

impl SoftmaxLoss {
    /// A loss over `classes` classes for batches of up to `batch` rows.
    pub fn new(classes: usize, batch: usize) -> Self {
        Self { classes, sums: Tensor::zeros([batch]), margins: Tensor::zeros([batch]) }
    }

    /// The mean loss of a batch of logits (B×C), and its gradient with respect to them. Cost: one pass and B·C exponentials.
    ///
    /// # Errors
    /// If a shape does not fit, or B is 0 or larger than what was reserved.
    ///
    /// # Panics
    /// If a label is not a class.
    pub fn forward_backward(
        &mut self,
        exec: Exec,
        logits: View<'_, f32, 2>,
        labels: &[u8],
        d_logits: ViewMut<'_, f32, 2>,
    ) -> Result<f32, ShapeError> {
        let batch = logits.rows();
        expect_shape("softmax_loss", "the logits", logits.shape(), [batch, self.classes])?;
        expect_shape("softmax_loss", "the labels", [labels.len(), 1], [batch, 1])?;
        expect_shape("softmax_loss", "the gradient", d_logits.shape(), logits.shape())?;
        expect_shape("softmax_loss", "the batch", [batch, 1], [batch.min(self.sums.len()).max(1), 1])?;
        if let Some(label) = labels.iter().find(|&&label| usize::from(label) >= self.classes) {
            panic!("label {label} of {} classes", self.classes);
        }
        let (sums, margins) = (&mut self.sums.as_mut_slice()[..batch], &mut self.margins.as_mut_slice()[..batch]);
        exec.run(Rows { logits, labels, d_logits, sums, margins });
        let mut logs = [0.0; LANES];
        let mut total = 0.0_f64;
        for (sums, margins) in sums.chunks(LANES).zip(margins.chunks(LANES)) {
            let logs = &mut logs[..sums.len()];
            ln(exec, sums, logs);
            for (log, margin) in logs.iter().zip(margins) {
                total += f64::from(log - margin);
            }
        }
        Ok((total / batch as f64) as f32)
    }
}

struct Rows<'a> {
    logits: View<'a, f32, 2>,
    labels: &'a [u8],
    d_logits: ViewMut<'a, f32, 2>,
    sums: &'a mut [f32],
    margins: &'a mut [f32],
}

impl Op for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn run<I: Isa>(self, isa: I) {
        let batch = self.logits.rows() as f32;
        let per_row = self.sums.iter_mut().zip(self.margins).zip(self.labels);
        for ((x, to), ((sum, margin), &label)) in self.logits.row_iter().zip(self.d_logits.into_row_iter()).zip(per_row)
        {
            let label = usize::from(label);
            // A fold that takes the second where neither is greater, so a NaN reaches the loss through the exponential.
            let max = x.iter().fold(f32::NEG_INFINITY, |max, &x| if max > x { max } else { x });
            let mut total = isa.splat(0.0);
            for (x, to) in x.chunks(LANES).zip(to.chunks_mut(LANES)) {
                let e = exp_lanes(isa, isa.sub(isa.load_part(x), isa.splat(max)));
                isa.store_part(e, to);
                total = isa.add(total, isa.load_part(to)); // lanes past the end are 0 again
            }
            *sum = isa.sum(total);
            *margin = x[label] - max;
            let scale = isa.splat(1.0 / *sum);
            for to in to.chunks_mut(LANES) {
                let p = isa.mul(isa.load_part(to), scale);
                isa.store_part(isa.div(p, isa.splat(batch)), to);
            }
            to[label] -= 1.0 / batch;
        }
    }
}

/// The class of the greatest logit: the first of equals, or the first that is NaN if any is (as NumPy's `argmax` has it: a
/// diverged net, all NaN, predicts class 0).
pub fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, &x) in logits.iter().enumerate() {
        if x.is_nan() {
            return class;
        }
        if x > logits[best] {
            best = class;
        }
    }
    best
}
