//! Distances in units of the last place of an `f32`.

/// The spacing of the `f32` numbers in the binade of `x`: 2^(⌊log₂|x|⌋ − 23).
///
/// Subnormal numbers and zero share the smallest spacing, 2⁻¹⁴⁹; from 2¹²⁸ on, where there are no finite `f32`, it
/// stays at the largest, 2¹⁰⁴. A NaN gives the largest as well.
pub fn ulp(x: f64) -> f64 {
    // The biased exponent is ⌊log₂|x|⌋ + 1023 for every x that matters here: the subnormal f64 are far below 2⁻¹²⁶.
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023;
    power_of_two(exponent.clamp(f32::MIN_EXP - 1, f32::MAX_EXP - 1) - 23)
}

/// How far `got` is from `want`, in units of the [`ulp`] at `want`. The correctly rounded result is at most 0.5 away.
///
/// | `got` | `want` | answer |
/// |---|---|---|
/// | NaN | NaN | 0 |
/// | NaN on one side only | | ∞ |
/// | ±∞ | the same infinity, or a finite number that rounds to it (from 2¹²⁸ − 2¹⁰³ on) | 0 |
/// | ±∞ | anything else | ∞ |
/// | finite | ±∞ | ∞ |
/// | finite | finite | \|got − want\| / ulp(want); +0 and −0 are the same number |
pub fn ulp_error(got: f32, want: f64) -> f64 {
    if got.is_nan() || want.is_nan() {
        return if got.is_nan() && want.is_nan() { 0.0 } else { f64::INFINITY };
    }
    if got.is_infinite() || want.is_infinite() {
        // One side is infinite, so equality here means that both are, once rounded.
        return if got == want as f32 { 0.0 } else { f64::INFINITY };
    }
    (f64::from(got) - want).abs() / ulp(want)
}

/// 2^`exponent`, exactly, for an exponent of a normal `f64`.
fn power_of_two(exponent: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&exponent), "2^{exponent} is not a normal f64");
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulp_is_the_spacing_of_the_binade() {
        assert_eq!(ulp(1.0), f64::from(f32::EPSILON));
        assert_eq!(ulp(-1.5), f64::from(f32::EPSILON));
        assert_eq!(ulp(1.0 - 1e-12), f64::from(f32::EPSILON) / 2.0);
        assert_eq!(ulp(2.0), 2.0 * f64::from(f32::EPSILON));
        let smallest = f64::from(f32::from_bits(1));
        for x in [0.0, -0.0, smallest, 1e-300, f64::from_bits(1), f64::from(f32::MIN_POSITIVE)] {
            assert_eq!(ulp(x), smallest, "{x:e}");
        }
        let largest = f64::from(f32::MAX) - f64::from(f32::MAX.next_down());
        for x in [f64::from(f32::MAX), 1e300, f64::INFINITY] {
            assert_eq!(ulp(x), largest, "{x:e}");
        }
    }

    #[test]
    fn neighbours_are_one_apart() {
        for x in [1.0f32, 1.5, -3.25, 1e-40, 1e30, f32::from_bits(1), f32::MIN_POSITIVE] {
            assert_eq!(ulp_error(x, f64::from(x)), 0.0, "{x:e}");
            // Away from zero: towards it, the spacing below a power of two is half as wide.
            assert_eq!(ulp_error(f32::from_bits(x.to_bits() + 1), f64::from(x)), 1.0, "{x:e}");
            assert_eq!(ulp_error(f32::from_bits(x.to_bits() + 7), f64::from(x)), 7.0, "{x:e}");
        }
        assert_eq!(ulp_error(1.0, 1.0 + f64::from(f32::EPSILON) / 4.0), 0.25);
    }

    #[test]
    fn zeros_have_no_sign_and_the_first_subnormal_is_one_away() {
        assert_eq!(ulp_error(0.0, -0.0), 0.0);
        assert_eq!(ulp_error(-0.0, 0.0), 0.0);
        assert_eq!(ulp_error(f32::from_bits(1), 0.0), 1.0);
        assert_eq!(ulp_error(-f32::from_bits(1), f64::from(f32::from_bits(1))), 2.0);
        assert!(ulp_error(0.0, 1e-60) < 1e-10, "what underflows rounds to zero");
    }

    #[test]
    fn the_overflow_threshold_is_half_a_unit_above_the_largest() {
        let threshold = f64::from(f32::MAX) + ulp(f64::from(f32::MAX)) / 2.0;
        let below = threshold.next_down();
        assert!((threshold as f32).is_infinite() && (below as f32).is_finite());
        assert_eq!(ulp_error(f32::INFINITY, threshold), 0.0);
        assert_eq!(ulp_error(f32::NEG_INFINITY, -threshold), 0.0);
        assert_eq!(ulp_error(f32::INFINITY, below), f64::INFINITY);
        assert_eq!(ulp_error(f32::INFINITY, -threshold), f64::INFINITY);
        assert!(ulp_error(f32::MAX, below) <= 0.5);
        assert_eq!(ulp_error(f32::MAX, threshold), 0.5);
        assert!(ulp_error(f32::MAX, 1e300) > 1e200);
    }

    #[test]
    fn nan_and_infinity_match_only_themselves() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(ulp_error(f32::NAN, nan), 0.0);
        for (got, want) in [(f32::NAN, 1.0), (f32::NAN, inf), (1.0, nan), (f32::INFINITY, nan), (f32::MAX, inf)] {
            assert_eq!(ulp_error(got, want), inf, "got {got}, want {want}");
        }
        assert_eq!(ulp_error(f32::INFINITY, inf), 0.0);
        assert_eq!(ulp_error(f32::NEG_INFINITY, -inf), 0.0);
        assert_eq!(ulp_error(f32::NEG_INFINITY, inf), inf);
    }
}
