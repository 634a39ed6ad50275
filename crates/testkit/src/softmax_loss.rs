//! Softmax and cross-entropy in f64, by the log-sum-exp form: mean over the batch of ln Σ exp(zⱼ) − z_label.

/// What the loss layer gives.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftmaxLoss {
    /// Mean cross-entropy over the batch, in nats.
    pub loss: f64,
    /// batch×classes; each row adds up to 1.
    pub probabilities: Vec<f64>,
    /// The gradient of the loss, (probabilities − one-hot labels) / batch, batch×classes.
    pub dlogits: Vec<f64>,
}

/// The softmax of each row of `classes` logits.
///
/// # Panics
/// If `logits` is not whole rows.
pub fn softmax(logits: &[f64], classes: usize) -> Vec<f64> {
    assert!(classes > 0 && logits.len().is_multiple_of(classes), "{} logits are no rows of {classes}", logits.len());
    let row = |z: &[f64]| {
        let log_sum = log_sum_exp(z);
        z.iter().map(move |z| (z - log_sum).exp()).collect::<Vec<_>>()
    };
    logits.chunks(classes).flat_map(row).collect()
}

/// Loss, probabilities and gradient of batch×classes `logits` and one label a row.
///
/// # Panics
/// If the batch is empty, `logits` is not one row a label, or a label is not below `classes`.
pub fn softmax_loss(logits: &[f64], labels: &[usize], classes: usize) -> SoftmaxLoss {
    let batch = labels.len();
    assert!(batch > 0, "the mean over an empty batch is 0/0");
    assert_eq!(logits.len(), batch * classes, "the logits are {batch}×{classes}");
    let probabilities = softmax(logits, classes);
    let mut dlogits = probabilities.clone();
    let mut loss = 0.0;
    for (row, &label) in labels.iter().enumerate() {
        assert!(label < classes, "label {label} of row {row} is not below {classes}");
        let z = &logits[row * classes..][..classes];
        loss += log_sum_exp(z) - z[label];
        dlogits[row * classes + label] -= 1.0;
    }
    dlogits.iter_mut().for_each(|d| *d /= batch as f64);
    SoftmaxLoss { loss: loss / batch as f64, probabilities, dlogits }
}

/// ln Σ exp(z), with the largest term taken out so that none overflows.
fn log_sum_exp(z: &[f64]) -> f64 {
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + z.iter().map(|z| (z - max).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Bound, assert_close_f64};
    use crate::gradcheck::{assert_gradient_f64, central_difference};
    use crate::rng::Rng;
    use crate::vector::widen;
    use std::f64::consts::LN_2;

    const TIGHT: Bound = Bound::Allclose { rtol: 1e-13, atol: 0.0 };

    #[test]
    fn values_worked_by_hand() {
        // exp: 1, 2, 1 → ¼, ½, ¼; and 4, 2, 2 → ½, ¼, ¼. Losses ln 2 and ln 4, mean 1.5·ln 2.
        let logits = [0.0, LN_2, 0.0, 2.0 * LN_2, LN_2, LN_2];
        let got = softmax_loss(&logits, &[1, 2], 3);
        assert_close_f64("loss", &[got.loss], &[1.5 * LN_2], TIGHT);
        assert_close_f64("probabilities", &got.probabilities, &[0.25, 0.5, 0.25, 0.5, 0.25, 0.25], TIGHT);
        assert_close_f64("dlogits", &got.dlogits, &[0.125, -0.25, 0.125, 0.25, 0.125, -0.375], TIGHT);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        let got = softmax_loss(&[1000.0, 0.0, -1000.0, 1000.0], &[1, 1], 2);
        assert_eq!(got.probabilities, [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(got.loss, 500.0);
    }

    #[test]
    fn gradient_is_the_slope_of_the_loss() {
        let logits = widen(&Rng::new(7).vec_normal(5 * 4));
        let labels = [3, 0, 1, 1, 2];
        let numeric = central_difference(|z| softmax_loss(z, &labels, 4).loss, &logits, 1e-5);
        assert_gradient_f64("logits", &softmax_loss(&logits, &labels, 4).dlogits, &numeric, 1e-7, 1e-10, 1.0);
    }

    #[test]
    #[should_panic(expected = "label 2 of row 0 is not below 2")]
    fn refuses_a_label_that_is_no_class() {
        softmax_loss(&[0.0, 0.0], &[2], 2);
    }
}
