//! The matrix product, from scratch.
//!
//! ```text
//! C (m×n) ← epilogue( α·A (m×k) · B (k×n) + β·C )
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | [`mod`](self) | the call: operands, checks, the odd strides |
//! | `microkernel.rs` | the register tile: MR rows by NV vectors of C, kept in registers over all of k |
//! | `table.rs` | which tiles each ISA has, one row an ISA |
//! | `pack.rs` | copying B into panels the tile reads with unit stride, and the rows of a transposed A |
//! | `prepacked.rs` | a B that is kept packed |
//! | `bytes.rs` | a product whose A is rows of bytes |
//! | `needed.rs` | which steps of k a tile needs: where all its rows of A are 0 it does none |
//! | `allowed.rs` | when that changes no bit |
//! | `listed.rs` | the register tile's loop over those steps |
//! | `compress.rs` | the elements of A that are not 0, one after the other |
//! | `compressed.rs` | another way to leave out zeros: a row of C at a time |
//! | `masked.rs` | the same without lists, for rows that bits tell of: one at a time, or two |
//! | `images.rs` | such rows of images where they lie |
//! | `pixels.rs` | and transposed, a row a pixel |
//! | `consume.rs` | a product that is handed over piece by piece instead of being stored |
//! | `plan.rs` | what is packed, how it is blocked, which threads do what: [`Plan`] |
//! | `driver.rs` | the loops around the tile |
//! | `block.rs` | the inner two of them: one block of B, tile by tile |
//! | `operands.rs` | the operands as pointers, wherever they come from |
//! | `pieces.rs` | A converted and C handed over, some rows at a time |
//! | [`ladder`] | the product from three loops up, one idea a file |
//!
//! **The same bits everywhere.** Each element of C is one chain over k in ascending order,
//!
//! ```text
//! c ← β·C[i,j]   (0 if β = 0: C is not read)
//! for p in 0..k:  c ← fma(α·A[i,p], B[p,j], c)      rounded once a step
//! C[i,j] ← c,  c + bias[j],  max(0, c + bias[j]),  or  0 where gate[i,j] ≤ 0, else c
//! ```
//!
//! so the result does not depend on the ISA, on block sizes (C is reloaded between blocks of k, exactly) or on threads
//! (they split m and n, never k). α is rounded into A once. The error of an element is at most (k + 3)·2⁻²⁴ times
//! the same sum over absolute values.

mod allowed;
mod block;
mod bytes;
mod compress;
mod compressed;
mod consume;
mod driver;
mod images;
pub mod ladder;
mod listed;
mod masked;
mod microkernel;
mod needed;
mod operands;
mod pack;
mod pieces;
mod pixels;
mod plan;
mod prepacked;
mod table;

pub use bytes::multiply_bytes;
pub use consume::{consume, consume_bytes, consume_pays};
pub use needed::{block_of_nonzero, find_nonzero, prefetch_nonzero};
use operands::Source;
use plan::Product;
pub use plan::{Blocking, Plan, Split, Workers};
pub use prepacked::Prepacked;
pub use table::{Tiles, tile_names};

use crate::array::{AlignedBuf, ShapeError, View, ViewMut};
use crate::exec::Exec;
use crate::isa::LANES;
use crate::vec;

/// Columns of half a vector: the unit that widths are counted in.
const HALF_LANES: usize = LANES / 2;

/// What is done to each element of C as it is stored for the last time.
#[derive(Clone, Copy, Debug, Default)]
pub enum Epilogue<'a> {
    /// Nothing.
    #[default]
    None,
    /// `C[i,j] + bias[j]`
    Bias(&'a [f32]),
    /// `max(0, C[i,j] + bias[j])`; a NaN stays a NaN.
    BiasRelu(&'a [f32]),
    /// `max(0, C[i,j] + bias[j]) · scale`: with the dropout layer behind a ReLU, at inference.
    BiasReluScale(&'a [f32], f32),
    /// `0` where `gate[i,j] ≤ 0`, else `C[i,j]`: a gradient on its way back through a ReLU whose output was the gate.
    /// The columns of the gate are adjacent.
    Gate(View<'a, f32, 2>),
}

/// One matrix product, ready to run: C ← epilogue(α·A·B + β·C).
///
/// A transposed operand is a transposed view ([`View::t`]); nobody copies it.
///
/// ```
/// use tensor::{Exec, Gemm, Tensor};
/// let a = Tensor::from_slice(&[1.0, 2.0, 3.0, 4.0], [2, 2])?;
/// let mut c = Tensor::zeros([2, 2]);
/// Gemm::new(a.view(), a.view().t(), c.view_mut()).run(Exec::serial())?;
/// assert_eq!(c.as_slice(), &[5.0, 11.0, 11.0, 25.0]);
/// # Ok::<(), tensor::ShapeError>(())
/// ```
#[derive(Debug)]
pub struct Gemm<'a> {
    /// Factor of the product.
    pub alpha: f32,
    /// m×k, any strides.
    pub a: View<'a, f32, 2>,
    /// k×n, any strides.
    pub b: View<'a, f32, 2>,
    /// Factor of what C holds; 0 means C is written without being read.
    pub beta: f32,
    /// m×n, any strides.
    pub c: ViewMut<'a, f32, 2>,
    /// What is done as C is stored.
    pub epilogue: Epilogue<'a>,
    /// B, kept packed. (Where that is another matrix of its shape, the product is wrong.)
    pub prepacked: Option<&'a Prepacked>,
}

impl<'a> Gemm<'a> {
    /// C ← A·B.
    pub fn new(a: View<'a, f32, 2>, b: View<'a, f32, 2>, c: ViewMut<'a, f32, 2>) -> Self {
        Self { alpha: 1.0, a, b, beta: 0.0, c, epilogue: Epilogue::None, prepacked: None }
    }

    /// Sets α.
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }

    /// Sets β.
    pub fn beta(self, beta: f32) -> Self {
        Self { beta, ..self }
    }

    /// Sets the epilogue.
    pub fn epilogue(self, epilogue: Epilogue<'a>) -> Self {
        Self { epilogue, ..self }
    }

    /// Offers this B as it is kept packed. (Where that is another matrix of its shape, the product is wrong.)
    pub fn prepacked(self, prepacked: &'a Prepacked) -> Self {
        Self { prepacked: Some(prepacked), ..self }
    }

    /// Computes C. Cost: 2·m·n·k operations, fewer where A is row-major and rows of it side by side have a good part of
    /// their zeros in common, or, with AVX2 or AVX-512 and some hundred columns, where half of A is zeros; and where it
    /// pays copies of B and of A. The buffers for them are kept by the threads, so a warm call does not allocate. (α ≠
    /// 1 copies A, and a C whose rows are not adjacent is computed beside its place and copied; both use buffers of the
    /// call.)
    ///
    /// # Errors
    /// If the shapes do not go together, a bias does not have n elements, or a gate has another shape than C, or
    /// columns that are not adjacent.
    pub fn run(self, exec: Exec) -> Result<(), ShapeError> {
        self.run_with(exec, &Blocking::of(exec.isa()))
    }

    /// [`Gemm::run`] with other block sizes: for tests and tuning; the result has the same bits.
    ///
    /// # Errors
    /// As [`Gemm::run`].
    pub fn run_with(mut self, exec: Exec, blocking: &Blocking) -> Result<(), ShapeError> {
        self.check()?;
        let ([m, k], n) = (self.a.shape(), self.b.cols());
        if m == 0 || n == 0 {
            return Ok(());
        }
        if self.alpha != 1.0 {
            let mut scaled = AlignedBuf::zeroed(m * k);
            let mut row = vec![0.0; k];
            for (i, to) in scaled.chunks_exact_mut(k.max(1)).enumerate() {
                for (p, x) in row.iter_mut().enumerate() {
                    *x = self.a[[i, p]];
                }
                vec::scale(exec, self.alpha, &row, to);
            }
            let a = View::new(&scaled, [m, k])?;
            return Gemm { alpha: 1.0, a, c: self.c, ..self }.run_with(exec, blocking);
        }
        if n > 1 && self.c.strides()[1] != 1 {
            if self.c.strides()[0] == 1 && matches!(self.epilogue, Epilogue::None) {
                // Cᵀ = Bᵀ·Aᵀ: the same chains, and the rows of Cᵀ are adjacent.
                let (a, b, c) = (self.b.t(), self.a.t(), self.c.t());
                return Gemm { a, b, c, prepacked: None, ..self }.run_with(exec, blocking);
            }
            let mut beside = AlignedBuf::zeroed(m * n);
            let mut c = ViewMut::new(&mut beside, [m, n])?;
            if self.beta != 0.0 {
                c.copy_from(self.c.view())?;
            }
            Gemm { c: c.reborrow(), a: self.a, b: self.b, ..self }.run_with(exec, blocking)?;
            return self.c.copy_from(c.view());
        }
        // Where C is read a chain may start at −0, which the first zero of A makes +0.
        let product = if self.beta == 0.0 {
            Product { storing: self.is_storing(), ..Product::leaving_out(exec, Source::Floats(self.a), self.b) }
        } else {
            self.product()
        };
        let Gemm { a, b, beta, c, epilogue, prepacked, .. } = self;
        plan::execute(exec, &product, blocking, |plan| {
            driver::run(exec, plan, Source::Floats(a), (b, prepacked), beta, c, epilogue);
        });
        Ok(())
    }

    /// The route of A·B, with every step of k done, when the other threads of its pool are asleep, or
    /// stand by in a session ([`Workers`]): for people, tests and benches to look at. (Where not the rows but the columns of C are
    /// adjacent, [`Gemm::run`] computes Cᵀ = Bᵀ·Aᵀ, and takes the route of that. What is returned of operands whose
    /// shapes do not go together, says nothing.)
    pub fn plan(&self, exec: Exec, workers: Workers, blocking: &Blocking) -> Plan {
        Plan::new(exec, workers, &self.product(), blocking)
    }

    fn product(&self) -> Product {
        Product { storing: self.is_storing(), ..Product::new(Source::Floats(self.a), self.b) }
    }

    fn is_storing(&self) -> bool {
        self.beta == 0.0 && matches!(self.epilogue, Epilogue::None)
    }

    fn check(&self) -> Result<(), ShapeError> {
        check(self.a.shape(), self.b.shape(), self.c.shape(), self.epilogue)
    }
}

fn mismatch(
    left_name: &'static str,
    left: &[usize],
    right_name: &'static str,
    right: &[usize],
    rule: &'static str,
) -> ShapeError {
    ShapeError::Mismatch {
        what: "matrix product",
        left_name,
        left: left.to_vec(),
        right_name,
        right: right.to_vec(),
        rule,
    }
}

/// Whether the shapes of A and B go together.
fn check_inner(a: [usize; 2], b: [usize; 2]) -> Result<(), ShapeError> {
    if a[1] == b[0] { Ok(()) } else { Err(mismatch("A", &a, "B", &b, "columns of A must equal rows of B")) }
}

/// Whether the shapes of A, B and C go together, and what the epilogue reads.
fn check(a: [usize; 2], b: [usize; 2], c: [usize; 2], epilogue: Epilogue<'_>) -> Result<(), ShapeError> {
    check_inner(a, b)?;
    if c != [a[0], b[1]] {
        return Err(mismatch("A·B", &[a[0], b[1]], "C", &c, "they must be equal"));
    }
    match epilogue {
        Epilogue::Bias(bias) | Epilogue::BiasRelu(bias) | Epilogue::BiasReluScale(bias, _) if bias.len() != c[1] => {
            Err(mismatch("C", &c, "the bias", &[bias.len()], "the bias must have one element a column"))
        }
        Epilogue::Gate(gate) if gate.shape() != c => {
            Err(mismatch("C", &c, "the gate", &gate.shape(), "they must be equal"))
        }
        Epilogue::Gate(gate) if gate.strides()[1] != 1 && c[1] > 1 => {
            Err(mismatch("C", &c, "strides of the gate", &gate.strides(), "its columns must be adjacent"))
        }
        _ => Ok(()),
    }
}
