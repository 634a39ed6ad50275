//! How a tile of C begins and ends: β·C, then the bias, the ReLU or the gate, and the store.
//!
//! ```text
//! begin   c ← β·C[i,j]                         with β = 0: c ← 0, and C is not read
//! end     C[i,j] ← c                           None
//!                  c + bias[j]                 Bias
//!                  max(0, c + bias[j])         BiasRelu          a NaN stays a NaN
//!                  max(0, c + bias[j])·s       BiasReluScale     dropout behind a ReLU, at inference
//!                  0 if gate[i,j] ≤ 0, else c  Gate              the way back through a ReLU whose output was the gate
//! ```
//!
//! All of it happens in registers, so C is written once. Only the last block of k has an epilogue; the blocks before it
//! store their partial chains as they are.

use super::row::Row;
use crate::array::{ShapeError, View};
use crate::isa::{Isa, LANES};

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
    /// `max(0, C[i,j] + bias[j]) · scale`: with a dropout layer behind the ReLU, at inference.
    BiasReluScale(&'a [f32], f32),
    /// `0` where `gate[i,j] ≤ 0`, else `C[i,j]`: a gradient on its way back through a ReLU whose output was the gate.
    /// The columns of the gate are adjacent.
    Gate(View<'a, f32, 2>),
}

impl Epilogue<'_> {
    /// Whether what it reads goes with a C of this shape.
    pub(crate) fn check(&self, c: [usize; 2]) -> Result<(), ShapeError> {
        let (name, shape, rule): (_, &[usize], _) = match self {
            Self::Bias(bias) | Self::BiasRelu(bias) | Self::BiasReluScale(bias, _) if bias.len() != c[1] => {
                ("the bias", &[bias.len()], "the bias must have one element a column")
            }
            Self::Gate(gate) if gate.shape() != c => ("the gate", &gate.shape(), "they must be equal"),
            Self::Gate(gate) if gate.strides()[1] != 1 && c[1] > 1 => {
                ("strides of the gate", &gate.strides(), "its columns must be adjacent")
            }
            _ => return Ok(()),
        };
        Err(ShapeError::mismatch("matrix product", ("C", &c), (name, shape), rule))
    }
}

/// The kind of an [`Epilogue`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Finish {
    Store,
    Bias,
    BiasRelu,
    BiasReluScale(f32),
    Gate,
}

/// Where a tile of C lies, and what its epilogue reads.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    /// C[0, 0] of the tile and the stride from row to row; columns are adjacent.
    pub c: *mut f32,
    pub c_row: usize,
    /// The bias, with a stride of 0, or the gate.
    pub finish: Finish,
    pub with: *const f32,
    pub with_row: usize,
}

// SAFETY: who shares an output writes disjoint parts of C; what the epilogue reads is only read.
unsafe impl Sync for Output {}

impl Output {
    /// All of a C whose columns are adjacent.
    pub fn new(c: *mut f32, c_row: usize, epilogue: Epilogue<'_>) -> Self {
        let (finish, with, with_row) = match epilogue {
            Epilogue::None => (Finish::Store, std::ptr::null(), 0),
            Epilogue::Bias(bias) => (Finish::Bias, bias.as_ptr(), 0),
            Epilogue::BiasRelu(bias) => (Finish::BiasRelu, bias.as_ptr(), 0),
            Epilogue::BiasReluScale(bias, scale) => (Finish::BiasReluScale(scale), bias.as_ptr(), 0),
            Epilogue::Gate(gate) => (Finish::Gate, gate.data().as_ptr(), gate.strides()[0]),
        };
        Self { c, c_row, finish, with, with_row }
    }

    /// The output from a row and a column on.
    #[inline(always)]
    pub fn from(self, row: usize, column: usize) -> Self {
        Self {
            c: self.c.wrapping_add(row * self.c_row + column),
            with: self.with.wrapping_add(row * self.with_row + column),
            ..self
        }
    }

    /// The output of a block that is not the last of k: C as it is.
    #[inline(always)]
    pub fn storing(self) -> Self {
        Self { finish: Finish::Store, ..self }
    }

    /// The accumulators before the first step: β·C.
    ///
    /// # Safety
    /// Unless `beta` is 0, C is readable for MR rows of the columns in use.
    #[inline(always)]
    pub unsafe fn begin<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
        &self,
        isa: I,
        beta: f32,
        tail: usize,
    ) -> [Row<I, NV>; MR] {
        let mut acc = [Row::zero(isa); MR];
        if beta != 0.0 {
            for (i, row) in acc.iter_mut().enumerate() {
                // SAFETY: as promised.
                let c = unsafe { Row::<I, NV>::load_part::<HALF>(isa, self.c.add(i * self.c_row), tail) };
                for j in 0..NV {
                    row.full[j] = isa.mul(isa.splat(beta), c.full[j]);
                }
                row.half = isa.half_mul(isa.half_splat(beta), c.half);
            }
        }
        acc
    }

    /// Stores the accumulators after the last step, through the epilogue.
    ///
    /// # Safety
    /// For MR rows of the columns in use, C is writable, nobody else touches it, and unless the epilogue is `Store`,
    /// `with` is readable.
    #[inline(always)]
    pub unsafe fn end<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
        &self,
        isa: I,
        acc: &mut [Row<I, NV>; MR],
        tail: usize,
    ) {
        let zero = Row::<I, NV>::zero(isa);
        // SAFETY: as promised.
        unsafe {
            if matches!(self.finish, Finish::Bias | Finish::BiasRelu | Finish::BiasReluScale(_)) {
                let bias = Row::<I, NV>::load_part::<HALF>(isa, self.with, tail);
                for row in &mut *acc {
                    for j in 0..NV {
                        row.full[j] = isa.add(row.full[j], bias.full[j]);
                    }
                    row.half = isa.half_add(row.half, bias.half);
                    if self.finish != Finish::Bias {
                        for j in 0..NV {
                            row.full[j] = isa.max(zero.full[j], row.full[j]);
                        }
                        row.half = isa.half_max(zero.half, row.half);
                    }
                    if let Finish::BiasReluScale(scale) = self.finish {
                        for j in 0..NV {
                            row.full[j] = isa.mul(isa.splat(scale), row.full[j]);
                        }
                        row.half = isa.half_mul(isa.half_splat(scale), row.half);
                    }
                }
            }
            if self.finish == Finish::Gate {
                for (i, row) in acc.iter_mut().enumerate() {
                    let gate = Row::<I, NV>::load_part::<HALF>(isa, self.with.add(i * self.with_row), tail);
                    for j in 0..NV {
                        row.full[j] = isa.gate(gate.full[j], row.full[j]);
                    }
                    row.half = isa.half_gate(gate.half, row.half);
                }
            }
            self.store::<I, MR, NV, HALF>(isa, acc, tail);
        }
    }

    /// Stores the accumulators.
    ///
    /// # Safety
    /// As [`Output::end`].
    #[inline(always)]
    unsafe fn store<I: Isa, const MR: usize, const NV: usize, const HALF: bool>(
        &self,
        isa: I,
        acc: &[Row<I, NV>; MR],
        tail: usize,
    ) {
        // Whole vectors before the last (half) vector.
        let whole = NV - usize::from(!HALF);
        // SAFETY: as promised; the last (half) vector is written for `tail` columns.
        unsafe {
            if tail == if HALF { LANES / 2 } else { LANES } {
                for i in 0..MR {
                    acc[i].store::<HALF>(isa, self.c.add(i * self.c_row));
                }
                return;
            }
            // AVX2's masked store is dozens of micro-operations. There the last vectors are written to the stack first,
            // whole, and copied from it. (A branch for each width would keep the accumulators out of registers.)
            let mut edge = [[0.0; LANES]; MR];
            for i in 0..MR {
                let to = self.c.add(i * self.c_row);
                for j in 0..whole {
                    isa.store_ptr(acc[i].full[j], to.add(j * LANES));
                }
                let to = if I::MASKS_STORES { to.add(whole * LANES) } else { edge[i].as_mut_ptr() };
                match (I::MASKS_STORES, HALF) {
                    (true, true) => isa.half_store_ptr_part(acc[i].half, to, tail),
                    (true, false) => isa.store_ptr_part(acc[i].full[whole], to, tail),
                    (false, true) => isa.half_store_ptr(acc[i].half, to),
                    (false, false) => isa.store_ptr(acc[i].full[whole], to),
                }
            }
            if !I::MASKS_STORES {
                for (i, edge) in edge.iter().enumerate() {
                    let to = self.c.add(i * self.c_row + whole * LANES);
                    if HALF {
                        isa.half_store_ptr_part(isa.half_load_ptr(edge.as_ptr()), to, tail);
                    } else {
                        isa.store_ptr_part(isa.load(edge), to, tail);
                    }
                }
            }
        }
    }
}
