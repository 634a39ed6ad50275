//! Dropout with a given mask, forward, backward and at inference, in f64.
//!
//! | | training, forward and backward | inference |
//! |---|---|---|
//! | [`Preset::Book`] | kept elements unchanged | all × (1 − ratio) |
//! | [`Preset::Torch`] | kept elements ÷ (1 − ratio) | unchanged |
//!
//! `ratio` is the share of elements dropped, in [0, 1).

use crate::preset::Preset;

/// y = x where `keep`, else 0, scaled as the preset says.
///
/// # Panics
/// If the lengths differ or `ratio` is not in [0, 1).
pub fn training(preset: Preset, ratio: f64, keep: &[bool], x: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), keep.len(), "the mask has one flag an element");
    let kept = kept_share(ratio);
    let scale = match preset {
        Preset::Book => 1.0,
        Preset::Torch => 1.0 / kept,
    };
    x.iter().zip(keep).map(|(&x, &keep)| if keep { x * scale } else { 0.0 }).collect()
}

/// dx: the same mask and scale as [`training`], applied to `dy`.
///
/// # Panics
/// If the lengths differ or `ratio` is not in [0, 1).
pub fn backward(preset: Preset, ratio: f64, keep: &[bool], dy: &[f64]) -> Vec<f64> {
    training(preset, ratio, keep, dy)
}

/// y at inference: nothing is dropped.
///
/// # Panics
/// If `ratio` is not in [0, 1).
pub fn inference(preset: Preset, ratio: f64, x: &[f64]) -> Vec<f64> {
    let kept = kept_share(ratio);
    let scale = match preset {
        Preset::Book => kept,
        Preset::Torch => 1.0,
    };
    x.iter().map(|&x| x * scale).collect()
}

fn kept_share(ratio: f64) -> f64 {
    assert!((0.0..1.0).contains(&ratio), "the dropout ratio is {ratio}, want it in [0, 1)");
    1.0 - ratio
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{assert_gradient_f64, central_difference};

    const KEEP: [bool; 4] = [true, false, true, true];
    const X: [f64; 4] = [1.0, 2.0, -3.0, 4.0];

    #[test]
    fn values_worked_by_hand() {
        assert_eq!(training(Preset::Book, 0.75, &KEEP, &X), [1.0, 0.0, -3.0, 4.0]);
        assert_eq!(training(Preset::Torch, 0.75, &KEEP, &X), [4.0, 0.0, -12.0, 16.0]);
        assert_eq!(inference(Preset::Book, 0.75, &X), [0.25, 0.5, -0.75, 1.0]);
        assert_eq!(inference(Preset::Torch, 0.75, &X), X);
    }

    #[test]
    fn a_dropped_element_passes_neither_nan_nor_gradient() {
        let x = [f64::NAN, 1.0];
        assert_eq!(training(Preset::Torch, 0.5, &[false, true], &x), [0.0, 2.0]);
    }

    #[test]
    fn backward_is_the_slope_of_forward() {
        let dy = [1.0, -2.0, 0.5, 3.0];
        for preset in Preset::ALL {
            let loss = |x: &[f64]| training(preset, 0.3, &KEEP, x).iter().zip(&dy).map(|(y, dy)| y * dy).sum();
            let numeric = central_difference(loss, &X, 1e-5);
            assert_gradient_f64("dropout", &backward(preset, 0.3, &KEEP, &dy), &numeric, 1e-8, 1e-9, 0.75);
        }
    }

    #[test]
    #[should_panic(expected = "the dropout ratio is 1")]
    fn refuses_to_drop_everything() {
        training(Preset::Torch, 1.0, &KEEP, &X);
    }
}
