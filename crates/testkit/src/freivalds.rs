//! Freivalds' check: is this the product of those matrices, in O(n²)?
//!
//! ```text
//! G·t  =?  α·A·(B·t) + β·C·t         in f64, for a random vector t
//! ```
//!
//! It is for shapes at which the O(n³) [`Gemm::reference`] is too slow. The components of t have random signs and
//! magnitudes in [½, 1). A single wrong element always shows. Several can cancel only by chance, so the check takes two
//! vectors.

use crate::compare::{Bound, Mismatch, check_close_f64};
use crate::gemm::Gemm;
use crate::rng::Rng;

/// Random vectors tried. Errors that cancel in one of them are a coincidence, in both a coincidence squared.
const ROUNDS: usize = 2;

/// How many standard deviations a row may be off. By Hoeffding's inequality an honest row exceeds this with a
/// probability below 2·exp(−8²/2) ≈ 3·10⁻¹⁴.
const DEVIATIONS: f64 = 8.0;

/// Checks that `got` (row-major m×n) is the f32 value of `problem`.
///
/// Row i may be off by 8·√(k+3)·2⁻²⁴·(|α|·‖Aᵢ‖·‖B‖ + |β|·‖Cᵢ‖) in Euclidean norms. That is the error of n sums of k
/// terms whose rounding errors have no common sign, added up with the random signs of t. Data of one constant can have
/// such a common sign; random data, which this check is for, have not.
///
/// # Errors
/// A [`Mismatch`] whose index is a row and whose numbers are that row of the two matrix-vector products.
///
/// # Panics
/// If an operand is shorter than its shape and strides ask for.
pub fn freivalds(problem: &Gemm, got: &[f32], rng: &mut Rng) -> Result<(), Mismatch> {
    let &Gemm { m, n, k, a, b, c, .. } = problem;
    let (alpha, beta) = (f64::from(problem.alpha), f64::from(problem.beta));
    if got.len() != m * n {
        return Err(Mismatch::Length { got: got.len(), want: m * n });
    }
    let a_at = |i: usize, p: usize| f64::from(a.at(i, p));
    let b_at = |p: usize, j: usize| f64::from(b.at(p, j));
    let c_at = |i: usize, j: usize| if beta == 0.0 { 0.0 } else { f64::from(c.at(i, j)) };

    let b_norm = (0..k).map(|p| (0..n).map(|j| b_at(p, j).powi(2)).sum::<f64>()).sum::<f64>().sqrt();
    let row_bound = |i: usize| {
        let a_norm = (0..k).map(|p| a_at(i, p).powi(2)).sum::<f64>().sqrt();
        let c_norm = (0..n).map(|j| c_at(i, j).powi(2)).sum::<f64>().sqrt();
        let unit = (k as f64 + 3.0).sqrt() * 2f64.powi(-24);
        DEVIATIONS * unit * (alpha.abs() * a_norm * b_norm + beta.abs() * c_norm)
    };
    let bounds: Vec<f64> = (0..m).map(row_bound).collect();

    for _ in 0..ROUNDS {
        let t: Vec<f64> = (0..n).map(|_| random_component(rng)).collect();
        let bt: Vec<f64> = (0..k).map(|p| (0..n).map(|j| b_at(p, j) * t[j]).sum()).collect();
        let want_row = |i: usize| {
            let abt: f64 = (0..k).map(|p| a_at(i, p) * bt[p]).sum();
            let ct: f64 = (0..n).map(|j| c_at(i, j) * t[j]).sum();
            alpha * abt + beta * ct
        };
        let want: Vec<f64> = (0..m).map(want_row).collect();
        let got_row = |i: usize| (0..n).map(|j| f64::from(got[i * n + j]) * t[j]).sum();
        let got: Vec<f64> = (0..m).map(got_row).collect();
        check_close_f64(&got, &want, Bound::PerElement(&bounds))?;
    }
    Ok(())
}

/// ±[½, 1), uniform: never near zero, so that no element is weighed out of sight.
fn random_component(rng: &mut Rng) -> f64 {
    let magnitude = 0.5 + 0.5 * rng.unit();
    if rng.next_u64() >> 63 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Epilogue, Matrix};

    const M: usize = 60;
    const N: usize = 80;
    const K: usize = 100;

    /// Runs `judge` on a problem, its honest result and a generator.
    fn with_product(judge: impl FnOnce(&Gemm, &[f32], &mut Rng)) {
        let mut rng = Rng::new(4);
        let (a, b, c) = (rng.vec_f32(M * K), rng.vec_f32(K * N), rng.vec_f32(M * N));
        let problem = Gemm { alpha: 0.5, beta: 2.0, c: Matrix::row_major(&c, N), ..Gemm::product(M, N, K, &a, &b) };
        judge(&problem, &problem.chain(Epilogue::default()), &mut rng);
    }

    #[test]
    fn accepts_the_product() {
        with_product(|problem, got, rng| {
            for _ in 0..20 {
                assert_eq!(freivalds(problem, got, rng), Ok(()));
            }
        });
        for k in [0, 1, 2] {
            let (a, b) = (vec![0.3; 3 * k], vec![0.7; k * 2]);
            let problem = Gemm::product(3, 2, k, &a, &b);
            assert_eq!(freivalds(&problem, &problem.chain(Epilogue::default()), &mut Rng::new(k as u64)), Ok(()));
        }
    }

    #[test]
    fn refuses_wrong_products() {
        with_product(|problem, got, rng| {
            let wrong = |change: &dyn Fn(&mut Vec<f32>)| {
                let mut changed = got.to_vec();
                change(&mut changed);
                changed
            };
            let cases = [
                ("zeros", wrong(&|g| g.fill(0.0))),
                ("doubled", wrong(&|g| g.iter_mut().for_each(|x| *x *= 2.0))),
                ("sign-flipped", wrong(&|g| g.iter_mut().for_each(|x| *x = -*x))),
                ("one element off", wrong(&|g| g[7 * N + 5] += 0.01)),
                ("one NaN", wrong(&|g| g[N + 3] = f32::NAN)),
                ("one infinity", wrong(&|g| g[N + 3] = f32::INFINITY)),
                ("one element zero", wrong(&|g| g[11 * N] = 0.0)),
                ("shifted by six rows", wrong(&|g| g.rotate_left(6 * N))),
                ("shifted by sixteen columns", wrong(&|g| g.chunks_mut(N).for_each(|row| row.rotate_left(16)))),
                ("two columns swapped", wrong(&|g| g.chunks_mut(N).for_each(|row| row.swap(3, 50)))),
                ("truncated", wrong(&|g| g.truncate(M * N - 1))),
                ("empty", Vec::new()),
            ];
            for (name, changed) in cases {
                assert!(freivalds(problem, &changed, rng).is_err(), "accepted a result that is {name}");
            }
        });
    }
}
