//! Learning-rate schedules: η as a function of the epoch.
//!
//! ```text
//! constant   η₀
//! step       η₀·γ^⌊epoch / every⌋
//! cosine     minimum + (η₀ − minimum)·(1 + cos(π·epoch / period)) / 2,   minimum from epoch `period` on
//! ```

use std::fmt;

/// How the learning rate changes from epoch to epoch, beginning with the rate η₀ of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Schedule {
    /// η₀.
    #[default]
    Constant,
    /// η₀·γ^⌊epoch / every⌋ (PyTorch's `StepLR`).
    Step {
        /// Epochs between two drops.
        every: u64,
        /// γ, the factor of a drop.
        gamma: f64,
    },
    /// Half a cosine, from η₀ at epoch 0 to the minimum at epoch `period`, then the minimum (PyTorch's
    /// `CosineAnnealingLR` up to its period).
    Cosine {
        /// Epochs from the first rate to the last.
        period: u64,
        /// The last rate.
        minimum: f64,
    },
}

impl fmt::Display for Schedule {
    /// As the command line has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Step { every, gamma } => write!(f, "step:{every}:{gamma}"),
            Self::Cosine { period, minimum } => write!(f, "cosine:{period}:{minimum}"),
        }
    }
}

impl Schedule {
    /// η at an epoch (counted from 0), starting from `base`.
    pub fn rate(self, base: f64, epoch: u64) -> f64 {
        match self {
            Self::Constant => base,
            Self::Step { every, gamma } => {
                let mut rate = base;
                for _ in 0..epoch / every.max(1) {
                    let next = rate * gamma;
                    if next == rate {
                        break;
                    }
                    rate = next;
                }
                rate
            }
            Self::Cosine { period, minimum } if epoch >= period => minimum,
            Self::Cosine { period, minimum } => {
                minimum + (base - minimum) * 0.5 * (1.0 + cos_half_turns(epoch as f64 / period as f64))
            }
        }
    }
}

/// cos(π·x) for 0 ≤ x ≤ 1, to 1e-15, by the Taylor series of the sine about x = ½. The cosine of the C library differs
/// by platform, and the rate is a part of what makes a run reproducible.
fn cos_half_turns(x: f64) -> f64 {
    let y = std::f64::consts::PI * (0.5 - x);
    let (mut term, mut sum) = (y, y);
    for n in 1..=11_u32 {
        term *= -y * y / f64::from((2 * n) * (2 * n + 1));
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_the_cosine() {
        for i in 0..=1000 {
            let x = f64::from(i) / 1000.0;
            assert!((cos_half_turns(x) - (std::f64::consts::PI * x).cos()).abs() < 2e-15, "{x}");
        }
    }

    #[test]
    fn a_cosine_schedule_ends_at_its_minimum_and_stays() {
        let schedule = Schedule::Cosine { period: 10, minimum: 0.01 };
        assert!(schedule.rate(0.1, 9) > 0.01);
        assert_eq!((schedule.rate(0.1, 10), schedule.rate(0.1, 11)), (0.01, 0.01));
        assert_eq!(Schedule::Cosine { period: 0, minimum: 0.01 }.rate(0.1, 0), 0.01);
    }
}
