//! Powers of ten and their inverse, from additions, multiplications and divisions only.
//!
//! A C library's `pow` and `log10` differ in the last bit by platform; the hyper-parameters of a trial are computed
//! with these instead, so that trial i is the same trial everywhere. Accuracy: a few units of 1e-16.

/// 10^x for −300 ≤ x ≤ 300.
pub fn exp10(x: f64) -> f64 {
    let whole = x.round();
    // e^((x − whole)·ln 10) by its series; the argument is at most 1.16, and 24 terms leave 1e-21.
    let r = (x - whole) * std::f64::consts::LN_10;
    let mut sum = 1.0;
    for n in (1..=24).rev() {
        sum = 1.0 + sum * r / f64::from(n);
    }
    let mut power = 1.0;
    for _ in 0..whole.abs() as u32 {
        power *= 10.0;
    }
    if whole < 0.0 { sum / power } else { sum * power }
}

/// log₁₀ x for 1e-300 ≤ x ≤ 1e300, by Newton's iteration on [`exp10`].
pub fn log10(x: f64) -> f64 {
    let mut y = 0.0;
    let mut power = 1.0;
    // Within a factor of ten, then quadratically.
    while x / power >= 10.0 {
        power *= 10.0;
        y += 1.0;
    }
    while x / power < 1.0 {
        power /= 10.0;
        y -= 1.0;
    }
    for _ in 0..8 {
        y += (x / exp10(y) - 1.0) / std::f64::consts::LN_10 * if x / exp10(y) > 3.0 { 0.3 } else { 1.0 };
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp10_is_the_power_of_ten() {
        for i in -1200..=1200 {
            let x = f64::from(i) / 97.0;
            assert!((exp10(x) / 10_f64.powf(x) - 1.0).abs() < 1e-14, "{x}");
        }
        assert_eq!(exp10(-3.0), 1e-3);
        assert_eq!(exp10(0.0), 1.0);
    }

    #[test]
    fn log10_undoes_exp10() {
        for i in -1200..=1200 {
            let x = f64::from(i) / 97.0;
            assert!((log10(exp10(x)) - x).abs() < 1e-14 * x.abs().max(1.0), "{x}");
        }
        assert!((log10(1e-6) + 6.0).abs() < 1e-14);
    }
}
