//! A B that is kept packed: the weights of a layer, while an evaluation has batch after batch of them.
//!
//! ```text
//!     W, k×n as it lies               kept: rows of whole registers, as `compressed.rs` reads a panel
//!   ┌─────────────────┐              ┌───────────────────┐
//!   │ row 0, 100 wide │  ─────────▶  │ row 0, 112 wide   │  each block of k of it is read where it lies (AVX2: 104)
//!   │ row 1           │              │ row 1             │
//!   │ …               │              │ …                 │
//!   └─────────────────┘              └───────────────────┘
//! ```
//!
//! Plain: `panel[p][j] = B[p, j]`, and the least size of an element that is not 0 ([`Seen`]).
//!
//! 1. *Packed once.* A product packs 784×100 weights in 8 µs, of 46 that it takes for 100 images; and where it packs a
//!    block it turns the block before out of L1, for two do not fit. Kept, it takes 17 µs, once.
//! 2. *Read where it lies*, in L2. The kernel takes no longer than from a block that was just packed: with AVX-512 the
//!    rows are whole cache lines, and those that no row of A needs never come.
//! 3. *Only for the second that asks.* Whether zeros are left out depends on A, and a product that does all steps has
//!    no use for it; nor does it pay for one alone.
//!
//! Tried and dropped: to pack the rows of W that an update has just written, so that each step of training had it. The
//! forward pass of 784×100 took 9 µs less, but the update 17 more: each line of what is kept goes from L2 to L1 and
//! back, and turns out what the product that hands over dW needs there.

use super::allowed::Seen;
use super::compressed::{FEWEST_REGISTERS, MOST_REGISTERS};
use super::pack::{Pack, PackPanel};
use super::table;
use crate::array::{AlignedBuf, View};
use crate::exec::Exec;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// A B that is kept packed, if its products have asked for it. It is to be told when B changes ([`Prepacked::forget`]):
/// the products are those of the B that was packed.
///
/// ```
/// use tensor::gemm::Prepacked;
/// use tensor::{Exec, Gemm, Tensor};
/// let (exec, b) = (Exec::serial(), Tensor::from_fn([64, 100], |[p, j]| (p + j) as f32));
/// let a = Tensor::from_fn([64, 64], |[_, p]| f32::from(u8::from(p % 4 == 0)));
/// let (mut want, mut c) = (Tensor::zeros([64, 100]), Tensor::zeros([64, 100]));
/// Gemm::new(a.view(), b.view(), want.view_mut()).run(exec)?;
/// let mut packed = Prepacked::default();
/// for _ in 0..2 {
///     Gemm::new(a.view(), b.view(), c.view_mut()).prepacked(&packed).run(exec)?;
///     assert_eq!(c, want);
///     packed.pack_if_asked(exec, b.view());
/// }
/// # Ok::<(), tensor::ShapeError>(())
/// ```
pub struct Prepacked {
    panel: AlignedBuf<f32>,
    /// What is packed: k and n of B, and the width of the panel's rows; `None`: nothing, or what B was.
    shape: Option<[usize; 3]>,
    seen: Seen,
    /// Whether a product has asked for it since B changed.
    asked: AtomicBool,
}

impl Default for Prepacked {
    /// Nothing, as yet.
    fn default() -> Self {
        Self { panel: AlignedBuf::default(), shape: None, seen: Seen::NOTHING, asked: AtomicBool::new(false) }
    }
}

impl Clone for Prepacked {
    /// Nothing, as yet.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Prepacked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepacked").field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Prepacked {
    /// Notes that B is no longer what was packed, or asked for.
    pub fn forget(&mut self) {
        (self.shape, *self.asked.get_mut()) = (None, false);
    }

    /// Packs B, if it is not packed, a product has asked for it as it is, and the elements of its rows are adjacent.
    /// Cost: B is read and written once; at the first time an allocation.
    pub fn pack_if_asked(&mut self, exec: Exec, b: View<'_, f32, 2>) {
        let [k, n] = b.shape();
        if self.shape.is_some() || !*self.asked.get_mut() || b.strides()[1] != 1 {
            return;
        }
        let Some(width) = width(exec, n) else { return };
        self.panel.make_room(k * width);
        // SAFETY: the view was checked to reach k rows of n adjacent elements; the panel was just sized.
        self.seen = exec.run(unsafe {
            Pack::<true>::new(PackPanel {
                b: b.data().as_ptr(),
                row_stride: b.strides()[0],
                column_stride: 1,
                k,
                columns: n,
                to: self.panel.as_mut_ptr(),
                width,
            })
        });
        self.shape = Some([k, n, width]);
    }

    /// Asks for it: the panel, if there is one of this shape, in rows of so many floats, and what was seen of it.
    pub(super) fn ask(&self, shape: [usize; 3]) -> Option<(*const f32, Seen)> {
        // No other memory goes with it. (Not written again, so that threads that ask share its line.)
        if !self.asked.load(Ordering::Relaxed) {
            self.asked.store(true, Ordering::Relaxed);
        }
        (self.shape == Some(shape)).then(|| (self.panel.as_ptr(), self.seen))
    }
}

/// Floats of a row of the panel of so many columns, if there is one that holds them all.
fn width(exec: Exec, columns: usize) -> Option<usize> {
    let row = table::row(exec.isa());
    let registers = columns.div_ceil(row.register());
    let kept = row.elements.is_some() && (FEWEST_REGISTERS..=MOST_REGISTERS).contains(&registers);
    kept.then(|| registers * row.register())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Tensor;
    use crate::gemm::{Epilogue, Gemm, multiply_bytes};
    use crate::isa::AnyIsa;
    use crate::threads::session;
    use crate::vec::ByteRows;
    use testkit::compare::assert_bits;
    use testkit::rng::Rng;

    /// A·B, of floats or of images, with a B that is kept packed, or without.
    fn product(exec: Exec, x: &[u8], bytes: bool, b: &Tensor<f32, 2>, packed: Option<&Prepacked>) -> Vec<f32> {
        let [k, n] = b.shape();
        let rows: Vec<usize> = (0..x.len() / k).collect();
        let mut c = Tensor::from_fn([rows.len(), n], |_| f32::NAN);
        if bytes {
            let x = ByteRows::new(x, k, &rows);
            multiply_bytes(exec, x, b.view(), packed, c.view_mut(), Epilogue::None).expect("they go together");
        } else {
            let a = Tensor::from_fn([rows.len(), k], |[r, p]| f32::from(x[r * k + p]));
            let gemm = Gemm::new(a.view(), b.view(), c.view_mut());
            packed.into_iter().fold(gemm, Gemm::prepacked).run(exec).expect("they go together");
        }
        c.as_slice().to_vec()
    }

    /// A quarter of the elements, in rows that are alike: the first two of each eight.
    fn quarter(m: usize, k: usize) -> Vec<u8> {
        (0..m * k).map(|at| if at % k % 8 < 2 { (1 + (at * 7) % 250) as u8 } else { 0 }).collect()
    }

    #[test]
    fn a_product_with_a_kept_b_has_the_same_bits_also_where_b_forbids_to_leave_out_zeros() {
        let mut rng = Rng::new(4);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("three threads can be had");
        for (isa, threads) in AnyIsa::available().flat_map(|isa| [(isa, 1), (isa, 3)]) {
            let exec = Exec::with_isa(isa, threads);
            for [k, n] in [[100, 96], [100, 97], [100, 112], [300, 100], [40, 208], [40, 209]] {
                // A is 0 at the third of each eight: leaving it out would leave out the NaN. In the first block of
                // steps and in the last.
                for odd in [None, Some((2, f32::NAN)), Some((k - 6 - k % 8, f32::INFINITY))] {
                    let mut b = Tensor::from_slice(&rng.vec_normal(k * n), [k, n]).expect("fits");
                    let x = quarter(200, k);
                    if let Some((p, odd)) = odd {
                        assert_eq!(x[p], 0);
                        b.as_mut_slice()[p * n + n / 2] = odd;
                    }
                    let mut packed = Prepacked::default();
                    for bytes in [false, true] {
                        let want = product(exec, &x, bytes, &b, None);
                        assert_eq!(want.iter().any(|c| c.is_nan()), odd.is_some());
                        let name = format!("{k}×{n} with {odd:?}, bytes {bytes}, on {}×{threads}", isa.name());
                        for _ in 0..2 {
                            let in_session = || session(exec, |exec| product(exec, &x, bytes, &b, Some(&packed)));
                            assert_bits(&name, &pool.install(in_session), &want);
                            packed.pack_if_asked(exec, b.view());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn b_is_packed_where_a_product_has_asked_for_it_and_forgotten_when_it_changes() {
        let (k, n) = (100, 100);
        let mut b = Tensor::from_fn([k, n], |[p, j]| 1.0 + (p * n + j) as f32);
        let (sparse, dense) = (quarter(64, k), vec![3; 64 * k]);
        for isa in AnyIsa::available() {
            let exec = Exec::with_isa(isa, 1);
            let keeps = table::row(isa).elements.is_some();
            let mut packed = Prepacked::default();
            let mut is_packed_after = |x: &[u8], b: &Tensor<f32, 2>, changes: bool| {
                if changes {
                    packed.forget();
                }
                assert_eq!(product(exec, x, false, b, Some(&packed)), product(exec, x, false, b, None));
                packed.pack_if_asked(exec, b.view());
                packed.shape.is_some()
            };
            assert!(!is_packed_after(&dense, &b, false), "nobody has asked");
            assert_eq!(is_packed_after(&sparse, &b, false), keeps, "on {}", isa.name());
            b.as_mut_slice().iter_mut().for_each(|x| *x += 0.5);
            assert_eq!(is_packed_after(&sparse, &b, true), keeps, "on {}", isa.name());
            b.as_mut_slice()[7] = -1.0;
            assert!(!is_packed_after(&dense, &b, true), "nobody has asked since");
            // Packed for one ISA, it is not read by another's products.
            assert_eq!(is_packed_after(&sparse, &b, false), keeps);
            for other in AnyIsa::available() {
                let exec = Exec::with_isa(other, 1);
                assert_eq!(product(exec, &sparse, true, &b, Some(&packed)), product(exec, &sparse, true, &b, None));
            }
            // What is packed is read: whoever forgets to say that B has changed has the product of what it was.
            let was = product(exec, &sparse, true, &b, None);
            b.as_mut_slice()[0] = 1e6;
            let is = product(exec, &sparse, true, &b, None);
            assert!(is != was);
            assert_eq!(product(exec, &sparse, true, &b, Some(&packed)), if keeps { was } else { is });
        }
    }
}
