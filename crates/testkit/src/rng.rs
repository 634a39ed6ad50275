//! Test data from a seed.
//!
//! SplitMix64 (Steele, Lea and Flood, 2014): one addition and one mixing function. The workspace trains with another
//! generator on purpose. Test data must not change when that one changes.

use std::f64::consts::TAU;
use std::ops::Range;

/// A SplitMix64 generator of test data. The same seed gives the same data on every machine.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator that starts at `seed`; every seed is as good as any other.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 uniform bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * 2f64.powi(-53)
    }

    /// Uniform in [`lo`, `hi`).
    ///
    /// # Panics
    /// If `lo < hi` does not hold, or either is not finite.
    pub fn f32_in(&mut self, lo: f32, hi: f32) -> f32 {
        assert!(
            lo < hi && lo.is_finite() && hi.is_finite(),
            "f32_in: [{lo}, {hi}) is not a finite, non-empty interval"
        );
        let (from, to) = (f64::from(lo), f64::from(hi));
        // Rounding to f32 can reach `hi`, which is not in the interval.
        ((from + (to - from) * self.unit()) as f32).min(hi.next_down())
    }

    /// Uniform in `range`. The bias of the multiply-shift method, below `len / 2⁶⁴`, is left in.
    ///
    /// # Panics
    /// If `range` is empty.
    pub fn usize_in(&mut self, range: Range<usize>) -> usize {
        assert!(!range.is_empty(), "usize_in: the range {}..{} is empty", range.start, range.end);
        let len = (range.end - range.start) as u128;
        range.start + ((u128::from(self.next_u64()) * len) >> 64) as usize
    }

    /// A standard normal deviate, by Box and Muller's transform.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// `n` values uniform in [-1, 1).
    pub fn vec_f32(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.f32_in(-1.0, 1.0)).collect()
    }

    /// `n` standard normal deviates, rounded to `f32`.
    pub fn vec_normal(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.normal() as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_sequence() {
        let mut rng = Rng::new(1234567);
        let got: Vec<u64> = (0..5).map(|_| rng.next_u64()).collect();
        let want =
            [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821];
        assert_eq!(got, want);
    }

    #[test]
    fn stays_inside_its_intervals() {
        let mut rng = Rng::new(1);
        // Two floats apart: rounding to nearest would reach the excluded end half of the time.
        let (lo, hi) = (1.0f32, 1.0f32.next_up().next_up());
        let mut seen = [false; 5];
        for _ in 0..1000 {
            let x = rng.f32_in(lo, hi);
            assert!((lo..hi).contains(&x), "{x}");
            let i = rng.usize_in(3..8);
            seen[i - 3] = true;
        }
        assert_eq!(seen, [true; 5]);
        assert!(rng.vec_f32(1000).iter().all(|x| (-1.0..1.0).contains(x)));
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut rng = Rng::new(2);
        let n = 100_000;
        let moment = |v: &[f32], p: i32| v.iter().map(|&x| f64::from(x).powi(p)).sum::<f64>() / v.len() as f64;
        let normal = rng.vec_normal(n);
        assert!(moment(&normal, 1).abs() < 0.02, "mean {}", moment(&normal, 1));
        assert!((moment(&normal, 2) - 1.0).abs() < 0.03, "variance {}", moment(&normal, 2));
        assert!((moment(&normal, 4) - 3.0).abs() < 0.2, "fourth moment {}", moment(&normal, 4));
        let uniform = rng.vec_f32(n);
        assert!(moment(&uniform, 1).abs() < 0.02, "mean {}", moment(&uniform, 1));
        assert!((moment(&uniform, 2) - 1.0 / 3.0).abs() < 0.01, "second moment {}", moment(&uniform, 2));
    }

    #[test]
    #[should_panic(expected = "is empty")]
    fn refuses_an_empty_range() {
        Rng::new(0).usize_in(4..4);
    }
}
