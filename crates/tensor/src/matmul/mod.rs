//! The front door of the matrix product: any strides, α, β, an epilogue, floats or bytes.
//!
//! ```text
//! C (m×n) ← epilogue( α·A (m×k) · B (k×n) + β·C )
//!
//!   check the shapes  ─▶  bring C into rows, α into A  ─▶  do the zeros of A pay?  ─ yes ─▶  sparse/
//!                                                                                  ─ no ──▶  gemm/  (bytes are converted first)
//! ```
//!
//! The bits of C do not depend on the answer. `update.rs` holds the product that is not stored but fed to an update.

mod update;

pub use crate::gemm::{Epilogue, PackedB, Plan, Rhs};
pub use crate::vec::{Lhs, Zeros};
pub use update::{update, update_pays};

use crate::array::{ShapeError, Tensor, View, ViewMut};
use crate::exec::Exec;
use crate::gemm::{self, Output};
use crate::machine::scratch::{bytes_of, with_scratch};
use crate::sparse;
use crate::vec;
use std::ops::Range;

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
    alpha: f32,
    a: Lhs<'a>,
    b: Rhs<'a>,
    beta: f32,
    c: ViewMut<'a, f32, 2>,
    epilogue: Epilogue<'a>,
    zeros: Zeros,
}

impl<'a> Gemm<'a> {
    /// C ← A·B, of an A of floats (m×k) or bytes and a B of floats (k×n) or one that is packed.
    pub fn new(a: impl Into<Lhs<'a>>, b: impl Into<Rhs<'a>>, c: ViewMut<'a, f32, 2>) -> Self {
        let (a, b, epilogue, zeros) = (a.into(), b.into(), Epilogue::None, Zeros::Ask);
        Self { alpha: 1.0, a, b, beta: 0.0, c, epilogue, zeros }
    }

    /// Sets α, the factor of A·B.
    pub fn alpha(self, alpha: f32) -> Self {
        Self { alpha, ..self }
    }

    /// Sets β, the factor of what C holds. With 0 C is written without being read.
    pub fn beta(self, beta: f32) -> Self {
        Self { beta, ..self }
    }

    /// Sets what is done to C as it is stored.
    pub fn epilogue(self, epilogue: Epilogue<'a>) -> Self {
        Self { epilogue, ..self }
    }

    /// Says whether A may hold zeros worth skipping.
    pub fn zeros(self, zeros: Zeros) -> Self {
        Self { zeros, ..self }
    }

    /// The plan of the dense product of these shapes and strides. For [`Gemm::run_planned`], and to look at.
    pub fn plan(&self, exec: Exec) -> Plan {
        let [m, k] = self.a.shape();
        match self.b {
            Rhs::Floats(b) => Plan::new(exec, [m, k, b.cols()], self.a.strides(), b.strides()),
            Rhs::Packed(b) => Plan::with_packed(exec, m, self.a.strides(), b),
        }
    }

    /// Computes C. Cost: 2·m·n·k operations; fewer where A has many zeros, β is 0, and C has some hundred columns. A
    /// warm call does not allocate, unless α ≠ 1 (A is copied), or neither rows nor columns of C are adjacent (C is
    /// computed beside its place and copied).
    ///
    /// # Errors
    /// If the shapes do not go together, a bias does not have n elements, or a gate has another shape than C, or
    /// columns that are not adjacent.
    pub fn run(self, exec: Exec) -> Result<(), ShapeError> {
        self.run_by(exec, None)
    }

    /// [`Gemm::run`] by a plan that was made before.
    ///
    /// # Errors
    /// As [`Gemm::run`]; or if the plan is of another shape.
    pub fn run_planned(self, plan: &Plan) -> Result<(), ShapeError> {
        let ([m, k], n) = (self.a.shape(), self.b.shape()[1]);
        if plan.shape() != [m, k, n] {
            return Err(mismatch("the product", &[m, k, n], "its plan", &plan.shape(), "they must be equal"));
        }
        self.run_by(plan.exec(), Some(plan))
    }

    /// [`Gemm::run`] by a plan, if it was made for this shape, these strides and this exec; else it is planned anew.
    ///
    /// # Errors
    /// As [`Gemm::run`].
    pub fn run_by(mut self, exec: Exec, plan: Option<&Plan>) -> Result<(), ShapeError> {
        self.check(exec)?;
        let ([m, _], n) = (self.a.shape(), self.b.shape()[1]);
        if m == 0 || n == 0 {
            return Ok(());
        }
        if self.alpha != 1.0 {
            return self.scale_a(exec);
        }
        if n > 1 && self.c.strides()[1] != 1 {
            return self.by_columns(exec);
        }
        if self.skips_zeros(exec) {
            return Ok(());
        }
        match (self.a, plan.filter(|plan| plan.exec() == exec)) {
            (Lhs::Floats(a), Some(plan)) if plan.is_for(a, self.b) => {
                plan.run(a, self.b, self.beta, self.c, self.epilogue);
            }
            (Lhs::Floats(a), _) => self.plan(exec).run(a, self.b, self.beta, self.c, self.epilogue),
            _ => self.convert(exec),
        }
        Ok(())
    }

    /// Computes C without the steps at which A is 0, if that pays, and returns whether it did.
    fn skips_zeros(&mut self, exec: Exec) -> bool {
        let Rhs::Floats(b) = self.b else { return false };
        if self.zeros == Zeros::Never || self.beta != 0.0 || !sparse::pays(exec, self.a, b.cols()) {
            return false;
        }
        let row = self.c.strides()[0];
        sparse::multiply(exec, self.a, b, Output::new(self.c.data_mut().as_mut_ptr(), row, self.epilogue));
        true
    }

    /// Computes C with every step, from an A of bytes that is converted some rows at a time.
    fn convert(mut self, exec: Exec) {
        let (a, [m, k]) = (self.a, self.a.shape());
        with_scratch(converted_bytes([m, k]), |mut arena| {
            let floats = arena.take::<f32>(m.min(CONVERTED_ROWS) * k);
            for rows in pieces(m, CONVERTED_ROWS) {
                let a = a.rows(exec, rows.clone(), floats);
                let epilogue = match self.epilogue {
                    Epilogue::Gate(gate) => Epilogue::Gate(rows_of(gate, &rows)),
                    other => other,
                };
                let c = self.c.reborrow().slice(0, rows).expect("the pieces are inside C");
                let piece = Gemm { a: Lhs::Floats(a), b: self.b, c, epilogue, ..self };
                piece.plan(exec).run(a, self.b, self.beta, piece.c, epilogue);
            }
        });
    }

    /// α·A in the place of A.
    fn scale_a(self, exec: Exec) -> Result<(), ShapeError> {
        let (a, mut scaled) = (self.a.to_tensor(exec), Tensor::zeros(self.a.shape()));
        vec::scale(exec, self.alpha, a.as_slice(), scaled.as_mut_slice());
        Gemm { alpha: 1.0, a: scaled.view().into(), c: self.c, ..self }.run(exec)
    }

    /// A C whose columns are not adjacent: as Cᵀ = Bᵀ·Aᵀ if its rows are (the same chains), else beside its place.
    fn by_columns(mut self, exec: Exec) -> Result<(), ShapeError> {
        if let (1, Epilogue::None, Lhs::Floats(a), Rhs::Floats(b)) =
            (self.c.strides()[0], self.epilogue, self.a, self.b)
        {
            return Gemm { a: b.t().into(), b: a.t().into(), c: self.c.t(), ..self }.run(exec);
        }
        let mut beside = Tensor::zeros(self.c.shape());
        let mut c = beside.view_mut();
        if self.beta != 0.0 {
            c.copy_from(self.c.view())?;
        }
        Gemm { c: c.reborrow(), a: self.a, b: self.b, ..self }.run(exec)?;
        self.c.copy_from(c.view())
    }

    /// Whether the shapes go together.
    fn check(&self, exec: Exec) -> Result<(), ShapeError> {
        let (a, b, c) = (self.a.shape(), self.b.shape(), self.c.shape());
        check_inner(a, b)?;
        if let Rhs::Packed(b) = self.b {
            b.check_isa(exec)?;
        }
        if c != [a[0], b[1]] {
            return Err(mismatch("A·B", &[a[0], b[1]], "C", &c, "they must be equal"));
        }
        self.epilogue.check(c)
    }
}

/// Rows of C whose A is converted from bytes at a time, so that scratch is bounded; and bytes for them.
const CONVERTED_ROWS: usize = 256;
fn converted_bytes([m, k]: [usize; 2]) -> usize {
    bytes_of::<f32>(m.min(CONVERTED_ROWS) * k)
}

/// Bytes of scratch that a product of this shape needs, on any machine, whichever way it takes. To be announced
/// ([`crate::machine::scratch::announce`]) by programs that are to allocate nothing once they are warm.
pub fn scratch_bytes(shape: [usize; 3]) -> usize {
    let [m, k, _] = shape;
    let dense = gemm::scratch_bytes(shape).max(converted_bytes([m, k]));
    dense.max(sparse::scratch_bytes(shape)) + update::panel_bytes(shape)
}

/// `0..m` in pieces of at most `most`.
fn pieces(m: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    (0..m).step_by(most).map(move |from| from..m.min(from + most))
}

/// Some rows of a matrix.
fn rows_of<'a>(x: View<'a, f32, 2>, rows: &Range<usize>) -> View<'a, f32, 2> {
    x.slice(0, rows.clone()).expect("the rows are inside the matrix")
}

fn mismatch(
    left_name: &'static str,
    left: &[usize],
    right_name: &'static str,
    right: &[usize],
    rule: &'static str,
) -> ShapeError {
    ShapeError::mismatch("matrix product", (left_name, left), (right_name, right), rule)
}

/// Whether the shapes of A and B go together.
fn check_inner(a: [usize; 2], b: [usize; 2]) -> Result<(), ShapeError> {
    if a[1] == b[0] { Ok(()) } else { Err(mismatch("A", &a, "B", &b, "columns of A must equal rows of B")) }
}
