//! Matrix products: the plain f64 reference with its error bound, and the exact f32 chain.
//!
//! ```text
//! C ← α·A·B + β·C         A m×k, B k×n, C m×n
//! ```
//!
//! - [`Gemm::reference`] says what the numbers are, and how large the rounding errors of any f32 evaluation may be.
//! - [`Gemm::chain`] says which bits an evaluation must give that adds in ascending order with fused multiply-adds.

/// A read-only strided matrix: element (i, j) is `data[i·row_stride + j·col_stride]`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    /// The elements, starting with (0, 0).
    pub data: &'a [f32],
    /// Distance between rows, in elements.
    pub row_stride: usize,
    /// Distance between columns, in elements.
    pub col_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Dense rows of `cols` elements each.
    pub fn row_major(data: &'a [f32], cols: usize) -> Self {
        Self { data, row_stride: cols, col_stride: 1 }
    }

    /// Dense columns of `rows` elements each.
    pub fn col_major(data: &'a [f32], rows: usize) -> Self {
        Self { data, row_stride: 1, col_stride: rows }
    }

    /// A matrix that may not be read, such as C when β = 0.
    pub fn unread() -> Self {
        Self { data: &[], row_stride: 0, col_stride: 0 }
    }

    /// The transpose: the same elements, strides swapped.
    pub fn transposed(self) -> Self {
        Self { data: self.data, row_stride: self.col_stride, col_stride: self.row_stride }
    }

    /// Element (`row`, `col`).
    ///
    /// # Panics
    /// If it lies outside of `data`.
    pub fn at(&self, row: usize, col: usize) -> f32 {
        self.data[row * self.row_stride + col * self.col_stride]
    }
}

/// What to do with each element once its sum is complete.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// One number a column (n in all), added in f32.
    pub bias: Option<&'a [f32]>,
    /// Then, replace what is not above zero by +0. NaN stays NaN.
    pub relu: bool,
}

/// The operands of one product, α·A·B + β·C.
#[derive(Clone, Copy, Debug)]
pub struct Gemm<'a> {
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Columns of A, rows of B.
    pub k: usize,
    /// Factor of the product.
    pub alpha: f32,
    /// m×k.
    pub a: Matrix<'a>,
    /// k×n.
    pub b: Matrix<'a>,
    /// Factor of what C held before; at 0, `c` is never read.
    pub beta: f32,
    /// m×n, what C held before.
    pub c: Matrix<'a>,
}

/// What a product should be.
#[derive(Clone, Debug)]
pub struct Reference {
    /// α·A·B + β·C, row-major m×n.
    pub values: Vec<f64>,
    /// |α|·|A|·|B| + |β|·|C|, row-major m×n: the scale of the rounding errors.
    pub magnitudes: Vec<f64>,
    /// The length of the sums.
    pub k: usize,
}

impl Reference {
    /// The [`gemm_bound`] of each element.
    pub fn bounds(&self) -> Vec<f64> {
        gemm_bound(self.k, &self.magnitudes)
    }
}

/// How far an f32 evaluation may be from `values`, element by element: (k+3)·u / (1 − (k+3)·u) times the magnitude,
/// with u = 2⁻²⁴, plus what underflow can add.
///
/// No term of an element is rounded more than k + 3 times, in whatever order the sum is taken. It is once for a product,
/// once for α or β, k times in the sum, and once for the bias. See Higham, *Accuracy and Stability of Numerical
/// Algorithms*, section 3.1. An element of magnitude 0 is a sum of zeros and must be 0. With a bias, add |bias| to the
/// magnitudes first.
///
/// # Panics
/// If k is so large (2²³) that the bound means nothing.
pub fn gemm_bound(k: usize, magnitudes: &[f64]) -> Vec<f64> {
    let roundings = k as f64 + 3.0;
    let relative = roundings * 2f64.powi(-24);
    assert!(relative < 0.5, "gemm_bound: a sum of k = {k} terms has no significant bits in f32");
    // A result below 2⁻¹²⁶ is rounded to a multiple of 2⁻¹⁴⁹, so by up to 2⁻¹⁵⁰.
    let underflow = roundings * 2f64.powi(-150);
    let bound = |&magnitude: &f64| {
        if magnitude == 0.0 { 0.0 } else { relative / (1.0 - relative) * magnitude + underflow }
    };
    magnitudes.iter().map(bound).collect()
}

impl<'a> Gemm<'a> {
    /// A·B of two row-major matrices: α = 1, β = 0.
    ///
    /// # Panics
    /// If `a` is not m·k long or `b` not k·n.
    pub fn product(m: usize, n: usize, k: usize, a: &'a [f32], b: &'a [f32]) -> Self {
        assert_eq!(a.len(), m * k, "A is {m}×{k}");
        assert_eq!(b.len(), k * n, "B is {k}×{n}");
        let (a, b) = (Matrix::row_major(a, k), Matrix::row_major(b, n));
        Self { m, n, k, alpha: 1.0, a, b, beta: 0.0, c: Matrix::unread() }
    }

    /// The product in f64, by the definition. A product of two f32 is exact in f64.
    ///
    /// # Panics
    /// If an operand is shorter than its shape and strides ask for.
    pub fn reference(&self) -> Reference {
        let &Gemm { m, n, k, a, b, .. } = self;
        let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
        let mut values = vec![0.0; m * n];
        let mut magnitudes = vec![0.0; m * n];
        for i in 0..m {
            let (value, magnitude) = (&mut values[i * n..][..n], &mut magnitudes[i * n..][..n]);
            for p in 0..k {
                let a_ip = f64::from(a.at(i, p));
                for j in 0..n {
                    let term = a_ip * f64::from(b.at(p, j));
                    value[j] += term;
                    magnitude[j] += term.abs();
                }
            }
            for j in 0..n {
                value[j] *= alpha;
                magnitude[j] *= alpha.abs();
                if beta != 0.0 {
                    let term = beta * f64::from(self.c.at(i, j));
                    value[j] += term;
                    magnitude[j] += term.abs();
                }
            }
        }
        Reference { values, magnitudes, k }
    }

    /// The bits an ascending chain of fused multiply-adds gives, row-major m×n:
    ///
    /// ```text
    /// acc = β·C[i,j]                         (+0 if β = 0)
    /// for p in 0..k: acc = fma(α·A[i,p], B[p,j], acc)
    /// acc = acc + bias[j]                    (if there is one)
    /// acc = if acc ≤ 0 { +0 } else { acc }   (if relu)
    /// ```
    ///
    /// every operation rounded to f32 once. α multiplies the elements of A, so α = 1 changes no bit.
    ///
    /// # Panics
    /// If an operand is shorter than its shape and strides ask for, or the bias is not n long.
    pub fn chain(&self, epilogue: Epilogue) -> Vec<f32> {
        if let Some(bias) = epilogue.bias {
            assert_eq!(bias.len(), self.n, "the bias has one number a column");
        }
        let element = |i: usize, j: usize| {
            let start = if self.beta == 0.0 { 0.0 } else { self.beta * self.c.at(i, j) };
            let step = |acc: f32, p: usize| (self.alpha * self.a.at(i, p)).mul_add(self.b.at(p, j), acc);
            let sum = (0..self.k).fold(start, step);
            let biased = epilogue.bias.map_or(sum, |bias| sum + bias[j]);
            if epilogue.relu && biased <= 0.0 { 0.0 } else { biased }
        };
        (0..self.m).flat_map(|i| (0..self.n).map(move |j| (i, j))).map(|(i, j)| element(i, j)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Bound, assert_bits, assert_close, assert_close_f64, check_close};
    use crate::rng::Rng;

    const A: [f32; 6] = [1.0, 2.0, 3.0, -4.0, 5.0, 6.0]; // 2×3
    const B: [f32; 6] = [7.0, -8.0, 9.0, 1.0, 2.0, 3.0]; // 3×2
    // Row 0: 7+18+6, -8+2+9. Row 1: -28+45+12, 32+5+18.
    const AB: [f64; 4] = [31.0, 3.0, 29.0, 55.0];
    const ABS: [f64; 4] = [31.0, 19.0, 85.0, 55.0];

    #[test]
    fn reference_is_the_product_worked_by_hand() {
        let product = Gemm::product(2, 2, 3, &A, &B).reference();
        assert_eq!(product.values, AB);
        assert_eq!(product.magnitudes, ABS);
        let c = [1.0, -1.0, 2.0, -2.0];
        let scaled = Gemm { alpha: 2.0, beta: -3.0, c: Matrix::row_major(&c, 2), ..Gemm::product(2, 2, 3, &A, &B) };
        assert_eq!(scaled.reference().values, [59.0, 9.0, 52.0, 116.0]);
        assert_eq!(scaled.reference().magnitudes, [65.0, 41.0, 176.0, 116.0]);
        assert_eq!(scaled.chain(Epilogue::default()), [59.0, 9.0, 52.0, 116.0]);
    }

    #[test]
    fn strides_address_transposes_and_padded_rows() {
        let (at, bt) = ([1.0, -4.0, 2.0, 5.0, 3.0, 6.0], [7.0, 9.0, 2.0, -8.0, 1.0, 3.0]);
        let plain = Gemm::product(2, 2, 3, &A, &B);
        let swapped = Gemm { a: Matrix::row_major(&at, 2).transposed(), b: Matrix::col_major(&bt, 3), ..plain };
        assert_eq!(swapped.reference().values, AB);
        let nan = f32::NAN;
        let padded = [1.0, 2.0, 3.0, nan, nan, -4.0, 5.0, 6.0];
        let gaps = Gemm { a: Matrix { data: &padded, row_stride: 5, col_stride: 1 }, ..plain };
        assert_eq!(gaps.reference().values, AB);
        assert_eq!(gaps.chain(Epilogue::default()), [31.0, 3.0, 29.0, 55.0]);
    }

    #[test]
    fn beta_zero_does_not_read_c_and_k_zero_leaves_beta_c() {
        let nan = [f32::NAN; 4];
        let unread = Gemm { c: Matrix::row_major(&nan, 2), ..Gemm::product(2, 2, 3, &A, &B) };
        assert_eq!(unread.reference().values, AB);
        assert_eq!(unread.chain(Epilogue::default()), [31.0, 3.0, 29.0, 55.0]);
        let c = [1.0, -2.0];
        let empty = Gemm { beta: 2.0, c: Matrix::row_major(&c, 2), ..Gemm::product(1, 2, 0, &[], &[]) };
        assert_eq!(empty.reference().values, [2.0, -4.0]);
        assert_eq!(empty.chain(Epilogue::default()), [2.0, -4.0]);
    }

    #[test]
    fn chain_adds_the_bias_then_clips() {
        let epilogue = Epilogue { bias: Some(&[-30.0, -4.0]), relu: true };
        assert_bits("relu", &Gemm::product(2, 2, 3, &A, &B).chain(epilogue), &[1.0, 0.0, 0.0, 51.0]);
        let product = Gemm::product(1, 1, 1, &[f32::NAN], &[1.0]);
        assert!(product.chain(Epilogue { bias: None, relu: true })[0].is_nan(), "relu keeps NaN");
        let minus_zero = Gemm::product(1, 1, 1, &[-1e-30], &[1e-30]).chain(Epilogue { bias: None, relu: true });
        assert_bits("relu gives +0", &minus_zero, &[0.0]);
    }

    #[test]
    fn chain_rounds_once_a_step_and_in_ascending_order() {
        // (1+ε)(1−ε) = 1 − ε²: the fused step keeps it, a rounded product would be 1 and the sum 0.
        let e = f32::EPSILON;
        let fused = Gemm::product(1, 1, 2, &[-1.0, 1.0 + e], &[1.0, 1.0 - e]).chain(Epilogue::default());
        assert_bits("fused", &fused, &[-e * e]);
        // 1 + 2⁻²⁴ ties back to 1, twice; from the other end 2⁻²⁴ + 2⁻²⁴ + 1 is the next number after 1.
        let tiny = 2f32.powi(-24);
        let up = Gemm::product(1, 1, 3, &[1.0, tiny, tiny], &[1.0; 3]).chain(Epilogue::default());
        assert_bits("ascending", &up, &[1.0]);
        let down = Gemm::product(1, 1, 3, &[tiny, tiny, 1.0], &[1.0; 3]).chain(Epilogue::default());
        assert_bits("descending", &down, &[1.0 + e]);
    }

    #[test]
    fn bound_accepts_the_chain_and_refuses_a_small_error() {
        let (m, n, k) = (13, 17, 200);
        let mut rng = Rng::new(3);
        let (a, b, c) = (rng.vec_normal(m * k), rng.vec_normal(k * n), rng.vec_normal(m * n));
        let problem = Gemm { alpha: 0.7, beta: -1.3, c: Matrix::row_major(&c, n), ..Gemm::product(m, n, k, &a, &b) };
        let want = problem.reference();
        let mut got = problem.chain(Epilogue::default());
        assert_close("chain", &got, &want.values, Bound::PerElement(&want.bounds()));
        let rounded: Vec<f32> = want.values.iter().map(|&x| x as f32).collect();
        assert_close("rounded", &rounded, &want.values, Bound::PerElement(&want.bounds()));
        got[5] += (2.0 * want.bounds()[5]) as f32;
        assert!(check_close(&got, &want.values, Bound::PerElement(&want.bounds())).is_err());
    }

    #[test]
    fn bound_is_the_textbook_one() {
        let u = 2f64.powi(-24);
        let want = [4.0 * u / (1.0 - 4.0 * u), 0.0, 8.0 * u / (1.0 - 4.0 * u)];
        assert_close_f64("bound", &gemm_bound(1, &[1.0, 0.0, 2.0]), &want, Bound::Allclose { rtol: 1e-14, atol: 0.0 });
        // 2⁻⁷⁵·2⁻⁷⁶ = 2⁻¹⁵¹ underflows to 0, which is the correctly rounded result.
        let (a, b) = ([2f32.powi(-75)], [2f32.powi(-76)]);
        let tiny = Gemm::product(1, 1, 1, &a, &b).reference();
        assert_close("underflow", &[0.0], &tiny.values, Bound::PerElement(&tiny.bounds()));
    }
}
